"""Real images through a model's autoencoder and back: fakes that show what their real images show.

Nothing is generated but the traces of the decoder, as in DRCT (Chen et al. 2024) and DDA (Chen et al. 2025,
arXiv 2505.14359); AEROBLADE (Ricker et al. 2024, arXiv 2401.17879) measures the same error. An image is
cropped around its middle to what the autoencoder takes, never scaled, and the same each time: its latents
are the mode of the encoder's distribution, not a sample.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import diffusers
import numpy as np
import torch
from torch import Tensor

from assets.errors import AssayError, did_you_mean
from assets.files import sha256_of
from assets.images.imageset import MANIFEST, ImageSet
from assets.images.picture import PictureError
from assets.machine import make_repeatable
from assets.params import Sampler
from models.generators import REALS, Drawn, Request
from models.generators.batches import HalvingBatches
from models.generators.hub.fetching import fetched
from models.generators.hub.loading import load_part
from models.generators.options import ReconstructionOptions
from models.generators.pipeline import drawn_from
from models.generators.pretrained import check_pinned, pinned

AUTOENCODERS = ("AutoencoderKL", "VQModel")
"""diffusers classes of autoencoders that can be used, as `_class_name` in their config.json."""

CARRIED = ("group", "content", "class_name", "class_index")
"""Columns that a reconstruction has in common with its real image."""

REFUSED = ("scheduler", "steps", "guidance", "height", "width", "negative_prompt")
"""Parameters of a sampler that a reconstruction has no use for."""


class Cropped(NamedTuple):
    """The middle of a real image."""

    pixels: np.ndarray
    """(H, W, 3) uint8; both sides multiples of the autoencoder's factor."""
    box: tuple[int, int, int, int]
    """Left, top, right, bottom in the real image, in pixels."""


def fit(
    images: np.ndarray, out: Path, options: ReconstructionOptions, seed: int, device: str
) -> dict[str, Any]:
    """Nothing is trained: the autoencoder's pointer and the real sets' hashes are written into model.json."""
    reals = {folder.name: sha256_of(folder / MANIFEST) for folder in sorted((out / REALS).iterdir())}
    return {**pinned(options, Path(options.id, options.subfolder), "config.json"), "reals": reals}


