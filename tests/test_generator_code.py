"""The hash over a kind's code: follows imports, moves with code, stays with words."""

from pathlib import Path

import pytest

from models.generators import OPTIONS, PIPELINES, code
from models.generators.code import code_digest

FILES = {
    "one": '"""What it is."""\n\nfrom models.generators.shared import half\n\nDRAWN = half(4)\n',
    "two": "from models.generators import options\n\n\ndef draw():\n    return 2\n",
    "shared": "import models.generators.deeper as deeper\n\n\ndef half(x):\n    return deeper.half(x)\n",
    "deeper": "def half(x):\n    # a reason\n    return x / 2\n",
    "options": "A = 1\n",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FILES.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.setattr(code, "_HERE", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("file", "old", "new", "moves"),
    [
        ("one", "half(4)", "half(5)", True),
        ("one", "What it is.", "What it was.\n\nAnd more.", False),
        ("shared", "(x):\n", '(x):\n    """Half of it."""\n\n', False),
        ("deeper", "x / 2", "x / 3", True),
        ("deeper", "# a reason", "# a better reason\n    # in two lines", False),
        ("two", "2", "3", False),
        ("options", "1", "2", False),
    ],
)
def test_it_moves_with_code_and_stays_with_words(
    folder: Path, file: str, old: str, new: str, moves: bool
) -> None:
    before = code_digest("one")
    path = folder / f"{file}.py"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    assert (code_digest("one") != before) == moves


def test_every_kind_has_one_of_its_own() -> None:
    digests = {kind: code_digest(kind, "pipeline" if kind in PIPELINES else kind) for kind in OPTIONS}
    assert len(set(digests.values())) == len(OPTIONS)
    assert code_digest("ddpm", "pipeline") != code_digest("ddpm")
