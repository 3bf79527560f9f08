"""What passes between tasks: image sets, predictions, tables, lineage, parameters.

Imports nothing of ours, neither prefect nor dvc, and no torch at import time.
"""
