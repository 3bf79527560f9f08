"""`assay use`: make params.yaml from a preset, and the pictures that the preset needs."""

import shutil
from pathlib import Path
from typing import Any

from assets.dag import PARAMS_YAML, parse_yaml, read_yaml
from assets.errors import AssayError, did_you_mean
from assets.params import load_params
from flows import dvc

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
    preset = load_params(source)
    if not force:
        _refuse_to_lose_changes(root)
    shutil.copyfile(source, root / PARAMS_YAML)
    done = [f"params.yaml is now {source.relative_to(root)}"]
    if PHOTOS in {spec.from_ for spec in preset.real.values()}:
        done += _pack_photos(root, force)
    return done


def _refuse_to_lose_changes(root: Path) -> None:
    path = root / PARAMS_YAML
    if not path.exists():
        return
    present = path.read_bytes()
    if all((root / PRESETS / f"{name}.yaml").read_bytes() != present for name in names(root)):
        raise AssayError(
            f"{PARAMS_YAML} has changes that no preset has, and would be overwritten: keep a copy "
            f"(`cp {PARAMS_YAML} mine.yaml`), then add --force"
        )


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
