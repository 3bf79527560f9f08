"""The hash over a kind's code: follows imports, moves with code, stays with words."""

from pathlib import Path

import pytest

from assets import code
from assets.code import code_digest
from models.generators import OPTIONS, code_of

FILES = {
    "one": '"""What it is."""\n\nfrom models.shared import half\n\nDRAWN = half(4)\n',
    "two": "from models import options\n\n\ndef draw():\n    return 2\n",
    "shared": "import models.deeper as deeper\n\n\ndef half(x):\n    return deeper.half(x)\n",
    "deeper": "def half(x):\n    # a reason\n    return x / 2\n",
    "options": "A = 1\n",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FILES.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.setattr(code, "_MODELS", tmp_path)
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
    before = code_digest(["one"], but_not=["options"])
    path = folder / f"{file}.py"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    assert (code_digest(["one"], but_not=["options"]) != before) == moves


def test_what_is_left_out_does_not_move_it(folder: Path) -> None:
    before = code_digest(["two"], but_not=["options"])
    assert before != code_digest(["two"])
    (folder / "options.py").write_text("A = 2\n")
    assert code_digest(["two"], but_not=["options"]) == before


def test_every_kind_has_one_of_its_own() -> None:
    assert len({code_of(kind) for kind in OPTIONS}) == len(OPTIONS)
    assert code_of("ddpm") != code_digest(["generators.ddpm"])
