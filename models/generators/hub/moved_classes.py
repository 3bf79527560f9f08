"""Classes of diffusers under the names that pipelines in the wild have for them, where it has moved them.

VQDiffusionPipeline is among its deprecated pipelines now: a model_index.json names the class of its learnt
embeddings in `vq_diffusion` (written before the move) or in `diffusers` (after it), and it is in neither.
"""

import importlib

import diffusers
from diffusers import pipelines


def restore_moved_classes() -> None:
    """Make both names good, for this process."""
    moved = importlib.import_module("diffusers.pipelines.deprecated.vq_diffusion")
    name = "LearnedClassifierFreeSamplingEmbeddings"
    if not hasattr(pipelines, "vq_diffusion"):
        setattr(pipelines, "vq_diffusion", moved)  # noqa: B010 - mypy refuses the assignment
    if not hasattr(diffusers, name):
        setattr(diffusers, name, getattr(moved, name))
