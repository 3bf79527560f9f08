"""flows/records/provenance.py: statements of the published form, that agree with the files and with git."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from assets.errors import AssayError
from assets.lineage import recorded_benchmark
from flows.records.provenance import provenance
from tests import toy

_HEX = {
    "type": "object",
    "minProperties": 1,
    "additionalProperties": {"type": "string", "pattern": "^[0-9a-f]{32,128}$"},
}
_RESOURCE = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "uri": {"type": "string", "format": "uri"},
        "digest": _HEX,
        "content": {"type": "string"},
        "downloadLocation": {"type": "string"},
        "mediaType": {"type": "string"},
        "annotations": {"type": "object"},
    },
    "additionalProperties": False,
    "anyOf": [{"required": ["uri"]}, {"required": ["digest"]}, {"required": ["content"]}],
}
_URI = {"type": "string", "pattern": "^[a-z][a-z0-9+.-]*:"}
# in-toto's specification of Statement v1 and ResourceDescriptor, and SLSA's of its predicate v1
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "_type": {"const": "https://in-toto.io/Statement/v1"},
        "subject": {
            "type": "array",
            "minItems": 1,
            "items": {**_RESOURCE, "required": ["name", "digest"]},
        },
        "predicateType": {"const": "https://slsa.dev/provenance/v1"},
        "predicate": {
            "type": "object",
            "properties": {
                "buildDefinition": {
                    "type": "object",
                    "properties": {
                        "buildType": _URI,
                        "externalParameters": {"type": "object", "minProperties": 1},
                        "internalParameters": {"type": "object"},
                        "resolvedDependencies": {"type": "array", "items": _RESOURCE},
                    },
                    "required": ["buildType", "externalParameters"],
                    "additionalProperties": False,
                },
                "runDetails": {
                    "type": "object",
                    "properties": {
                        "builder": {
                            "type": "object",
                            "properties": {
                                "id": _URI,
                                "version": {"type": "object", "additionalProperties": {"type": "string"}},
                                "builderDependencies": {"type": "array", "items": _RESOURCE},
                            },
                            "required": ["id"],
                            "additionalProperties": False,
                        },
                        "metadata": {
                            "type": "object",
                            "properties": {
                                "invocationId": {"type": "string"},
                                "startedOn": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT[\d:]{8}Z$"},
                                "finishedOn": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT[\d:]{8}Z$"},
                            },
                            "additionalProperties": False,
                        },
                        "byproducts": {"type": "array", "items": _RESOURCE},
                    },
                    "required": ["builder"],
                    "additionalProperties": False,
                },
            },
            "required": ["buildDefinition", "runDetails"],
            "additionalProperties": False,
        },
    },
    "required": ["_type", "subject", "predicateType", "predicate"],
    "additionalProperties": False,
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return toy.finished_repo(tmp_path / "repo")


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _digests(found: list[dict[str, Any]]) -> dict[str, dict[str, str]]:
    return {one["name"]: one["digest"] for one in found}


def test_the_tables_that_are_here(root: Path) -> None:
    _git(root, "remote", "add", "origin", "https://user:hush@host.example/lab/bench.git")
    document = json.loads(json.dumps(provenance(root)))
    jsonschema.validate(document, SCHEMA)
    tables = _digests(document["subject"])
    assert {"results/tables/cross_generator.md", "results/lineage.json"} <= set(tables)
    for name, digest in tables.items():
        assert digest == {"sha256": hashlib.sha256((root / name).read_bytes()).hexdigest()}
    build, run = (document["predicate"][part] for part in ("buildDefinition", "runDetails"))
    hashes = recorded_benchmark(root)
    assert build["externalParameters"]["recipe"] == hashes.recipe
    assert build["externalParameters"]["params"]["generators"].keys() == {"a", "b"}
    assert run["metadata"]["invocationId"].endswith(hashes.lineage)
    tag = f"assay/{hashes.lineage[:16]}"
    commit = build["resolvedDependencies"][0]
    assert commit["uri"] == f"git+https://host.example/lab/bench.git@refs/tags/{tag}"
    assert commit["digest"]["gitCommit"] == _git(root, "rev-parse", f"{tag}^{{commit}}")
    pinned = [one for one in build["resolvedDependencies"] if one["name"] == "data"]
    assert pinned[0]["annotations"]["dvc"] in (root / "data.dvc").read_text()


def test_a_record_needs_no_results(root: Path) -> None:
    here = provenance(root)
    lineage = recorded_benchmark(root).lineage
    clone = root.parent / "clone"
    _git(root.parent, "clone", "-q", str(root), str(clone))
    there = provenance(clone, lineage[:8], builder="https://lab.example/runners/1")
    jsonschema.validate(json.loads(json.dumps(there)), SCHEMA)
    ours, theirs = (_digests(one["subject"]) for one in (here, there))
    assert "results/tables/cross_generator.md" in theirs and theirs.items() <= ours.items()
    assert there["predicate"]["runDetails"]["builder"]["id"] == "https://lab.example/runners/1"
    definitions = [one["predicate"]["buildDefinition"] for one in (here, there)]
    assert definitions[0]["externalParameters"] == definitions[1]["externalParameters"]
    dependencies = [_digests(one["resolvedDependencies"]) for one in definitions]
    assert dependencies[0] == dependencies[1]


def test_a_table_that_was_changed_by_hand_gets_no_statement(root: Path) -> None:
    table = root / "results" / "tables" / "cross_generator.md"
    table.write_text("| another |\n")
    with pytest.raises(AssayError, match="changed by hand"):
        provenance(root)
    with pytest.raises(AssayError, match="no record has a hash"):
        provenance(root, "abcd1234")


def test_the_command_prints_it(root: Path) -> None:
    command = [sys.executable, "-m", "flows.cli", "provenance"]
    done = subprocess.run(command, cwd=root, env=toy.environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    jsonschema.validate(json.loads(done.stdout), SCHEMA)
