"""What can be imported: one file a layout, each turning a place on disk into image sets of entries."""
