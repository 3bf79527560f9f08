"""A run in one workspace: the chain of tasks, the child processes, and what is left when one is killed."""
