"""From scores to numbers: metrics, intervals, cells, means, and how detectors compare."""
