"""What `dvc metrics` and `dvc plots` make of two commits' reports, by the real dvc.yaml's own words."""

import json
import subprocess
from pathlib import Path
from typing import Any

import yaml

from assets.report.dvc_files import headline_metrics, write_dvc_files
from tests import toy
from tests.conftest import REPO
from tests.made_up import benchmark_params
from tests.made_up_page import made_up_results


def repository(root: Path) -> None:
    """A repository whose only stage makes results/; metrics and plots are those of our dvc.yaml."""
    ours = yaml.safe_load((REPO / "dvc.yaml").read_text())
    document = {
        "stages": {"report": {"cmd": "true", "outs": ["results"]}},
        "metrics": ours["metrics"],
        "plots": ours["plots"],
    }
    root.mkdir()
    (root / "dvc.yaml").write_text(yaml.safe_dump(document))
    git(root, "init", "-q")
    toy.dvc(root, "init", "-q")


def git(root: Path, *arguments: str) -> None:
    about = ("-c", "user.name=toy", "-c", "user.email=toy@toy")
    subprocess.run(["git", *about, *arguments], cwd=root, check=True)


def commit(root: Path, results: Any) -> None:
    """Write what a report writes for others' programs, and commit it."""
    write_dvc_files(root / "results", results)
    (root / "results/figures").mkdir(exist_ok=True)
    (root / "results/figures/curve.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    toy.dvc(root, "commit", "-q", "-f")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "results")


def test_two_reports_are_compared_as_users_do_it(tmp_path: Path) -> None:
    root = tmp_path / "repo"
    repository(root)
    older = made_up_results(tmp_path / "older", benchmark_params(("dcgan", "ldm"), ("npr",), ("jpeg65",)))
    commit(root, older)
    newer = made_up_results(tmp_path / "newer", benchmark_params(("dcgan", "ddpm"), ("npr",), ("jpeg65",)))
    commit(root, newer)

    change = json.loads(toy.dvc(root, "metrics", "diff", "HEAD~1", "--json"))["results/metrics.json"]
    found = change["detectors.npr.cross_generator.clean.auroc"]
    wanted = [
        headline_metrics(one)["detectors"]["npr"]["cross_generator"]["clean"]["auroc"]
        for one in (older, newer)
    ]
    assert [found["old"], found["new"]] == wanted and wanted[0] != wanted[1]
    assert "images.ddpm" in change

    drawn = json.loads(toy.dvc(root, "plots", "diff", "HEAD~1", "--json"))["data"]
    assert {"cross_generator", "conditions"} <= {*drawn}
    assert any(name.endswith("curve.svg") for name in drawn)
    (bars,) = [one for one in drawn["cross_generator"] if one["type"] == "vega"]
    assert {*bars["revisions"]} == {"workspace", "HEAD~1"}
    points = [point for point in bars["content"]["data"]["values"] if point["rev"] == "workspace"]
    assert [point["cell"] for point in points] == [
        f"npr: {one} > {other}" for one in ("dcgan", "ddpm") for other in ("dcgan", "ddpm")
    ]
