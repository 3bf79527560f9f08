"""params.yaml and the inputs: presets, cards and pictures that are put in."""
