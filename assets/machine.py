"""What this machine offers: device, worker processes, batch sizes. Nothing here changes a result.

Read from the environment, never from params.yaml: ASSAY_DEVICE (`cpu`, `cuda`, `cuda:1`, or several with
commas; default: the GPUs there are, or the CPU), ASSAY_WORKERS (loader processes, default 0 = in the
stage's own process), ASSAY_BATCH (images scored at a time, default 64).
"""

import os

from assets.errors import AssayError

DEVICE = "ASSAY_DEVICE"


def device() -> str:
    """The torch device a stage computes on."""
    return devices()[0]


def devices() -> list[str]:
    """The torch devices that a stage may compute on, one process each."""
    if asked := [name.strip() for name in os.environ.get(DEVICE, "").split(",") if name.strip()]:
        return asked
    import torch

    count = torch.cuda.device_count()
    return [f"cuda:{number}" for number in range(count)] if count > 1 else ["cuda" if count else "cpu"]


def num_workers() -> int:
    """Loader processes beside the stage's own; 0 loads in the stage's process."""
    return _count("ASSAY_WORKERS", 0, least=0)


def eval_batch() -> int:
    """Images scored at a time."""
    return _count("ASSAY_BATCH", 64, least=1)


def make_repeatable() -> None:
    """Ask torch for bit-for-bit repeatable results on this machine.

    One thread a stage: sums are added in one order whatever the number of cores, and stages running
    side by side (`assay run --jobs`) use the cores better than threads inside one small model.
    """
    import torch

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True, warn_only=True)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.backends.cudnn.benchmark = False
    # Fills memory that is about to be overwritten: a safeguard that costs a tenth of a small model's time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def _count(variable: str, default: int, least: int) -> int:
    text = os.environ.get(variable, "")
    if not text:
        return default
    if not text.isdecimal() or int(text) < least:
        raise AssayError(f"{variable} is {text!r}: expected a whole number of at least {least}")
    return int(text)
