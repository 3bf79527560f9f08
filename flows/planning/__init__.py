"""What would run, why, how much, and whether it can."""
