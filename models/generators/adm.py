"""ADM (Dhariwal & Nichol 2021, arXiv 2105.05233): guided diffusion on pixels, with its authors' weights.

The U-Net is told the class, and at every step the picture is pulled towards what a classifier of noisy
pictures takes for that class. As in the authors' own sampling: 250 of the 1,000 steps, a pull of 1, the
classifier in float32 whatever the U-Net's trunk, and pixels cut off, not rounded.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from assets.errors import AssayError
from assets.machine import make_repeatable
from assets.params import Sampler
from models.generators import Drawn, Request
from models.generators.batches import HalvingBatches
from models.generators.nets.gaussian import Diffusion, Guide, Noise, spread, steps_of
from models.generators.nets.unet import Classifier, UNet
from models.generators.options import AdmOptions
from models.generators.released import classes_of, only_takes, open_weights, pinned, recorded, shown

STEPS = 250
"""Denoising steps where the sampler sets none."""
PULL = 1.0
"""Scale of the classifier's gradient where the sampler sets none."""


def fit(images: np.ndarray, out: Path, options: AdmOptions, seed: int, device: str) -> dict[str, Any]:
    """Nothing is trained: note which weights they are, once they have been seen to fit.

    Raises:
        AssayError: a file is not there, damaged, or not a model of these options.
    """
    paths = {"checkpoint": options.checkpoint, "classifier": options.classifier}
    found = pinned({role: path for role, path in paths.items() if path is not None})
    open_unet(options, found)
    if options.classifier is not None:
        open_classifier(options, found)
    return found


class AdmDrawer:
    """Draws from the released U-Net, guided by the released classifier where there is one."""

    def __init__(self, folder: Path, model: dict[str, Any], sampler: Sampler, device: str) -> None:
        make_repeatable()
        only_takes(sampler, "ADM", ("steps", "guidance"))
        self.options = options = AdmOptions.model_validate(model["options"])
        if sampler.guidance is not None and options.classifier is None:
            raise AssayError(
                "sampler.guidance: it is a classifier that guides ADM, and none is named; set its weights as "
                f"fit.{folder.name}.options.classifier, or leave guidance out"
            )
        steps = steps_of(sampler, STEPS)
        self.pull = 0.0
        if options.classifier is not None:
            self.pull = PULL if sampler.guidance is None else sampler.guidance
        self.device = device
        self.diffusion = Diffusion(options.schedule, spread(steps))
        self.unet = open_unet(options, model).to(device)
        self.unet.trunk_to(getattr(torch, sampler.dtype))
        self.classifier = open_classifier(options, model).to(device) if self.pull else None
        self.batches = HalvingBatches(sampler.batch, folder.name)
        self.record = recorded(
            folder,
            model,
            sampler,
            scheduler="ancestral",
            steps=steps,
            guidance=self.pull if options.classifier is not None else None,
            height=options.shape.side,
            width=options.shape.side,
        )

    def draw(self, requests: Sequence[Request]) -> list[Drawn]:
        """One uint8 (S, S, 3) image per request: of its class, from noise of its own seed.

        Raises:
            AssayError: a request without a class, or with one that the weights do not know.
        """
        if self._needs_class:
            classes_of(requests, self.options.classes, "ADM")
        return self.batches.draw(requests, self._draw)

    @property
    def _needs_class(self) -> bool:
        return self.options.conditional or self.classifier is not None

    def _draw(self, requests: list[Request]) -> list[Drawn]:
        return shown(self.sample(requests), rounded=False)

    @torch.no_grad()
    def sample(self, requests: list[Request]) -> Tensor:
        """Pictures (B, 3, S, S) float32 of about [-1, 1]."""
        noise = Noise([request.seed for request in requests], self.device)
        if not self._needs_class:
            return self.diffusion.ancestral(self.unet, noise, self.options.shape.side)
        classes = torch.tensor(classes_of(requests, self.options.classes, "ADM"), device=self.device)
        told = self.unet.label_emb(classes) if self.options.conditional else None

        def predict(x: Tensor, steps: Tensor) -> Tensor:
            return self.unet(x, steps, told)

        guide = pull(self.classifier, classes, self.pull) if self.classifier is not None else None
        return self.diffusion.ancestral(predict, noise, self.options.shape.side, guide)


def open_drawer(folder: Path, model: dict[str, Any], sampler: Sampler, device: str) -> AdmDrawer:
    """Open the weights that `fit` noted."""
    return AdmDrawer(folder, model, sampler, device)


def open_unet(options: AdmOptions, model: dict[str, Any]) -> UNet:
    """The diffusion model, on the CPU, in float32."""
    classes = options.classes if options.conditional else None
    return open_weights(
        lambda: UNet(options.shape, classes=classes), model, "checkpoint", "ADM's diffusion model"
    )


def open_classifier(options: AdmOptions, model: dict[str, Any]) -> Classifier:
    """The classifier of noisy pictures, on the CPU, in float32."""
    shape, classes = options.classifier_shape, options.classes
    return open_weights(lambda: Classifier(shape, classes), model, "classifier", "ADM's classifier")


def pull(classifier: Classifier, classes: Tensor, scale: float) -> Guide:
    """From pictures and steps to the gradient by the pictures of `scale` times log p(class)."""

    def gradient(x: Tensor, steps: Tensor) -> Tensor:
        with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):  # the others' gradients are not repeatable
            x = x.detach().requires_grad_()
            chances = classifier(x, steps).log_softmax(-1)
            (found,) = torch.autograd.grad(chances.gather(1, classes[:, None]).sum(), x)
        return found * scale

    return gradient
