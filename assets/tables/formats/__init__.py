"""A chapter as text: one file a format."""
