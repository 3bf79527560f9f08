"""flows/refreshing/hub.py against a small hub with several commits."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from huggingface_hub import constants

from assets.params import load_params
from assets.yaml12 import parse_yaml
from flows.refreshing.findings import Finding
from flows.refreshing.hub import find_revisions
from tests.conftest import REPO
from tests.hub_server import Handler

OLD, NEW = "a" * 40, "1234567890" * 4  # the second reads as a number unless it is quoted
MODEL = {
    "model_index.json": "{}",
    "unet/weights.safetensors": "w1",
    "tokenizer/merges.txt": "m",
    "README.md": "r",
}


class Moving(Handler):
    """A hub whose repositories have a commit a folder, the last one being the head."""

    commits: dict[str, dict[str, Path]]

    def answer(self, body: bool) -> None:
        parts = urlsplit(self.path).path.strip("/").removeprefix("api/models/").split("/")
        name, rest = "/".join(parts[:2]), parts[2:]
        self.asked.append(name)
        if name not in self.commits:
            return self.send(404, b"{}", {"X-Error-Code": "RepoNotFound"}, body)
        commits = self.commits[name]
        head = list(commits)[-1]
        import json

        if rest[:1] == ["tree"]:
            folder = commits[rest[1]]
            names = sorted(one.relative_to(folder).as_posix() for one in folder.rglob("*") if one.is_file())
            listed = [self.entry(folder / one, one) for one in names]
            return self.send(200, json.dumps(listed).encode(), {}, body)
        about = {"id": name, "modelId": name, "sha": head, "siblings": [], "private": False}
        return self.send(200, json.dumps(about).encode(), {}, body)


@contextmanager
def serving(commits: dict[str, dict[str, Path]]) -> Iterator[tuple[str, list[str]]]:
    handler = type("Bound", (Moving,), {"commits": commits, "asked": [], "repositories": {}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", handler.asked  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def root(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    document = yaml.safe_load((REPO / "presets/mini.yaml").read_text())
    text = (REPO / "presets/mini.yaml").read_text()
    assert "fit" in document
    pinned = "".join(
        f"  {name}: {{kind: pretrained, options: {{id: someone/{name}, revision: {OLD}}}}}  # pinned {name}\n"
        for name in ("one", "two")
    )
    (workdir / "params.yaml").write_text(
        text.replace("  vqdm: {kind: vqdm}\n", f"  vqdm: {{kind: vqdm}}\n{pinned}")
    )
    return workdir


def commit(root: Path, name: str, **changed: str) -> Path:
    folder = root / "hub" / name
    for path, text in {**MODEL, **{key.replace("__", "/"): value for key, value in changed.items()}}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


def find(root: Path, follow: str = "follow") -> list[Finding]:
    return list(find_revisions(load_params(root / "params.yaml"), follow, root))


def test_the_pin_follows_weights_and_not_words(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = commit(root, "old")
    same = commit(
        root, "same", **{"README.md": "new words", ".gitattributes": "x", "sample.PNG": "p", "m.ckpt": "c"}
    )
    moved = commit(root, "moved", **{"unet/weights.safetensors": "w2"})
    with serving({"someone/one": {OLD: old, NEW: moved}, "someone/two": {OLD: old, NEW: same}}) as (url, _):
        monkeypatch.setenv("HF_ENDPOINT", url)
        (told,) = find(root, "say")
        assert told.action == "told" and f"`revision: {NEW}`" in told.says
        (found,) = find(root)
        assert (found.name, found.action) == ("one", "add")
        assert f"someone/one is at {NEW[:12]} on the hub and fit.one pins {OLD[:12]}" in found.says
        before = (root / "params.yaml").read_text()
        assert found.todo is not None and found.todo()[0].startswith(f"fit.one pins {NEW} now")
        after = (root / "params.yaml").read_text()
        assert after == before.replace(f"someone/one, revision: {OLD}", f"someone/one, revision: '{NEW}'")
        assert parse_yaml(after, "p")["fit"]["one"]["options"]["revision"] == NEW
        assert find(root) == []


@pytest.mark.parametrize("path", ["scheduler/config.json", "tokenizer/merges.txt", "tokenizer/spiece.model"])
def test_files_that_count(root: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    moved = commit(root, "moved", **{path: "other"})
    old = commit(root, "old")
    with serving({f"someone/{name}": {OLD: old, NEW: moved} for name in ("one", "two")}) as (url, _):
        monkeypatch.setenv("HF_ENDPOINT", url)
        assert [one.name for one in find(root)] == ["one", "two"]


def test_the_hub_is_not_asked_when_it_must_not_be(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving({}) as (url, asked):
        monkeypatch.setenv("HF_ENDPOINT", url)
        assert find(root, "off") == []
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        assert find(root) == [] and asked == []


def test_a_refusal_and_a_hub_that_is_away_are_told(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moved, old = commit(root, "moved", **{"a.safetensors": "w2"}), commit(root, "old")
    with serving({"someone/two": {OLD: old, NEW: moved}}) as (url, _):
        monkeypatch.setenv("HF_ENDPOINT", url)
        refused, found = find(root)
        assert refused.action == "told" and "the hub does not say what became of someone/one" in refused.says
        assert (found.name, found.action) == ("two", "add")
    (away,) = find(root)  # nobody listens there now
    assert away.action == "told" and "the hub cannot be reached" in away.says


def test_local_folders_are_no_hub_models(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "two"):
        shutil.copytree(commit(root, "old"), root / "someone" / name)
    with serving({}) as (url, asked):
        monkeypatch.setenv("HF_ENDPOINT", url)
        assert find(root) == [] and asked == []
