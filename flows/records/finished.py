"""Whether what lies in a workspace is one finished benchmark, all of a piece."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from assets import lineage as hashing
from assets.dag import REPORT, Dag, look_up
from assets.errors import AssayError
from assets.lineage import BENCHMARK, Hashes, Lineage, LineageError, printed
from assets.yaml12 import read_yaml


class NotFinished(AssayError):
    """There is no benchmark here that a record could stand for; the message says what is missing."""


def hashes_of_tables(root: Path) -> Hashes | None:
    """Of the tables, if they are those of what there is now."""
    try:
        on_paper = printed(root)
        return on_paper if on_paper == Lineage(root).benchmark() else None
    except LineageError:
        return None


def finished(root: Path) -> tuple[Lineage, Hashes]:
    """The lineage of the finished benchmark in `root`, and its hashes.

    Finished means: every stage that the report depends on is in dvc.lock; commands, parameters and code
    there are those that dvc.yaml, params.yaml and the files on the disk have now; and the tables are those
    that the report wrote, with its hash on them.

    Raises:
        NotFinished: something of that is not so.
        AssayError: dvc.yaml or params.yaml cannot be read.
    """
    lineage = Lineage(root)
    if REPORT not in lineage.dag.stages:
        raise NotFinished(f"dvc.yaml has no stage '{REPORT}': there are no tables to record")
    try:
        hashes = lineage.recorded_benchmark()
        if lineage.benchmark() != hashes:
            raise NotFinished("code or parameters have changed since the report was made; `assay run`")
        rows = lineage.tree()
    except LineageError as error:
        raise NotFinished(f"the benchmark is not finished: {error}") from None
    on_paper = printed(root, lineage.dag)
    if on_paper != hashes:
        found = f"the hash {on_paper.lineage[:16]}" if on_paper else "no hash"
        raise NotFinished(f"the tables print {found}, and dvc.lock gives {hashes.lineage[:16]}; `assay run`")
    for complaint in _out_of_date(root, lineage.dag, rows):
        raise NotFinished(f"{complaint}; `assay run`")
    for path, md5 in lineage.outputs(REPORT).items():
        if hashing.md5_of(root / path) != md5:
            raise NotFinished(f"{path} is not what the report wrote: something in it was changed by hand")
    return lineage, hashes


def _out_of_date(root: Path, dag: Dag, rows: list[dict[str, Any]]) -> Iterator[str]:
    """What dvc.lock records otherwise than dvc.yaml, params.yaml and the code on the disk have it."""
    documents = cache(lambda file: read_yaml(root / file))
    md5_now = cache(lambda path: hashing.md5_of(root / path))
    for row in rows:
        name = REPORT if row["stage"] == BENCHMARK else row["stage"]
        stage = dag[name]
        if row["cmd"] != stage.cmd:
            yield f"{name} ran as `{row['cmd']}`, and dvc.yaml says `{stage.cmd}`"
        if set(row["inputs"]) != {dep for dep in stage.deps if not dag.outs_behind(dep)}:
            yield f"{name} ran with other dependencies than dvc.yaml gives it"
        if {file: _values(documents(file), keys) for file, keys in stage.params.items()} != row["params"]:
            yield f"{name} ran with other parameters than there are now"
        for path, md5 in row["inputs"].items():
            if not _pinned(root, path) and (root / path).exists() and md5_now(path) != md5:
                yield f"{name} ran with another {path} than there is now"


def _values(document: dict[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    try:
        return {key: look_up(document, key) for key in keys} if keys else document
    except KeyError:
        return {}


def _pinned(root: Path, path: str) -> bool:
    """Whether DVC looks after it (data.dvc): raw images, which take long to read."""
    return any((root / f"{part}.dvc").is_file() for part in (path, *map(str, Path(path).parents)))
