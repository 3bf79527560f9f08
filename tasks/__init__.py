"""What happens: one file a stage, one public function of the same name, plain Python.

`python -m tasks.<stage> [ITEM ...]` is the command that dvc.yaml runs.
"""
