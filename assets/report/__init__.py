"""What a benchmark found out, in one place, and how it is told in words."""
