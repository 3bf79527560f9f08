"""`assay refresh` on the real stages of a tiny benchmark: a dropped folder and a generator that fails."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.conftest import file_bytes, textured
from tests.tiny_benchmark import Workspace, clone

pytestmark = pytest.mark.slow


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Nothing has run yet."""
    found = clone(tmp_path / "repo", tmp_path / "prefect")
    git = ["git", "-c", "user.name=me", "-c", "user.email=me@example.test"]
    subprocess.run([*git, "add", "-A"], cwd=found.root, check=True)
    subprocess.run([*git, "commit", "-qm", "tiny"], cwd=found.root, check=True)
    found.environment |= {"ASSAY_SETTLE_SECONDS": "0"}
    return found


def _drop(root: Path, name: str) -> None:
    folder = root / "incoming" / name
    folder.mkdir(parents=True)
    for index in range(40):
        (folder / f"{index:02d}.png").write_bytes(file_bytes(textured(3000 + index, 32, 32)))
    (folder / "about.yaml").write_text("family: latent-diffusion\nreleased: 2023-07-26\ncontent: photo\n")


def test_a_dropped_folder_gets_into_the_tables_and_what_fails_is_named_there(workspace: Workspace) -> None:
    root = workspace.root
    said = workspace.run("assay", "refresh", "--jobs", "2")
    assert "# The first recorded benchmark" in said
    before = workspace.lock()

    _drop(root, "newcomer")
    params = yaml.safe_load((root / "params.yaml").read_text())
    params["fit"]["broken"] = {"kind": "pretrained", "options": {"id": "models/nowhere"}}
    params["generators"]["broken"] = {
        "from": "artifacts/fit/broken",
        "family": "gan",
        "released": "2020-01",
        "count": 8,
    }
    workspace.params(params)
    assert "a new folder: incoming/newcomer" in workspace.run("assay", "refresh", "--dry-run")
    assert "newcomer" not in (root / "params.yaml").read_text(), "--dry-run changes nothing"

    done = json.loads(workspace.run("assay", "refresh", "--jobs", "2", "--json"))
    assert list(done["set_aside"]) == ["broken"] and "/" not in done["set_aside"]["broken"].replace(
        "models/", ""
    )
    assert done["comparison"]["came"] == ["newcomer"]
    assert done["comparison"]["newcomers"]["newcomer"]["tiny"] is not None
    assert done["comparison"]["cells"]["new"] == 2, "clean and jpeg65"
    assert "report" in done["stages"]
    touched = {name for name in done["stages"] if name in before}
    assert not touched & {"collect@photos", "fit@dcgan", "generate@dcgan", "train@dcgan-tiny-0"}, touched
    table = (root / "results/tables/cross_generator.md").read_text()
    assert "newcomer" in table and "could not be made: broken" in table
    assert (root / "data/newcomer/manifest.parquet").is_file()
    assert done["lineage"][:16] in workspace.run("assay", "lineage", "--list")

    tables = workspace.results()
    assert "nothing new" in workspace.run("assay", "refresh")
    assert workspace.results() == tables
    print(
        said, json.dumps(done, indent=1), (root / ".assay/refresh.md").read_text(), table[:1500], sep="\n\n"
    )
