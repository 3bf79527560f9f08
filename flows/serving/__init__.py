"""A Prefect server with its workers and deployments, on one machine."""
