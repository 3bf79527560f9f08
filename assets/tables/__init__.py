"""Every table of a benchmark: one file a chapter, one structure (`table.py`), one file a format."""
