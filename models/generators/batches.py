"""Draw in batches of one fixed shape, so that an image does not depend on how many are drawn with it.

Where the device's memory is too small for a batch, batches become half as large, for this drawer's life.
"""

import sys
from collections.abc import Callable, Iterator, Sequence

import torch

from assets.errors import AssayError
from models.generators import Drawn, Request

NO_MEMORY = (
    "out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "DefaultCPUAllocator: can't allocate memory",
)
"""What torch and its libraries say when an allocation fails; not all of them raise OutOfMemoryError."""


def fixed_batches(requests: Sequence[Request], count: int) -> Iterator[tuple[list[Request], int]]:
    """Batches of exactly `count` requests and how many to keep: the last one is filled up with repeats.

    A convolution or a matrix product sums in an order that depends on its shape (oneDNN and MKL pick another
    kernel for one picture than for eight), so an image drawn alone would differ in its last bits from the
    same image drawn among others. At one shape its place and its neighbours do not matter.
    """
    for start in range(0, len(requests), count):
        batch = list(requests[start : start + count])
        yield batch + [batch[-1]] * (count - len(batch)), len(batch)


class HalvingBatches:
    """Batches of `count`, halved whenever one does not fit in memory.

    The noise of an image does not change with it, so that its pictures of two batch sizes are the same up to
    the last bits, which the kernels of another shape round in another way. An image of a smaller batch than
    was asked for says so in its note: {"batch": n}.
    """

    def __init__(self, count: int, what: str) -> None:
        """Args: what: names the model in messages."""
        self.asked = self.count = count
        self.what = what

    def draw(self, requests: Sequence[Request], batch: Callable[[list[Request]], list[Drawn]]) -> list[Drawn]:
        """One result per request, of `batch`, which is called with as many requests as a batch holds.

        Raises:
            AssayError: one image alone does not fit in memory.
        """
        done: list[Drawn] = []
        while len(done) < len(requests):
            filled, used = next(fixed_batches(requests[len(done) :], self.count))
            if (drawn := _unless_memory_ends(batch, filled)) is None:
                self._halve()
                continue
            own = {} if self.count == self.asked else {"batch": self.count}
            done += [one._replace(note={**one.note, **own}) for one in drawn[:used]]
        return done

    def _halve(self) -> None:
        if self.count == 1:
            raise AssayError(
                f"{self.what}: not even one image at a time fits in memory; set the generator's "
                "sampler.dtype to bfloat16 or its height and width lower, or draw on a larger device"
            )
        before, self.count = self.count, self.count // 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        print(
            f"warning: {self.what}: {before} images at a time do not fit in memory; drawing {self.count} at "
            "a time from here on",
            file=sys.stderr,
            flush=True,
        )


def out_of_memory(error: BaseException) -> bool:
    """Whether this is a failed allocation."""
    return isinstance(error, torch.OutOfMemoryError) or any(said in str(error) for said in NO_MEMORY)


def _unless_memory_ends(
    batch: Callable[[list[Request]], list[Drawn]], requests: list[Request]
) -> list[Drawn] | None:
    """What `batch` draws; None if memory ends. The error, which holds tensors alive, ends in here."""
    try:
        return batch(requests)
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
    return None
