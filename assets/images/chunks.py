"""An image set made in chunks: each is one shard, made by whichever process claims it, on any machine.

The finished chunks lie in a folder under `.assay/partial` whose name is a hash over all that decides
what is drawn. Several processes may share that folder, and what another machine finished can be copied
into it. The set is put in place when every chunk is there.
"""

import fcntl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from assets.errors import AssayError
from assets.images.imageset import place_set, work_folder
from assets.images.packing import Row, ShardWriter, finished_rows, rows_path


class Chunks:
    """The chunks of the set at `path`: images 0 to `per_chunk` - 1 are chunk 0, and so on."""

    def __init__(self, path: Path, key: str, total: int, per_chunk: int) -> None:
        """Args: key: over all that decides what is in the set; another key does not resume."""
        self.path = path
        self.work = work_folder(path, f"{key}\n{total}\n{per_chunk}")
        self.work.mkdir(parents=True, exist_ok=True)
        self.count = -(-total // per_chunk)
        self._total = total
        self._per_chunk = per_chunk

    def images(self, number: int) -> range:
        """Numbers of the images in a chunk."""
        start = number * self._per_chunk
        return range(start, min(start + self._per_chunk, self._total))

    def num_finished(self, numbers: Iterable[int]) -> int:
        """Images in those of these chunks that are finished."""
        finished = (number for number in numbers if rows_path(self.work, number).exists())
        return sum(len(self.images(number)) for number in finished)

    @contextmanager
    def claim(self, number: int) -> Iterator[ShardWriter | None]:
        """The writer of a chunk, final when the block ends well; None if it is finished or being made.

        The claim is a lock that the system takes back when the process dies.
        """
        with (self.work / f"{number:05d}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield None
                return
            if finished_rows(self.work, number, self.path) is not None:
                yield None
                return
            writer = ShardWriter(self.work, number)
            try:
                yield writer
            except BaseException:
                writer.abandon()
                raise
            writer.close()

    def place(self) -> None:
        """Put the set in place.

        Raises:
            AssayError: a chunk is not finished.
        """
        rows: list[Row] = []
        for number in range(self.count):
            found = finished_rows(self.work, number, self.path)
            if found is None:
                raise AssayError(f"{self.path}: chunk {number} of {self.count} is not finished")
            rows += found
        place_set(self.path, self.work, rows)
