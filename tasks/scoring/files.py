"""Which files are people's pictures."""

from collections.abc import Sequence
from pathlib import Path

from assets.errors import AssayError
from tasks.sources.names import printable, walk


def find_pictures(names: Sequence[str]) -> list[Path]:
    """The files that are meant: each once, in the order given.

    A folder stands for the pictures below it, by their endings. A pattern with `*`, `?` or `[` that no file
    is called is looked up. Any other file is taken whatever its ending; whether it is a picture shows when
    it is read.

    Raises:
        AssayError: a folder without pictures, a pattern that nothing fits.
    """
    found: dict[Path, None] = {}
    for name in names:
        path = Path(name).expanduser()
        if path.is_dir():
            inside = [file.path for file, is_picture in walk(path) if is_picture]
            if not inside:
                raise AssayError(f"{path} holds no pictures")
        elif any(mark in name for mark in "*?[") and not path.exists():
            base = Path(path.anchor)
            inside = [one for one in sorted(base.glob(str(path.relative_to(base)))) if one.is_file()]
            if not inside:
                raise AssayError(f"nothing is called {name}")
        else:
            inside = [path]
        found |= dict.fromkeys(inside)
    return list(found)


def shown(path: Path) -> str:
    """A file's name as it can be printed, whatever is in it."""
    return "".join(char if char.isprintable() else "?" for char in printable(str(path)))
