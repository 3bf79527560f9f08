"""Where `assay export` writes pictures: one file a layout."""
