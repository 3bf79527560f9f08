"""The parts of a refresh: what is new, adding it, leaving out what fails, comparing the tables."""
