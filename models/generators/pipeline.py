"""Draw from any diffusers pipeline: the ones trained here, Stable Diffusion, FLUX and what comes next.

What a pipeline can be asked is read from the signature of its `__call__`: `prompt` makes it text-to-image,
`class_labels` class-conditional, neither unconditional. Nothing is asked that the parameters do not ask for,
and what they ask for and the pipeline does not take is an error, never ignored.
"""

import inspect
import math
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from assets.errors import AssayError
from assets.machine import make_repeatable
from assets.params import Sampler
from models.generators import Drawn, Request
from models.generators.batches import HalvingBatches
from models.generators.folder import check_content
from models.generators.hub.asking import ASKED, asked_of, check_negative
from models.generators.hub.loading import Extras, load_pipeline
from models.generators.hub.schedulers import swap_scheduler
from models.generators.hub.seeded_tokens import seed_each_image

BLOCKED = "blocked by the model's safety checker"
BLACK = "black image"


class PipelineDrawer:
    """A diffusers pipeline that is asked the same way every time."""

    def __init__(
        self,
        source: str | Path,
        model: dict[str, Any],
        sampler: Sampler,
        device: str,
        revision: str | None = None,
        variant: str | None = None,
    ) -> None:
        """Open a pipeline folder, or a hub id at `revision`; `model` is the content of its model.json.

        Raises:
            AssayError: weights that are not there or not this pipeline's, an unknown pipeline or scheduler,
                a sampler parameter that the pipeline does not take.
        """
        make_repeatable()
        options = model["options"]
        self.extras = Extras(options.get("safety_checker", False), options.get("watermarker", False))
        self.pipeline, unused = load_pipeline(source, sampler.dtype, device, revision, variant, self.extras)
        self.pipeline.set_progress_bar_config(disable=True)
        if device != "cpu":
            lay_out_for_convolutions(self.pipeline)
        if sampler.scheduler is not None:
            swap_scheduler(self.pipeline, sampler.scheduler)
        seed_each_image(self.pipeline)
        self.name = type(self.pipeline).__name__
        self.takes = inspect.signature(type(self.pipeline).__call__).parameters
        self.asked = asked_of(self.pipeline, sampler, options.get("call", {}))
        self.record = self._record(source, model, sampler)
        if unused:
            self.record["unused_weights"] = unused
        self.batches = HalvingBatches(sampler.batch, self.record["model_id"])

    def draw(self, requests: Sequence[Request]) -> list[Drawn]:
        """One uint8 (H, W, 3) image per request, from noise of its own seed.

        Images with a negative prompt and images without never share a batch: a pipeline may take none for
        something else than an empty one (SDXL does).
        """
        drawn: dict[int, Drawn] = {}
        for with_negative in (False, True):
            places = [
                i for i, one in enumerate(requests) if (self._negative(one) is not None) is with_negative
            ]
            some = self.batches.draw([requests[place] for place in places], self._draw_batch)
            drawn.update(zip(places, some, strict=True))
        return [drawn[place] for place in range(len(requests))]

    def _draw_batch(self, requests: list[Request]) -> list[Drawn]:
        generators = [torch.Generator().manual_seed(request.seed) for request in requests]
        asked = {**self.asked, **self._conditions(requests), "generator": generators}
        # Pictures of a pipeline that marks them itself are marked on the way to Pillow, if at all.
        asked["output_type"] = "pil" if self.extras.watermarker else "np"
        before = _global_noise(self.pipeline.device)
        try:
            output = self.pipeline(**asked)
        except TypeError as error:
            if "BFloat16" not in str(error):
                raise
            raise AssayError(
                f"sampler.dtype: {self.name} cannot hand out pictures of bfloat16; set float16 or float32"
            ) from None
        if _global_noise(self.pipeline.device) != before:
            raise AssayError(
                f"{self.name} with {self.record['scheduler']} draws noise that no seed of an image reaches, "
                "so that an image would depend on its neighbours; set sampler.scheduler to a deterministic "
                "one, such as DDIMScheduler"
            )
        blocked = _blocked(output) or [False] * len(requests)
        return [
            Drawn(reason=BLOCKED) if stopped else drawn_from(picture)
            for picture, stopped in zip(output.images, blocked, strict=True)
        ]

    def _conditions(self, requests: list[Request]) -> dict[str, Any]:
        """What the images are to show, in the words of this pipeline."""
        if "prompt" in self.takes:
            asked: dict[str, Any] = {"prompt": self._every("prompt", [one.prompt for one in requests])}
            negative = [self._negative(one) for one in requests]
            if None not in negative:
                check_negative(self.name, self.takes, self.asked)
                asked["negative_prompt"] = negative
            return asked
        if any(one.negative_prompt is not None for one in requests):
            check_negative(self.name, self.takes, self.asked)
        asked = {"batch_size": len(requests)} if "batch_size" in self.takes else {}
        if self._by_class():
            asked["class_labels"] = self._every("class_index", [one.class_index for one in requests])
            known = _classes(self.pipeline)
            for index in asked["class_labels"]:
                if known and not 0 <= index < known:
                    model = self.record["model_id"]
                    raise AssayError(f"class_index {index}: {model} knows {known} classes, 0 to {known - 1}")
        return asked

    def _negative(self, request: Request) -> str | None:
        own = request.negative_prompt
        return self.asked.get("negative_prompt") if own is None else own

    def _by_class(self) -> bool:
        """Whether the images are of classes: a pipeline may take them, but its model may know none."""
        parameter = self.takes.get("class_labels")
        if parameter is None or parameter.default is parameter.empty:
            return parameter is not None
        return _classes(self.pipeline) is not None

    def _every(self, what: str, values: list[Any]) -> list[Any]:
        if None in values:
            raise AssayError(f"{self.name} needs a {what} for every image, and a request has none")
        return values

    def _record(self, source: str | Path, model: dict[str, Any], sampler: Sampler) -> dict[str, Any]:
        scheduler = getattr(self.pipeline, "scheduler", None)
        config = scheduler.config if scheduler is not None else {}
        options = model["options"]
        call = {name: value for name, value in self.asked.items() if name not in ASKED.values()}
        # A caption is cleaned with these two only where they are installed, and is another one then.
        cleaners = ("beautifulsoup4", "ftfy") if "clean_caption" in self.takes else ()
        return {
            "kind": model["kind"],
            "model_id": source.name if isinstance(source, Path) else source,
            "revision": options.get("revision"),
            "variant": options.get("variant"),
            "sha256": model["sha256"],
            "pipeline": self.name,
            "scheduler": None if scheduler is None else type(scheduler).__name__,
            "scheduler_config": {
                key: _finite(value) for key, value in sorted(config.items()) if not key.startswith("_")
            },
            **{ours: self._used(theirs) for ours, theirs in ASKED.items()},
            **({"call": call} if call else {}),
            "dtype": sampler.dtype,
            "batch": sampler.batch,
            "safety_checker": self.extras.safety_checker,
            "watermarker": self.extras.watermarker,
            "versions": {name: _version(name) for name in ("torch", "diffusers", *cleaners)},
        }

    def _used(self, parameter: str) -> Any:
        """What a parameter is in every call: as asked, or the pipeline's default; null where it has none."""
        if parameter in self.asked:
            return self.asked[parameter]
        default = self.takes[parameter].default if parameter in self.takes else None
        return default if isinstance(default, int | float | str) and default != "" else None


