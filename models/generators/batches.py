"""Draw in batches of one fixed shape, so that an image does not depend on how many are drawn with it."""

from collections.abc import Iterator, Sequence

from models.generators import Request


def fixed_batches(requests: Sequence[Request], count: int) -> Iterator[tuple[list[Request], int]]:
    """Batches of exactly `count` requests and how many to keep: the last one is filled up with repeats.

    A convolution or a matrix product sums in an order that depends on its shape (oneDNN and MKL pick another
    kernel for one picture than for eight), so an image drawn alone would differ in its last bits from the
    same image drawn among others. At one shape its place and its neighbours do not matter.
    """
    for start in range(0, len(requests), count):
        batch = list(requests[start : start + count])
        yield batch + [batch[-1]] * (count - len(batch)), len(batch)
