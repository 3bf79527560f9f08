"""How long a detector takes from pixels in memory to a score, as in ImagiNet's Table 6 (arXiv 2407.20020)."""

import statistics
import time
import weakref
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from assets.detection import Judge
from models.detectors.detector import Detector


class Timing(NamedTuple):
    """What was measured; times are medians."""

    device: str
    """The name of the GPU, or `CPU` with its threads."""
    parameters: int
    """Numbers in its weights."""
    milliseconds: float
    """For one picture alone."""
    rate: float
    """Pictures a second in the best of the batches."""
    batch: int
    """That batch."""
    memory: int
    """Most bytes of tensors at a time in that batch, the weights among them."""


def measure(detector: Detector, spec: Judge, batches: Sequence[int] = (1, 8, 32), repeats: int = 5) -> Timing:
    """Time `detector.score` where the detector is: 8-bit crops of noise on the CPU -> scores on the CPU.

    Decoding and cropping are not in it. The first two runs of a batch warm up. A batch that does not fit into
    the GPU's memory ends the search for the best one.

    Args: batches: to choose the best from; 1 is always measured; repeats: of which the median is taken.
    """
    seconds = {1: _seconds(detector, spec, 1, repeats)}
    for batch in sorted(set(batches) - {1}):
        try:
            seconds[batch] = _seconds(detector, spec, batch, repeats)
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
            break
    best = min(seconds, key=lambda batch: seconds[batch] / batch)
    return Timing(
        device=_device(detector.mean.device),
        parameters=sum(weight.numel() for weight in detector.parameters()),
        milliseconds=1000 * seconds[1],
        rate=best / seconds[best],
        batch=best,
        memory=_memory(detector, _noise(spec, best)),
    )


def _noise(spec: Judge, batch: int) -> torch.Tensor:
    random = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (batch, 3, spec.crop, spec.crop), dtype=torch.uint8, generator=random)


def _seconds(detector: Detector, spec: Judge, batch: int, repeats: int) -> float:
    """Median over the repeats, of one batch; `score` waits for the device."""
    pixels, taken = _noise(spec, batch), []
    for number in range(2 + repeats):
        start = time.perf_counter()
        detector.score(pixels)
        if number >= 2:
            taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def _memory(detector: Detector, pixels: torch.Tensor) -> int:
    """Most bytes of tensors at a time; on a CPU what an operation needs inside itself is not seen."""
    kept = [*detector.parameters(), *detector.buffers()]
    weights = sum(tensor.untyped_storage().nbytes() for tensor in kept)
    if detector.mean.device.type == "cuda":
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        detector.score(pixels)
        return weights + torch.cuda.max_memory_allocated() - before
    with _Counted(kept) as counted:
        detector.score(pixels)
    return weights + counted.most


class _Counted(TorchDispatchMode):
    """Adds up the tensors that operations make for as long as they live."""

    def __init__(self, known: Sequence[torch.Tensor]) -> None:
        super().__init__()
        self.live, self.most = 0, 0
        self._seen = {id(tensor.untyped_storage()) for tensor in known}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self._add(tensor.untyped_storage())
        return result

    def _add(self, storage: torch.UntypedStorage) -> None:
        # One Python object stands for a storage as long as that lives: views of a tensor share it.
        name, size = id(storage), storage.nbytes()
        if name in self._seen:
            return
        self._seen.add(name)
        self.live += size
        self.most = max(self.most, self.live)
        weakref.finalize(storage, self._remove, name, size)

    def _remove(self, name: int, size: int) -> None:
        self._seen.discard(name)
        self.live -= size


def _device(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'s' * (threads > 1)}"
