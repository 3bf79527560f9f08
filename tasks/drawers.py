"""Drawing on several devices: a process each, which share one folder of chunks."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import IO

from assets.errors import AssayError
from assets.images.chunks import Chunks
from assets.machine import DEVICE
from assets.progress import counter

_SECONDS = 0.5


def draw_side_by_side(name: str, chunks: Chunks, wanted: range, devices: Sequence[str]) -> None:
    """Draw the wanted chunks of generator `name` in one process a device; each takes the next free chunk.

    The processes read params.yaml in the current folder, as this one did.

    Raises:
        AssayError: what the first process that failed said; the others are ended.
    """
    command = [sys.executable, "-m", "tasks.generate", name, "--chunks", f"{wanted.start}:{wanted.stop}"]
    running: list[tuple[str, subprocess.Popen[bytes], IO[bytes]]] = []
    try:
        for device in devices:
            said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed below; a pipe nobody reads would fill up
            environment = {**os.environ, DEVICE: device}
            process = subprocess.Popen(command, env=environment, stdout=said, stderr=said)
            running.append((device, process, said))
        _watch(name, chunks, wanted, running)
        for device, _, said in running:
            for line in _words(said).splitlines():
                print(f"{device}: {line}", file=sys.stderr)
    finally:
        for _, process, said in running:
            process.kill()
            process.wait()
            said.close()


def _watch(
    name: str,
    chunks: Chunks,
    wanted: range,
    running: list[tuple[str, "subprocess.Popen[bytes]", IO[bytes]]],
) -> None:
    total = sum(len(chunks.images(number)) for number in wanted)
    with counter(f"generate {name} on {len(running)} devices", total) as bar:
        while True:
            ended = [process.poll() for _, process, _ in running]
            bar.update(chunks.num_finished(wanted) - bar.n)
            for (device, _, said), status in zip(running, ended, strict=True):
                if status:
                    words = _words(said).removeprefix("error: ")
                    raise AssayError(f"{name} on {device}: {words or f'ended with status {status}'}")
            if None not in ended:
                return
            time.sleep(_SECONDS)


def _words(said: IO[bytes]) -> str:
    said.seek(0)
    return said.read().decode("utf-8", "replace").strip()
