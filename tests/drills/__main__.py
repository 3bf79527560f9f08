"""Run all drills, or those that are named, and write what was seen into the table of docs/faults.md."""

import fcntl
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from flows.running.chain import CHAIN
from tests import toy
from tests.drills import disks
from tests.drills.catalogue import DRILLS, MOUNTS
from tests.drills.real import Real, families, in_turn
from tests.drills.scene import Seen, undisturbed

PAGE = toy.ROOT / "docs/faults.md"
_BEGIN, _END = "<!-- drills -->\n", "<!-- end of drills -->\n"
_HEAD = [
    "| drill | what was hit | when | what the run did | all gone after | a restart ran | hash, dvc.lock |",
    "|---|---|---|---|---|---|---|",
]
_REAL = [f"real {family}" for family in CHAIN]


def main(names: list[str]) -> int:
    """Returns how many failed."""
    wanted = names or [*DRILLS, *_REAL]
    if unknown := [name for name in wanted if name not in DRILLS and name not in _REAL]:
        sys.exit(f"there is no drill {unknown[0]!r}; there are: {', '.join([*DRILLS, *_REAL])}")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it otherwise
    folder = Path(tempfile.mkdtemp(prefix="assay-drills-"))
    failed = 0
    try:
        for name, drill in _chosen(wanted, folder):
            try:
                record(name, drill())
            except Exception:
                failed += 1
                print(f"{name}: FAILED", flush=True)
                traceback.print_exc()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return failed


def record(name: str, seen: Seen) -> None:
    """Put what was seen into its row of the page's table."""
    gone = "" if seen.gone is None else f"{seen.gone:.1f} s"
    same = "the same" if seen.same else "**DIFFERENT**"
    cells = [name, seen.what, seen.when, seen.then, gone, ", ".join(seen.again) or "nothing", same]
    row = f"| {' | '.join(cells)} |"
    print(row, flush=True)
    with PAGE.open() as page:
        fcntl.flock(page, fcntl.LOCK_EX)  # another process may be running other drills
        _enter(name, row)


def _enter(name: str, row: str) -> None:
    before, _, rest = PAGE.read_text("utf-8").partition(_BEGIN)
    table, _, after = rest.partition(_END)
    kept = [line for line in table.splitlines()[len(_HEAD) :] if line.startswith("| ")]
    rows = {line.split(" | ")[0].removeprefix("| "): line for line in kept} | {name: row}
    known = [*DRILLS, *_REAL]
    lines = [*_HEAD, *(rows[one] for one in known if one in rows)]
    if missing := [one for one in known if one not in rows]:
        lines += ["", f"Not seen yet, or not since it last changed: {', '.join(missing)}."]
    PAGE.write_text(before + _BEGIN + "\n".join(lines) + "\n" + _END + after, "utf-8")


def _chosen(names: list[str], folder: Path) -> Iterator[tuple[str, partial[Seen]]]:
    """Each drill, ready to be called; what they are compared with is made when it is needed."""
    quick = [name for name in names if name in DRILLS]
    slow = [name for name in names if name in _REAL]
    mountable = disks.may_mount()
    if quick:
        whole = undisturbed(folder / "whole")
    for name in quick:
        if name in MOUNTS and not mountable:
            print(f"{name}: skipped, this process may not mount a file system", flush=True)
        else:
            yield name, partial(DRILLS[name], whole, folder / name / "repo")
    if slow:
        real = Real(folder / "real" / "repo")
        stages = families(real)
        for name in slow:
            stage = stages[name.removeprefix("real ")]
            yield name, partial(in_turn, real, folder / name / "repo", stage)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
