"""`assay use`: make params.yaml from a preset, and the pictures that the preset needs."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from assets.errors import AssayError, did_you_mean
from assets.files import write_text
from assets.images.manifest import read_manifest
from assets.params import parse_params
from assets.yaml12 import PARAMS_YAML, parse_yaml, read_yaml
from flows.running import dvc

PRESETS = Path("presets")
PHOTOS = "data/photos"
PIN = "data.dvc"


def names(root: Path) -> list[str]:
    """Presets that there are."""
    return sorted(path.stem for path in (root / PRESETS).glob("*.yaml"))


def use(root: Path, name: str, force: bool = False) -> list[str]:
    """Copy presets/NAME.yaml to params.yaml, pack the pictures it comes with, and pin them in data.dvc.

    Args:
        force: overwrite a params.yaml with changes in it, and accept pictures that differ from those
            that the last commit pins.

    Returns what was done, a line each.

    Raises:
        AssayError: no such preset; params.yaml has changes that no preset has; the pictures that came
            out are not those that the last commit pins.
    """
    source = root / PRESETS / f"{name}.yaml"
    if not source.is_file():
        raise AssayError(f"there is no preset '{name}'; {did_you_mean(name, names(root))}")
    text = _filled(root, source)
    preset = parse_params(parse_yaml(text, str(source)), str(source))
    if not force:
        _refuse_to_lose_changes(root)
    write_text(root / PARAMS_YAML, text)
    done = [f"params.yaml is now {source.relative_to(root)}"]
    if text != source.read_text("utf-8"):
        done.append(f"with the image sets in data/: {', '.join([*preset.real, *preset.generators])}")
    if PHOTOS in {spec.from_ for spec in preset.real.values()}:
        done += _pack_photos(root, force)
    return done


def _filled(root: Path, preset: Path) -> str:
    """The text of a preset; one without sources or generators of its own gets the image sets in data/.

    The lines to fill in are `real: {}`, `generators: {}` and, under `train`, `generators: []`.

    Raises:
        AssayError: no real image set in data/, no generated one, or one whose family or date is unknown.
    """
    text = preset.read_text("utf-8")
    if "\nreal: {}\n" not in text:
        return text
    real, generators = _image_sets(root)
    if not real or not generators:
        raise AssayError(
            f"{preset.name} benchmarks the image sets in data/, and there is no "
            f"{'real' if not real else 'generated'} one: `assay import FOLDER --as NAME"
            f"{' --real' if not real else ' --family FAMILY --released YYYY-MM'}` makes one"
        )
    text = text.replace("\nreal: {}\n", "\n" + _block({"real": real}))
    text = text.replace("\ngenerators: {}\n", "\n" + _block({"generators": generators}))
    return text.replace("\n  generators: []\n", f"\n  generators: [{', '.join(generators)}]\n")


def _image_sets(root: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Entries for the real and for the generated image sets in data/, by name; photos are mini's own."""
    real: dict[str, Any] = {}
    generators: dict[str, Any] = {}
    for folder in sorted((root / "data").glob("*/manifest.parquet")):
        name = folder.parent.name
        rows = read_manifest(folder)
        if (rows["label"] == 0).all():
            real[name] = {"from": f"data/{name}"}
            continue
        family, released = rows["family"].iloc[0], rows["released"].iloc[0]
        if pd.isna(family) or pd.isna(released):
            raise AssayError(
                f"data/{name} does not say what made it when: import it again with --family and --released"
            )
        generators[name] = {"from": f"data/{name}", "family": family, "released": released}
    if len(real) > 1:
        real.pop(Path(PHOTOS).name, None)
    return real, generators


def _block(entries: dict[str, Any]) -> str:
    return yaml.safe_dump(entries, sort_keys=False)


def _refuse_to_lose_changes(root: Path) -> None:
    path = root / PARAMS_YAML
    if not path.exists():
        return
    present = path.read_text("utf-8", "replace")
    if present not in _texts(root):
        raise AssayError(
            f"{PARAMS_YAML} has changes that no preset has, and would be overwritten: keep a copy "
            f"(`cp {PARAMS_YAML} mine.yaml`), then add --force"
        )


def _texts(root: Path) -> Iterator[str]:
    """What params.yaml would be after `assay use`, for every preset that can be used now."""
    for name in names(root):
        with suppress(AssayError):
            yield _filled(root, root / PRESETS / f"{name}.yaml")


def _pack_photos(root: Path, force: bool) -> list[str]:
    from tasks.photos import pack_photos

    packed = pack_photos(root / PHOTOS)
    dvc.add(root)
    wanted = dvc.committed(root, PIN)
    if wanted is not None and not force:
        _refuse_other_pictures(root, wanted)
    return [f"{PHOTOS}: {packed} photographs, pinned in {PIN}"]


def _refuse_other_pictures(root: Path, wanted: str) -> None:
    """Compare with the committed pin, if data/ holds nothing that the pin cannot know of."""
    now, then = _pinned(read_yaml(root / PIN)), _pinned(parse_yaml(wanted, f"{PIN} of the last commit"))
    alone = {entry.name for entry in (root / "data").iterdir()} == {Path(PHOTOS).name}
    # Another number of files: the commit pins further image sets, and nothing follows about this one.
    if now["md5"] == then["md5"] or not alone or now["nfiles"] != then["nfiles"]:
        return
    (root / PIN).write_text(wanted, "utf-8")
    raise AssayError(
        f"{PHOTOS} came out with other bytes ({now['md5']}) than {PIN} pins ({then['md5']}): install the "
        "versions that constraints.txt pins (`make setup`), or accept these pictures with --force"
    )


def _pinned(document: dict[str, Any]) -> dict[str, Any]:
    """The one output of a .dvc file."""
    return {"nfiles": None, **document["outs"][0]}
