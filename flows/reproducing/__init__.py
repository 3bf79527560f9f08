"""What `flows.reproduce` is made of: a record's worktree, its bytes, running it, comparing."""
