"""The real stages when sets, attributors, tables of scores and generators join a benchmark and leave it."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.tiny_benchmark import PARAMS, by_dvc, pictures, write_sheet


@pytest.mark.slow  # minutes; tests/test_benchmark_flow.py has a generator come and go in the toy repository
def test_what_joins_later_runs_only_what_it_touches_and_leaves_without_a_trace(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    """A set, an attributor on it and a table of scores join; then a generator that none of them has seen.

    The first to join are run by `assay run`, in what `dvc repro` made; what follows by `dvc repro` alone,
    with what `assay plan` makes of it held against what is run then.
    """
    workspace = by_dvc(tmp_path_factory).copy_to(tmp_path / "repo")
    before = workspace.lock()
    options = {"file": "sheet.csv", "sha256": write_sheet(workspace), "id": "id", "scale": "logit"}
    joined = {
        **PARAMS,
        "attributors": {"which": PARAMS["detectors"]["tiny"]},
        "given": {"sheet": {"kind": "scores", "seen": [], "options": options}},
        "train": {
            **PARAMS["train"],
            "sets": {"both": ["dcgan", "old"]},
            "samples": {"few": {"of": ["dcgan"], "images": 12, "prepare": {"generated": "jpeg(96)"}}},
        },
    }
    workspace.params(joined)
    workspace.run("assay", "run", "--jobs", "2")

    three = workspace.lock()
    assert {name for name in three if three[name] != before.get(name)} == {
        "start-attributor@which",
        "pool@both",
        "pool-sample@few",
        "train-sample@few-tiny-0",
        "evaluate-sample-real@few",
        "train-set@both-tiny-0",
        "train-attributor@both-which-0",
        "adopt@sheet",
        "evaluate-set-real@both",
        "evaluate-given-real@sheet",
        *(f"evaluate-set@both-{tested}" for tested in PARAMS["generators"]),
        *(f"evaluate-sample@few-{tested}" for tested in PARAMS["generators"]),
        *(f"evaluate-given@sheet-{tested}" for tested in PARAMS["generators"]),
        *(f"attribute@both-which-{tested}" for tested in PARAMS["generators"]),
        "gallery",
        "report",
    }
    table = pd.read_csv(workspace.root / "results/cells.csv")
    assert {*table["trained_on"].dropna()} == {"dcgan", "both", "few", "elsewhere"}
    answers = (workspace.root / "results/tables/attribution.md").read_text()
    assert all(name in answers for name in ("dcgan", "old"))
    assert "Which generator made it?" in (workspace.root / "results/index.html").read_text()

    results, hashes = workspace.results(), workspace.hashes()
    pictures(workspace.root / "data/new", 1, 36, first=100)
    workspace.run("dvc", "add", "-q", "data")
    entry = {"from": "data/new", "family": "vq-diffusion", "released": "2021-11"}
    train = {**joined["train"], "generators": ["dcgan", "new"]}
    generators = {**PARAMS["generators"], "new": entry}
    fewer: dict[str, Any] = {"given": {}, "attributors": {}}  # to save time: they joined once
    workspace.params({**joined, "generators": generators, "train": train, **fewer})
    planned = workspace.planned()
    workspace.run("dvc", "repro")

    four = workspace.lock()
    ran = {name for name in four if four[name] != three.get(name)}
    assert ran == {
        *(f"{stage}@new" for stage in ("generate", "dedupe", "split", "audit", "spectrum", "degrade")),
        "train@new-tiny-0",
        "evaluate-real@new",
        *(f"evaluate@new-{tested}" for tested in ("dcgan", "old", "new")),
        "evaluate@dcgan-new",
        "evaluate-set@both-new",
        "evaluate-sample@few-new",
        "audit-all",
        "gallery",
        "pool@both",  # looks at every generator, and writes what it wrote before
        "pool-sample@few",
        "report",
    }
    assert ran <= planned
    for pool in ("pool@both", "pool-sample@few"):
        assert four[pool]["outs"] == three[pool]["outs"], "so that nothing is trained again"
    table = pd.read_csv(workspace.root / "results/cells.csv")
    assert "new" in set(table["tested_on"]) and workspace.hashes() != hashes

    workspace.params(joined)
    workspace.run("dvc", "repro")
    table = pd.read_csv(workspace.root / "results/cells.csv")
    assert not {"new"} & {*table["tested_on"], *table["trained_on"]}
    assert workspace.hashes() == hashes and workspace.results() == results
