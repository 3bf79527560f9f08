"""Training a detector: phases, steps, checkpoints, several processes, logs."""
