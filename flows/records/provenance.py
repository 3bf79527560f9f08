"""Provenance of released tables, for tools that check such: an in-toto Statement with a SLSA predicate.

It says of every table, by sha256: made by this program, from this commit, these inputs and parameters. It is
not signed: whoever releases the tables signs it (docs/standards.md).

Formats: https://in-toto.io/Statement/v1, https://slsa.dev/provenance/v1.
"""

import hashlib
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from assets.dag import DVC_YAML, REPORT, load_dag
from assets.errors import AssayError
from assets.lineage import LOCK, PRINTED
from assets.yaml12 import PARAMS_YAML, read_yaml
from flows.records.origin import origin
from flows.records.records import Record, find, lineage_of, record_finished, unpack

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
BUILD = "urn:assay:benchmark:1"
"""The build type; docs/standards.md says what its parameters mean."""
BUILDER = "urn:assay:local"
"""Whoever ran it, on a machine of their own: nobody vouches for it."""
_TABLES = ("tables/*", "cells.csv", "metrics.json", "summary.json", "DATACARD.md", PRINTED)


def provenance(root: Path, prefix: str | None = None, builder: str = BUILDER) -> dict[str, Any]:
    """The statement about a record's tables, or about those that are in results/ now; ready for JSON.

    Tables that are not recorded yet are recorded first: the statement names the commit that holds all they
    were made from, also what was never committed.

    Args:
        prefix: a hash or its beginning, see `flows.records.records.find`; None: what is here now.
        builder: URI of what ran it, as those who check the statement know it.

    Raises:
        AssayError: an unknown hash, no finished benchmark, no git repository.
    """
    if prefix is not None:
        record = find(root, prefix)
        lineage_of(root, record)  # refuses one that was tampered with
        with tempfile.TemporaryDirectory(prefix="assay-provenance-") as scratch:
            unpack(root, record, Path(scratch), ["."])
            return _statement(root, Path(scratch), record, builder)
    made = record_finished(root)
    if made is None:
        raise AssayError(
            f"{root.resolve()} is in no git repository: there is no commit to name as the source"
        )
    return _statement(root, root, made, builder)


def _statement(root: Path, files: Path, record: Record, builder: str) -> dict[str, Any]:
    """About the tables of `record`, which lie in the workspace `files`."""
    report = files / load_dag(files)[REPORT].outs[0]
    tables = sorted({path for pattern in _TABLES for path in report.glob(pattern) if path.is_file()})
    if not tables:
        raise AssayError(f"{record.tag} has no tables")
    return {
        "_type": STATEMENT,
        "subject": [_described(path, files) for path in tables],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD,
                "externalParameters": {"recipe": record.recipe, "params": read_yaml(files / PARAMS_YAML)},
                "internalParameters": {"environment": record.environment},
                "resolvedDependencies": [
                    _commit(root, record),
                    *(_described(files / name, files) for name in (DVC_YAML, PARAMS_YAML, LOCK)),
                    *_inputs(files),
                ],
            },
            "runDetails": {
                "builder": {"id": builder, "version": {"assay": metadata.version("assay-benchmark")}},
                "metadata": {
                    "invocationId": f"urn:assay:lineage:{record.lineage}",
                    "finishedOn": record.made,
                },
            },
        },
    }


def _commit(root: Path, record: Record) -> dict[str, Any]:
    """The commit that the record's tag points to: code, parameters and pins."""
    _, url = origin(root)
    where = {"uri": f"git+{url}@refs/tags/{record.tag}"} if url and "://" in url else {}
    return {"name": record.tag, **where, "digest": {"gitCommit": record.commit}}


def _inputs(files: Path) -> Iterator[dict[str, Any]]:
    """The files that pin data, and what they pin: DVC names a folder by the MD5 of its list of files."""
    for pin in sorted(files.glob("*.dvc")):
        if not pin.is_file():
            continue  # .dvc/
        yield _described(pin, files)
        for out in read_yaml(pin).get("outs") or ():
            digest = {"md5": str(out["md5"]).removesuffix(".dir")}
            yield {"name": out["path"], "digest": digest, "annotations": {"dvc": out["md5"]}}


def _described(path: Path, files: Path) -> dict[str, Any]:
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"name": path.relative_to(files).as_posix(), "digest": {"sha256": sha256}}
