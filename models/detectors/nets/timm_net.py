"""Networks of the timm library, built for a crop."""

from typing import Any

import timm

from assets.detection import Judge
from assets.errors import AssayError


def create(spec: Judge, outputs: int | None, where: str, **extra: Any) -> Any:
    """The timm model `spec.model` with so many outputs (None: its own), for pictures of side `spec.crop`.

    Raises:
        AssayError: one that cannot take this crop.
    """
    try:
        return timm.create_model(str(spec.model), num_classes=outputs, **sized(spec), **extra)
    except (AssertionError, RuntimeError, TypeError, ValueError) as error:
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise AssayError(
            f"{where}: timm cannot build {spec.model} for a crop of {spec.crop} px: {reason}"
        ) from None


def sized(spec: Judge) -> dict[str, Any]:
    """Arguments that build `spec.model` for the side `spec.crop`, where its input has a fixed side."""
    config = timm.get_pretrained_cfg(spec.model) if spec.model else None
    return {"img_size": spec.crop} if config is not None and config.fixed_input_size else {}
