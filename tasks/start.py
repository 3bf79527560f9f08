"""What a detector starts from: its code and its pretrained weights, pinned once for all trainings."""

from pathlib import Path

from assets.errors import AssayError, did_you_mean
from assets.files import write_json
from assets.params import Params, load_params
from models import detectors
from models.detectors.starting import WEIGHTS, write_start
from models.detectors.trained import START, start_folder
from tasks.command import arguments_for, run_stage


def start(root: Path, params: Params, name: str) -> None:
    """Write artifacts/start/`name`: start.json, and weights.safetensors where it starts from weights.

    start.json: `kind`, `model`, `code` (hash of the code that is this kind's alone) and `weights` (`from`,
    `sha256`; null: a random start). All trainings of the detector depend on this folder, so that they
    are repeated when its code or its weights change, and need no hub.

    Args: name: a detector or an attributor.
    Raises:
        AssayError: weights that cannot be had, or that the network cannot start from.
    """
    section = "detectors" if name in params.detectors else "attributors"
    where = f"{section}.{name}"
    spec = detectors.resolved(params.judges[name])
    detectors.check(spec, where)
    folder = start_folder(root, name, attributor=name in params.attributors)
    weights = write_start(spec, folder / WEIGHTS, where)
    if weights is not None:
        try:  # refused now, not after an hour of others
            detectors.build(spec, 0, where, start=folder / WEIGHTS)
        except BaseException:
            (folder / WEIGHTS).unlink()
            raise
    about = {"kind": spec.kind, "model": spec.model, "code": detectors.code_of(spec.kind), "weights": weights}
    write_json(folder / START, about)


def main(arguments: list[str]) -> None:
    """python -m tasks.start DETECTOR"""
    (name,) = arguments_for(arguments, "detector")
    params = load_params()
    known = {**params.detectors, **params.attributors}
    if name not in known:
        raise AssayError(f"unknown detector '{name}'; {did_you_mean(name, known)}")
    start(Path(), params, name)


if __name__ == "__main__":
    run_stage(main)
