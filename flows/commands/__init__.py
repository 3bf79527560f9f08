"""The commands of `assay`: one file for what belongs together."""
