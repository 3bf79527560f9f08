"""The command line: what it prints, what it refuses and with which status."""

import json
import os
import shutil
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import yaml

from assets.lineage import Lineage
from flows import cli
from flows.editing import presets
from flows.planning.plan import Planned
from flows.running.display import Display, in_words
from tests import toy
from tests.conftest import file_bytes, textured


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = toy.finished_repo(tmp_path / "repo")
    (root / "presets").mkdir()
    shutil.copyfile(root / "params.yaml", root / "presets" / "mini.yaml")
    monkeypatch.chdir(root)
    return root


def _assay(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> str:
    """Run `assay ARGUMENTS` in this process; what it printed to both streams."""
    before = sys.argv
    sys.argv = ["assay", *arguments]
    try:
        cli.main()
        raise AssertionError("a command line ends with an exit status")
    except SystemExit as end:
        printed = capsys.readouterr()
        assert (end.code or 0) == status, printed.out + printed.err
    finally:
        sys.argv = before
    return printed.out + printed.err


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    text = _assay(capsys, "--help")
    assert "assay use mini" in text
    for command in (
        "use",
        "plan",
        "run",
        "table",
        "lineage",
        "add",
        "generators",
        "detectors",
        "import",
        "score",
    ):
        assert f"assay {command}" in _assay(capsys, command, "--help"), f"{command} has no example"


def test_plan(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _assay(capsys, "plan") == "everything is up to date\n"
    toy.set_params(root, train={"generators": ["a"], "sets": {}, "samples": {}, "seeds": [0, 1]})
    text = _assay(capsys, "plan")
    assert "train@a-net-1  8       new" in text
    assert "4 stages would run" in text
    planned = json.loads(_assay(capsys, "plan", "--json", "train"))
    assert [stage["stage"] for stage in planned] == ["train@a-net-1"]
    assert planned[0]["why"] == ["new"]


def test_a_run_with_nothing_to_do_starts_no_server(root: Path) -> None:
    home = root / "prefect"
    result = subprocess.run(
        [sys.executable, "-m", "flows.cli", "run"],
        env={**toy.environment(PREFECT_HOME=str(home)), "ASSAY_DEVICE": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout) == (0, "everything is up to date\n"), result.stderr
    assert not home.exists()


def test_a_failed_run_has_status_1(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class RunFailed(Exception):
        pass

    def benchmark(**given: Any) -> None:
        assert given == {"jobs": 3, "targets": ["train"], "remote": False}
        raise RunFailed("1 of 7 stages failed")

    module = types.SimpleNamespace(RunFailed=RunFailed, TerminationSignal=SystemError, benchmark=benchmark)
    monkeypatch.setitem(sys.modules, "flows.benchmark", module)
    toy.set_params(root, seed=2)
    assert "1 of 7 stages failed" in _assay(capsys, "run", "--jobs", "3", "train", status=1)


def test_terms_are_told_before_anything_is_drawn(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class RunFailed(Exception):
        pass

    def benchmark(**given: Any) -> None:
        print("it runs")
        raise RunFailed("1 of 3 stages failed")

    module = types.SimpleNamespace(RunFailed=RunFailed, TerminationSignal=SystemError, benchmark=benchmark)
    monkeypatch.setitem(sys.modules, "flows.benchmark", module)
    imported = {"from": "data/c", "family": "proprietary", "released": "2023-03"}
    toy.set_params(root, generators={**toy.PARAMS["generators"], "midjourney": imported})
    note = "note: midjourney is non-commercial: GenImage's images are for non-commercial use"
    assert note in _assay(capsys, "plan")
    assert note not in _assay(capsys, "plan", "generate@a", "generate@b")
    assert note in _assay(capsys, "run", "generate", status=1)


def test_mistakes_are_one_message_and_status_2(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _assay(capsys, "plan", "trian", status=2).startswith("error: 'trian' is neither a stage")
    assert "no preset 'mnii'; did you mean 'mini'" in _assay(capsys, "use", "mnii", status=2)
    assert "did you mean 'cross_generator'" in _assay(capsys, "table", "cros_generator", status=2)
    shutil.rmtree(root / "data")
    toy.set_params(root, seed=2)
    assert "`assay use mini` packs" in _assay(capsys, "run", status=2)
    shutil.rmtree(root / "results")
    assert "`assay run` makes them" in _assay(capsys, "table", status=2)
    (root / "params.yaml").unlink()
    assert "`assay use mini` writes one" in _assay(capsys, "plan", status=2)


def test_table(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _assay(capsys, "table") == "| a table |\n"
    assert _assay(capsys, "table", "--csv") == "a,table\n"
    assert _assay(capsys, "table", "--list") == "cross_generator\n"
    assert "one of them" in _assay(capsys, "table", "--csv", "--latex", status=2)
    text = (root / "dvc.lock").read_text()
    (root / "dvc.lock").write_text(text.replace("toy.py artifacts/generate", "toy.py  artifacts/generate"))
    assert "has changed since" in _assay(capsys, "table", "cross_generator")
    assert "the tables in results/ print" in _assay(capsys, "lineage")


def test_report(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = _assay(capsys, "report")
    assert said.startswith("- net does best.\n") and "results/index.html" in said
    shutil.rmtree(root / "results")
    assert "`assay run` makes it" in _assay(capsys, "report", status=2)


def test_lineage(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lineage = Lineage(root)
    listing = _assay(capsys, "lineage")
    assert lineage.recorded_benchmark().lineage[:16] in listing
    assert listing.count("\n") == 1 + len(toy.STAGES)
    by_hash = _assay(capsys, "lineage", lineage.stage("generate@b").recipe[:12])
    assert by_hash == _assay(capsys, "lineage", "artifacts/generate/b")
    assert by_hash == _assay(capsys, "lineage", "generate@b")
    assert "command python toy.py artifacts/generate/b" in by_hash
    assert '"count": 10' in by_hash
    assert json.loads(_assay(capsys, "lineage", "results", "--json")) == lineage.tree()
    assert "no stage and no benchmark" in _assay(capsys, "lineage", "0123456789abcdef", status=2)


def test_generators_and_detectors(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = json.loads(_assay(capsys, "generators", "--json"))
    assert [row["name"] for row in rows][:2] == ["a", "b"], "then come those that only have a card"
    assert {row["name"]: row["state"] for row in rows}["sd15"] == "card: `assay add sd15`"
    assert rows[1]["runs"] == "imported from data/b"
    assert rows[0]["state"] == "up to date"
    text = _assay(capsys, "generators")
    assert "imported from data/a" in text
    assert "FLUX.1 [dev] Non-Commercial License" in text
    toy.set_params(root, detectors={"net": {"model": "resnet18", "lr": 0.1}})
    rows = json.loads(_assay(capsys, "detectors", "--json"))
    assert rows[0]["trained"] == "0/1"
    assert "parameter changed: detectors.net" in rows[0]["state"]
    assert {row["name"]: row["state"] for row in rows}["resnet18"] == "card: `assay add resnet18`"
    text = _assay(capsys, "detectors")
    assert "Apache-2.0 (code and weights of timm)" in text and "0/1" in text
    made, told = {"model": "resnet18", "weights": "timm"}, {"kind": "scores", "options": {"file": "x.csv"}}
    sets = {"generators": ["a"], "sets": {"both": ["a", "b"]}, "samples": {}, "seeds": [0, 1]}
    toy.set_params(root, attributors={"which": {}}, given={"made": made, "told": told}, train=sets)
    rows = {row["name"]: row for row in json.loads(_assay(capsys, "detectors", "--json"))}
    assert {name: rows[name]["trained"] for name in ("net", "which", "made", "told")} == {
        "net": "1/2",  # the toy has no stages for sets
        "which": "0/0",
        "made": None,
        "told": None,
    }
    assert [rows[name]["section"] for name in ("net", "which", "made")] == [
        "detectors",
        "attributors",
        "given",
    ]


@pytest.fixture
def photos(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stands in for the photographs; its one element is what comes out."""
    content = ["bytes"]

    def pack_photos(out: Path) -> int:
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        (out / "x.txt").write_text(content[0])
        return 1

    monkeypatch.setitem(sys.modules, "tasks.photos", types.SimpleNamespace(pack_photos=pack_photos))
    return content


def test_use_keeps_changes_unless_told_otherwise(
    root: Path, capsys: pytest.CaptureFixture[str], photos: list[str]
) -> None:
    toy.set_params(root, seed=7)
    assert "has changes that no preset has" in _assay(capsys, "use", "mini", status=2)
    assert "seed: 7" in (root / "params.yaml").read_text()
    text = _assay(capsys, "use", "mini", "--force")
    assert "data/photos: 1 photographs, pinned in data.dvc" in text
    assert (root / "params.yaml").read_bytes() == (root / "presets/mini.yaml").read_bytes()


def test_use_works_where_there_are_no_params_yet(root: Path, photos: list[str]) -> None:
    (root / "params.yaml").unlink()
    assert presets.use(root, "mini")


def test_other_pictures_than_the_pinned_ones_are_refused(
    root: Path, capsys: pytest.CaptureFixture[str], photos: list[str]
) -> None:
    for name in ("a", "b", "c"):
        shutil.rmtree(root / "data" / name)
    presets.use(root, "mini", force=True)
    git = ["git", "-c", "user.name=toy", "-c", "user.email=toy@toy", "commit", "-qam", "pin"]
    subprocess.run(git, cwd=root, check=True)
    assert presets.use(root, "mini"), "the same bytes are welcome"
    pinned = (root / "data.dvc").read_text()
    photos[0] = "other bytes"
    text = _assay(capsys, "use", "mini", status=2)
    assert "data/photos came out with other bytes" in text
    assert "constraints.txt" in text
    assert (root / "data.dvc").read_text() == pinned
    assert presets.use(root, "mini", force=True)
    assert (root / "data.dvc").read_text() != pinned


def _pictures(folder: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(file_bytes(textured(number, 16, 16)))
    return folder


def test_import_packs_pins_and_says_what_to_paste(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = _pictures(tmp_path / "some", "a.png", "b.png")
    (folder / "cut.png").write_bytes(b"")
    (folder / "notes.txt").write_text("x")
    pinned = (root / "data.dvc").read_text()
    given = ["import", str(folder), "--as", "new", "--family", "gan", "--released", "2023-07"]
    text = _assay(capsys, *given)
    assert text.startswith("layout: folder (it has no layout of its own)\n")
    assert "data/new: 3 generated pictures\n" in text
    assert "  1 of them cannot be read and are kept as such rows: 1 empty file\n" in text
    assert "pinned in data.dvc\n1 other files were left out" in text
    assert "generators:\n  new:\n    from: data/new\n    family: gan\n    released: 2023-07" in text
    assert (root / "data.dvc").read_text() != pinned
    assert "data/new: 3 generated pictures; unchanged since it was imported" in _assay(capsys, *given)


def test_import_of_a_release_writes_several_sets(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    release = _pictures(
        tmp_path / "GenImage",
        "ADM/imagenet_ai_0508_adm/train/ai/115_adm_135.PNG",
        "ADM/imagenet_ai_0508_adm/val/ai/0_adm_174.PNG",
        "wukong/imagenet_ai_0424_wukong/train/ai/0_wukong_image0.png",
        "wukong/imagenet_ai_0424_wukong/train/nature/n03495258_20762.JPEG",
    )
    (release / "ADM/imagenet_ai_0508_adm/train/ai/115_adm_135.PNG").write_bytes(b"")
    text = _assay(capsys, "import", str(release))
    assert "layout: genimage (GenImage/.../ADM/imagenet_ai_0508_adm/train/ai is GenImage's tree)" in text
    assert "data/adm: 2 generated pictures (1 test, 1 train)" in text
    assert "  1 of adm's 6 files known to be corrupt in the release: 115_adm_135.PNG" in text
    assert "data/genimage_nature: 1 real pictures (1 train)" in text
    entries = yaml.safe_load(text[text.index("generators:") : text.index("train and test as published")])
    assert entries == {
        "generators": {
            "adm": {"from": "data/adm", "family": "pixel-diffusion", "released": "2021-05"},
            "wukong": {"from": "data/wukong", "family": "latent-diffusion", "released": "2022-11"},
        },
        "real": {"genimage_nature": {"from": "data/genimage_nature"}},
    }
    assert "`published: true` under `split`" in text
    assert (root / "data/wukong/manifest.parquet").exists()
    text = _assay(capsys, "import", str(release), "--real", status=2)
    assert "--real is not for the layout genimage, but for folder, webdataset" in text


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--as", "Bad Name", "--real"], "lower-case"),
        (["--as", "x", "--family", "gna"], "did you mean 'gan'"),
        (["--as", "x"], "--family is missing"),
        (["--real"], "--as NAME is missing"),
        (["--as", "x", "--real", "--family", "gan"], "leave them out"),
        (["--as", "x", "--family", "gan", "--content", "phto"], "did you mean 'photo'"),
        (["--as", "x", "--family", "gan", "--released", "July"], "YYYY-MM"),
        (["--as", "x", "--layout", "parquet", "--generated", "1"], "add --label-column"),
        (
            ["--as", "x", "--real", "--label-column", "l", "--generated", "1"],
            "leave it out with --label-column",
        ),
        (["--as", "x", "--real", "--layout", "foldr"], "did you mean 'folder'"),
        (["--as", "x", "--real", "--layout", "folder", "--only", "x"], "--only is not for the layout folder"),
    ],
)
def test_import_checks_before_it_reads(
    options: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert says in _assay(capsys, "import", str(tmp_path), *options, status=2)


class _Terminal:
    """Takes what is drawn."""

    def __init__(self, tty: bool) -> None:
        self.text = ""
        self._tty = tty

    def isatty(self) -> bool:
        return self._tty

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass


@pytest.mark.parametrize("tty", [True, False])
def test_progress(tty: bool) -> None:
    planned = [Planned(name, "fit", ("new",), None, 60.0, False) for name in ("fit@a", "fit@b")]
    terminal = _Terminal(tty)
    display = Display(planned, 1, terminal)  # type: ignore[arg-type]
    display.started("fit@a")
    display.tick()
    display.finished("fit@a", "ran")
    display.close()
    assert "[1/2] fit@a: ran (0.0 s)\n" in terminal.text
    assert ("about 2 min 00 s left | fit@a" in terminal.text) is tty


def test_durations_in_words() -> None:
    assert [in_words(value) for value in (0.84, 42, 185, 7800)] == [
        "0.8 s",
        "42 s",
        "3 min 05 s",
        "2 h 10 min",
    ]


def test_a_closed_pipe_is_no_crash(root: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(toy.ROOT)}
    command = f"{sys.executable} -m flows.cli table | true"
    result = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, check=False)
    assert b"Traceback" not in result.stderr
