"""flows/editing/edits.py, removals of insertion.py: params.yaml changed, every other byte as it was."""

from pathlib import Path

import pytest

from assets.errors import AssayError
from assets.params import ParamsError
from assets.yaml12 import parse_yaml
from flows.editing.edits import ParamsFile
from flows.editing.insertion import append_item, insert_entry, remove_entry, remove_item, replace_value
from tests.conftest import REPO

BLOCK = """\
# head
fit:                  # models
  one: {kind: dcgan}  # small
  # about two
  two:
    kind: pretrained
    options:
      id: a/b
      revision: "1234567890"   # pinned

list:
  - x
  - y   # why
  - z
flow: {a: 1, b: {c: 2}, d: [p, q, r]}
last: 1
"""


@pytest.mark.parametrize(
    ("path", "key", "gone"),
    [
        (("fit",), "one", "  one: {kind: dcgan}  # small\n"),
        (("flow",), "a", "a: 1, "),
        (("flow",), "b", "b: {c: 2}, "),
        (("flow",), "d", ", d: [p, q, r]"),
        ((), "last", "last: 1\n"),
    ],
)
def test_an_entry_goes_and_nothing_else(path: tuple[str, ...], key: str, gone: str) -> None:
    assert remove_entry(BLOCK, "f", path, key) == BLOCK.replace(gone, "")


def test_the_last_entry_leaves_an_empty_mapping_that_takes_it_back() -> None:
    text = remove_entry(BLOCK, "f", ("fit",), "one")
    empty = remove_entry(text, "f", ("fit",), "two")
    assert parse_yaml(empty, "f")["fit"] == {}
    assert "fit: {}                  # models\n  # about two\n\nlist:" in empty
    back = insert_entry(empty, "f", ("fit",), "one", {"kind": "dcgan"})
    assert parse_yaml(back, "f") == parse_yaml(text, "f") | {"fit": {"one": {"kind": "dcgan"}}}
    assert "f: {a: {}}" in remove_entry("f: {a: {b: 1}}\n", "f", ("f", "a"), "b")
    assert remove_entry("a:\n  b: 1", "f", ("a",), "b") == "a: {}\n"


@pytest.mark.parametrize(("path", "items"), [(("list",), "xyz"), (("flow", "d"), "pqr")])
def test_an_item_goes_and_comes_back_to_its_place(path: tuple[str, ...], items: str) -> None:
    for index, item in enumerate(items):
        text = remove_item(BLOCK, "f", path, item)
        found = parse_yaml(append_item(text, "f", path, item, before=index), "f")
        assert found == parse_yaml(BLOCK, "f")
    text = BLOCK
    for item in items:
        text = remove_item(text, "f", path, item)
    assert "[]" in text


def test_a_plain_value_is_replaced() -> None:
    pin = "0123456789e0123456789"  # which YAML would take for a number
    text = replace_value(BLOCK, "f", ("fit", "two", "options", "revision"), pin)
    assert text == BLOCK.replace('"1234567890"', f"'{pin}'")
    with pytest.raises(AssayError, match=r"'fit\.two' is not there, or not what it should be"):
        replace_value(BLOCK, "f", ("fit", "two"), pin)


def test_what_is_not_there_cannot_go() -> None:
    with pytest.raises(AssayError, match=r"f: fit\.three is not there"):
        remove_entry(BLOCK, "f", ("fit",), "three")
    with pytest.raises(AssayError, match="f: list does not name 'w'"):
        remove_item(BLOCK, "f", ("list",), "w")


@pytest.mark.parametrize("preset", ["mini", "genimage"])
def test_every_generator_of_a_preset_can_go_and_come_back(preset: str, tmp_path: Path) -> None:
    text = (REPO / "presets" / f"{preset}.yaml").read_text()
    document = parse_yaml(text, preset)
    for section in ("generators", "fit"):
        for name, value in document[section].items():
            without = remove_entry(text, "f", (section,), name)
            rest = {key: one for key, one in document[section].items() if key != name}
            assert parse_yaml(without, "f") == document | {section: rest}
            back = insert_entry(without, "f", (section,), name, value)
            assert parse_yaml(back, "f") == document


def test_nothing_is_written_that_makes_no_sense(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text((REPO / "presets/mini.yaml").read_text())
    before = path.read_bytes()
    file = ParamsFile(tmp_path)
    file.remove(("generators",), "ldm")
    with pytest.raises(ParamsError, match=r"train\.generators names 'ldm'"):
        file.save()
    assert path.read_bytes() == before
    file.remove_item(("train", "generators"), "ldm")
    file.save()
    assert b"ldm: {kind: ldm}" in path.read_bytes() and b"# a new generator is one" in path.read_bytes()


def test_text_that_would_read_otherwise_is_never_written(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    text = (REPO / "presets/mini.yaml").read_text()
    path.write_text(
        text.replace("  dcgan:\n    from", "  dcgan: &shared\n    from").replace(
            "  vqdm:\n    from: artifacts/fit/vqdm\n    family: vq-diffusion\n    released: 2021-11\n"
            "    content: photo\n    count: 400\n",
            "  vqdm: *shared\n",
        )
    )
    before = path.read_bytes()
    assert b"*shared" in before
    file = ParamsFile(tmp_path)
    file.remove(("generators",), "dcgan")
    with pytest.raises(AssayError, match="cannot be changed safely: found undefined alias"):
        file.remove_item(("train", "generators"), "dcgan")
    assert path.read_bytes() == before


def test_no_params_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(AssayError, match=r"params.yaml is not there: `assay use mini`"):
        ParamsFile(tmp_path)