class ReconstructionDrawer:
    """Real images, each once through the autoencoder."""

    def __init__(self, folder: Path, model: dict[str, Any], sampler: Sampler, device: str) -> None:
        """Open the autoencoder that `model` (the content of model.json) names, and the real images.

        Raises:
            AssayError: weights or real images that are not there or changed since; no real image that can
                be used; not an autoencoder of a known class; a sampler parameter that has no use here.
        """
        make_repeatable()
        for name in REFUSED:
            if getattr(sampler, name) is not None:
                raise AssayError(f"sampler.{name}: a reconstruction does not take it; it takes dtype, batch")
        options = ReconstructionOptions.model_validate(model["options"])
        check_pinned(options, Path(options.id, options.subfolder), model, folder.name)
        self.device, self.dtype = device, getattr(torch, sampler.dtype)
        self.largest = options.largest
        self.autoencoder = _autoencoder(options, sampler.dtype, device)
        self.factor = 2 ** (len(self.autoencoder.config.block_out_channels) - 1)
        self.reals = _reals(folder, model["reals"])
        self.batches = HalvingBatches(sampler.batch, options.id)
        self.record = {
            "kind": model["kind"],
            "model_id": options.id,
            "revision": options.revision,
            "variant": options.variant,
            "sha256": model["sha256"],
            "subfolder": options.subfolder,
            "autoencoder": type(self.autoencoder).__name__,
            "reals": model["reals"],
            "largest": options.largest,
            "dtype": sampler.dtype,
            "batch": sampler.batch,
            "safety_checker": False,
            "watermarker": False,
            "versions": {"torch": torch.__version__.split("+")[0], "diffusers": diffusers.__version__},
        }

    def sources(self) -> int:
        """Number of real images that can be drawn from; a count beyond it is refused."""
        return len(self.reals)

    def draw(self, requests: Sequence[Request]) -> list[Drawn]:
        """The reconstruction of real image `number` of each request, in the order of their ids.

        Images of one shape share batches: a picture does not depend on the other pictures of its batch, but
        where real images have many shapes, a `sampler.batch` of 1 saves drawing repeats that are thrown away.

        Raises:
            AssayError: a request without a number, or with one that no real image has.
        """
        drawn: dict[int, Drawn] = {}
        by_shape: dict[tuple[int, ...], list[int]] = {}
        crops: dict[int, Cropped] = {}
        for place, request in enumerate(requests):
            number = self._number(request)
            if number not in crops:
                try:
                    crops[number] = self._cropped(number)
                except PictureError as error:
                    drawn[place] = Drawn(reason=str(error), about=self._about(number))
                    continue
            by_shape.setdefault(crops[number].pixels.shape, []).append(place)

        def batch(some: list[Request]) -> list[Drawn]:
            chosen = [crops[self._number(request)] for request in some]
            pictures = self._through(np.stack([one.pixels for one in chosen]))
            return [
                drawn_from(picture)._replace(note={"crop": list(one.box)})
                for picture, one in zip(pictures, chosen, strict=True)
            ]

        for places in by_shape.values():
            made = self.batches.draw([requests[place] for place in places], batch)
            for place, one in zip(places, made, strict=True):
                drawn[place] = one._replace(about=self._about(self._number(requests[place])))
        return [drawn[place] for place in range(len(requests))]

    def _number(self, request: Request) -> int:
        if request.number is None:
            raise AssayError("a reconstruction needs the running number of every image")
        if request.number >= len(self.reals):
            raise AssayError(
                f"there is no real image {request.number} to reconstruct, only {len(self.reals)}: set the "
                "generator's count to that or less"
            )
        return request.number

    def _about(self, number: int) -> dict[str, Any]:
        about = {"pair_id": self.reals[number].row["id"]}
        return about | {name: value for name, value in self.reals[number].row.items() if name in CARRIED}

    def _cropped(self, number: int) -> Cropped:
        real = self.reals[number]
        pixels = real.source.pixels(real.row["id"])
        height, width = (self._side(side) for side in pixels.shape[:2])
        if not height or not width:
            raise PictureError(f"smaller than the {self.factor} pixels that the autoencoder takes at least")
        top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
        box = (left, top, left + width, top + height)
        return Cropped(pixels[top : top + height, left : left + width], box)

    def _side(self, side: int) -> int:
        """The largest side that the autoencoder takes, of a picture with this one; 0 if it is too small."""
        return min(side, self.largest or side) // self.factor * self.factor

    @torch.no_grad()
    def _through(self, pixels: np.ndarray) -> np.ndarray:
        """Encode and decode uint8 (B, H, W, 3); values in 0..1 of the same shape."""
        real = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous().to(self.device, self.dtype)
        real = real / 127.5 - 1
        encoded = self.autoencoder.encode(real)
        latents = encoded.latent_dist.mode() if hasattr(encoded, "latent_dist") else encoded.latents
        made: Tensor = self.autoencoder.decode(latents).sample
        values: np.ndarray = (made / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).float().cpu().numpy()
        return values


def open_drawer(folder: Path, model: dict[str, Any], sampler: Sampler, device: str) -> ReconstructionDrawer:
    """Open what `fit` wrote."""
    return ReconstructionDrawer(folder, model, sampler, device)


class _Real(NamedTuple):
    """A real image that can be used."""

    source: ImageSet
    row: dict[str, Any]
    """Its manifest row, without what is null."""


def _reals(folder: Path, noted: dict[str, str]) -> list[_Real]:
    """The real images of all sources in the order of their ids."""
    for name, sha in noted.items():
        manifest = folder / REALS / name / MANIFEST
        if not manifest.is_file() or sha256_of(manifest) != sha:
            raise AssayError(
                f"{manifest} is missing or has changed since the model was fitted; fit it again: "
                f"`dvc repro --force fit@{folder.name}`"
            )
    reals = []
    for source in (ImageSet(folder / REALS / name) for name in sorted(noted)):
        wanted = source.usable[["id", *CARRIED]]
        for row in wanted.astype(object).where(wanted.notna(), None).to_dict("records"):
            reals.append(_Real(source, {str(key): value for key, value in row.items() if value is not None}))
    if not reals:
        raise AssayError(
            f"{folder / REALS} holds no real image that can be used: check 'real' in params.yaml"
        )
    return sorted(reals, key=lambda real: real.row["id"])


def _autoencoder(options: ReconstructionOptions, dtype: str, device: str) -> Any:
    first = f"{options.subfolder}/config.json".lstrip("/")
    folder = fetched(options.id, first, options.revision, options.variant, only=options.subfolder)
    name = json.loads((folder / options.subfolder / "config.json").read_text("utf-8")).get("_class_name")
    if name not in AUTOENCODERS:
        raise AssayError(
            f"{options.id}/{options.subfolder} is a {name}, no autoencoder that this kind can use; "
            f"{did_you_mean(str(name), AUTOENCODERS)}"
        )
    part = load_part(
        getattr(diffusers, name),
        options.id,
        options.subfolder,
        dtype,
        device,
        options.revision,
        options.variant,
    )
    part.eval()
    return part if device == "cpu" else part.to(memory_format=torch.channels_last)
