"""Loading in worker processes, with the same results for any number of them."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from torch import Generator
from torch.utils.data import DataLoader, Dataset

from assets.errors import AssayError
from assets.machine import device, num_workers

Key = TypeVar("Key")
Loaded = TypeVar("Loaded")
Batch = TypeVar("Batch")


class Loader(Generic[Key, Loaded, Batch]):
    """Loads round after round (epochs, say) with processes that are started once.

    Call it with batches of keys; it yields `join([load(key) for key in batch])` for each, in order. A round
    that is left early is forgotten when the next one begins; two at a time cannot be.
    """

    def __init__(self, load: Callable[[Key], Loaded], join: Callable[[list[Loaded]], Batch]) -> None:
        """Args: load: must depend on its key alone; it and `join` must survive pickling (no lambdas).

        The work is done in `ASSAY_WORKERS` processes beside this one, or in this one. For a GPU, tensors
        come in pinned memory, from where they are copied while it computes.
        """
        workers = num_workers()
        self._round = _Round()
        self._loader = DataLoader(
            _Keyed(load),
            batch_sampler=self._round,
            num_workers=workers,
            persistent_workers=workers > 0,
            collate_fn=_Join(join),
            pin_memory=device().startswith("cuda"),
            generator=Generator(),  # its own, so that torch's global generator is left alone
        )

    def __call__(self, batches: Sequence[Sequence[Key]]) -> Iterator[Batch]:
        """Raises:
        AssayError: what `load` raised, with its message alone, wherever it ran.
        """
        self._round.batches = [list(batch) for batch in batches]
        for batch in self._loader:
            if isinstance(batch, _Failure):
                raise AssayError(batch.message)
            yield batch


def load_batches(
    load: Callable[[Key], Loaded],
    batches: Sequence[Sequence[Key]],
    join: Callable[[list[Loaded]], Batch],
) -> Iterator[Batch]:
    """One round of a `Loader` that is then done with."""
    return Loader(load, join)(batches)


def chunks(keys: Sequence[Key], most: int) -> list[Sequence[Key]]:
    """Cut `keys` into consecutive pieces of `most` items; the last may be shorter."""
    return [keys[start : start + most] for start in range(0, len(keys), most)]


class _Round:
    """What a DataLoader asks at the beginning of every round for the batches of it."""

    batches: list[list[Any]]

    def __init__(self) -> None:
        self.batches = []

    def __iter__(self) -> Iterator[list[Any]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


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
