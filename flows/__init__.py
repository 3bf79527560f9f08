"""When and where: Prefect flows, the command line, and the only code that talks to dvc."""
