"""Loading in worker processes, with the same results for any number of them."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from torch import Generator
from torch.utils.data import DataLoader, Dataset

from assets.errors import AssayError
from assets.machine import num_workers

Key = TypeVar("Key")
Loaded = TypeVar("Loaded")
Batch = TypeVar("Batch")


def load_batches(
    load: Callable[[Key], Loaded],
    batches: Sequence[Sequence[Key]],
    join: Callable[[list[Loaded]], Batch],
) -> Iterator[Batch]:
    """Yield `join([load(key) for key in batch])` for each batch, in order.

    The work is done in `ASSAY_WORKERS` processes beside this one, or in this one. `load` may depend on
    its key alone, and it and `join` must survive pickling (no lambdas).

    Raises:
        AssayError: what `load` raised, with its message alone, wherever it ran.
    """
    loader = DataLoader(
        _Keyed(load),
        batch_sampler=[list(batch) for batch in batches],
        num_workers=num_workers(),
        collate_fn=_Join(join),
        generator=Generator(),  # its own, so that torch's global generator is left alone
    )
    for batch in loader:
        if isinstance(batch, _Failure):
            raise AssayError(batch.message)
        yield batch


def chunks(keys: Sequence[Key], most: int) -> list[Sequence[Key]]:
    """Cut `keys` into consecutive pieces of `most` items; the last may be shorter."""
    return [keys[start : start + most] for start in range(0, len(keys), most)]


class _Failure:
    """A user's mistake met in a worker: a DataLoader would bury its message in a traceback."""

    def __init__(self, message: str) -> None:
        self.message = message


class _Keyed(Dataset[Any], Generic[Key, Loaded]):
    def __init__(self, load: Callable[[Key], Loaded]) -> None:
        self.load = load

    def __getitem__(self, key: Key) -> Loaded | _Failure:
        try:
            return self.load(key)
        except AssayError as error:
            return _Failure(str(error))


class _Join(Generic[Loaded, Batch]):
    def __init__(self, join: Callable[[list[Loaded]], Batch]) -> None:
        self.join = join

    def __call__(self, items: list[Loaded | _Failure]) -> Batch | _Failure:
        good: list[Loaded] = []
        for item in items:
            if isinstance(item, _Failure):
                return item
            good.append(item)
        return self.join(good)