def open_drawer(folder: Path, model: dict[str, Any], sampler: Sampler, device: str) -> PipelineDrawer:
    """Open a pipeline that was trained here, in `folder`, where it still is what was trained."""
    check_content(folder, model["files"], f"fit it again: `dvc repro --force fit@{folder.name}`")
    return PipelineDrawer(folder, model, sampler, device)


def drawn_from(picture: np.ndarray | Image.Image) -> Drawn:
    """An image from what a pipeline or an autoencoder hands out: values in 0..1, or a Pillow picture.

    Values are rounded as diffusers rounds them for Pillow. A picture without any light is none: weights of
    half precision that overflow give such pictures, and so do some checkers of contents.
    """
    if isinstance(picture, Image.Image):
        pixels = np.asarray(picture.convert("RGB"))
    elif np.isfinite(picture).all():
        pixels = (picture * 255).round().astype(np.uint8)
        pixels = np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels[:, :, :3]
    else:
        return Drawn(reason=BLACK)
    return Drawn(pixels) if pixels.any() else Drawn(reason=BLACK)


def _blocked(output: Any) -> list[bool] | None:
    """Which pictures a safety checker has blacked out; None where none looked."""
    for name in ("nsfw_content_detected", "nsfw_detected"):
        found = getattr(output, name, None)
        if found is not None:
            return [bool(one) for one in found]
    return None


def _classes(pipeline: Any) -> int | None:
    """How many classes a class-conditional model knows; None where its configuration does not say."""
    for part, name in (("transformer", "num_embeds_ada_norm"), ("unet", "num_class_embeds")):
        if found := getattr(getattr(pipeline, part, None), "config", {}).get(name):
            return int(found)
    return None


def lay_out_for_convolutions(pipeline: Any) -> None:
    """Put channels last in memory, where a GPU's convolutions want them; on a CPU nothing is changed."""
    for name in ("unet", "vae", "vqvae", "movq"):
        part = getattr(pipeline, name, None)
        if isinstance(part, torch.nn.Module) and all(weight.dim() < 5 for weight in part.parameters()):
            part.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _finite(value: Any) -> Any:
    """A value that JSON has a word for: some schedulers are configured with an infinity."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _global_noise(device: torch.device) -> bytes:
    """State of the generators that belong to no image."""
    state = bytes(torch.get_rng_state().numpy())
    if device.type == "cuda":
        state += bytes(torch.cuda.get_rng_state(device).numpy())
    return state
