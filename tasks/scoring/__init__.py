"""What `tasks.score` is made of: which detector, what its scores mean, which pictures."""
