"""Pictures with json beside them that says each one's prompt, as JourneyDB is published.

An annotation is a .jsonl (an object a line) or a .json (a list of objects), each with the picture's path and
its prompt, e.g. `{"img_path": "./000/x.jpg", "prompt": "..."}`; or one .json of the same name beside each
picture.
"""

import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from assets.errors import AssayError
from tasks.sources import polarity
from tasks.sources.archives import unpacking
from tasks.sources.entry import Entry, Found, Source, Tally, Wanted
from tasks.sources.names import printable, prompt_columns, side_of, walk
from tasks.sources.places import File, Lost

TAKES = {"name", "real", "content", "family", "released", "annotations", "prompt_column", "polarity_checked"}
PATHS = ("img_path", "image_path", "image", "file_name", "filename", "path", "img")
PROMPTS = ("prompt", "caption", "text")
MAX_LINE = 16 * 1024 * 1024
"""Characters of a line, or bytes of a .json beside one picture; a longer one is counted and not read."""
MAX_JSON = 4 * 1024**3


def recognise(folder: Path) -> str | None:
    """Why there are annotations here; None if there are none for sure."""
    for file in _annotations(folder):
        for _, record in _records(file, Tally(), first=True):
            if _path_of(record) and _prompt_of(record, PROMPTS):
                return f"{file.relative_to(folder)} gives pictures their prompts"
    return None


def find(folder: Path, wanted: Wanted) -> Found:
    """All pictures below `folder` as one set, and rows for those that only the annotation knows.

    Images of one prompt are one group, the same for all generators.

    Raises:
        AssayError: no folder, no annotation, no pictures, names that contradict the label.
    """
    assert wanted.name is not None
    if not folder.is_dir():
        raise AssayError(f"{folder} is not a folder: give the folder that holds the pictures and the json")
    listed = list(walk(folder))
    pictures = [file.path.relative_to(folder).as_posix() for file, picture in listed if picture]
    if not pictures and (how := unpacking(file.path for file, _ in listed)):
        raise AssayError(f"{folder} holds no pictures; {how}")
    files = list(wanted.annotations) or list(_annotations(folder))
    prompts = (wanted.prompt_column,) if wanted.prompt_column else PROMPTS
    tally = Tally()
    said = _Said(pictures)
    for file in files:
        side = side_of(file.stem)
        for where, record in _records(file, tally):
            said.take(where, record, prompts, side, tally)
    beside = said.take_sidecars(folder, prompts, tally) if not wanted.annotations else 0
    if not said.columns and not said.missing:
        raise AssayError(
            "\n".join(
                [
                    f"{folder}: no json with picture paths and prompts; name it with --annotations",
                    *tally.notes(),
                ]
            )
        )
    unknown = sum(picture not in said.columns for picture in pictures)
    entries = [Entry(name, File(folder, name), said.columns.get(name, {})) for name in pictures]
    entries += [Entry(name, Lost("missing"), columns) for name, columns in said.missing.items()]
    parts = {part for name in pictures for part in PurePosixPath(name).parts[:-1]}
    mend = "leave --real out and say --family" if wanted.real else "say --real instead of --family"
    names = [wanted.name, folder.resolve().name, *sorted(parts)]
    polarity.check(wanted.real, names, map(_name, pictures), wanted.polarity_checked, mend)
    if wanted.real and not wanted.polarity_checked:
        polarity.refuse(True, ["the annotation gives the pictures prompts"], mend)
    content = wanted.content or "photo"
    source = Source(wanted.name, wanted.real, entries, content, wanted.family, wanted.released)
    notes = [f"{file.name}: annotation" for file in files[:8]]
    if unknown:
        notes.append(f"{unknown:,} pictures are in no annotation: kept, without a prompt")
    if said.missing:
        notes.append(f"{len(said.missing):,} annotated pictures are missing, kept as unreadable rows")
    ignored = len(listed) - len(pictures) - len(files) - beside
    return Found([source], [*notes, *tally.notes()], max(0, ignored))


class _Said:
    """What annotations say about the pictures that are there, and which are not."""

    def __init__(self, pictures: list[str]) -> None:
        self.columns: dict[str, dict[str, object]] = {}
        self.missing: dict[str, dict[str, object]] = {}
        self._known = set(pictures)
        self._by_name: dict[str, list[str]] = {}
        for picture in pictures:
            self._by_name.setdefault(_name(picture), []).append(picture)

    def take(self, where: str, record: Any, keys: tuple[str, ...], side: str | None, tally: Tally) -> None:
        """Take in one record of an annotation."""
        path = _path_of(record)
        if path is None:
            tally.add(f"no picture's path (looked for {', '.join(PATHS)})", where)
            return
        pure = PurePosixPath(path)
        if pure.is_absolute() or ".." in pure.parts or "\0" in path or "\\" in path:
            tally.add("a path that leaves the folder", where)
            return
        prompt = _prompt_of(record, keys)
        if prompt is None:
            tally.add("pictures without a prompt in the annotation (kept)", where)
        columns: dict[str, object] = {**prompt_columns(prompt), **({"side": side} if side else {})}
        found = self._resolve(pure)
        if found is None:
            self.missing.setdefault(printable(pure.as_posix()), columns)
        elif found in self.columns:
            tally.add("a picture that an earlier record describes", where)
        else:
            self.columns[found] = columns

    def take_sidecars(self, folder: Path, keys: tuple[str, ...], tally: Tally) -> int:
        """Read `x.json` beside `x.png`, for pictures that no annotation describes; how many there are."""
        count = 0
        for picture in sorted(self._known - set(self.columns)):
            path = (folder / picture).with_suffix(".json")
            if not path.is_file():
                continue
            count += 1
            where = path.relative_to(folder).as_posix()
            try:
                if path.stat().st_size > MAX_LINE:
                    raise ValueError("too large")
                record = json.loads(path.read_text("utf-8-sig"))
            except (OSError, ValueError, RecursionError):
                tally.add("json beside a picture that cannot be read", where)
                continue
            prompt = _prompt_of(record, keys)
            if prompt is None:
                tally.add("pictures without a prompt in the json beside them (kept)", where)
            self.columns[picture] = prompt_columns(prompt)
        return count

    def _resolve(self, path: PurePosixPath) -> str | None:
        """The picture that a path means: the path itself, or the one picture that ends in it.

        Releases are unpacked into folders (`imgs/`) that their annotations do not name.
        """
        if path.as_posix() in self._known:
            return path.as_posix()
        parts = path.parts
        ending = [
            picture
            for picture in self._by_name.get(path.name, [])
            if PurePosixPath(picture).parts[-len(parts) :] == parts
        ]
        return ending[0] if len(ending) == 1 else None


def _annotations(folder: Path) -> Iterator[Path]:
    """.jsonl files, and .json files that are no picture's own, in `folder` and two levels below."""
    for pattern in ("*.jsonl", "*/*.jsonl", "*/*/*.jsonl"):
        yield from sorted(folder.glob(pattern))
    for file in sorted(folder.glob("*.json")):
        if not any(file.with_suffix(ending).exists() for ending in (".png", ".jpg", ".jpeg", ".webp")):
            yield file


def _records(file: Path, tally: Tally, first: bool = False) -> Iterator[tuple[str, Any]]:
    """The records of an annotation and where each stands; lines that cannot be read are counted."""
    try:
        if file.suffix == ".jsonl":
            with file.open(encoding="utf-8-sig", errors="replace") as lines:
                yield from _lines(file, lines, tally, first)
            return
        if file.stat().st_size > MAX_JSON:
            raise AssayError(f"{file} is larger than {MAX_JSON} bytes: give it as .jsonl, an object a line")
        document = json.loads(file.read_text("utf-8-sig"))
    except OSError as error:
        raise AssayError(f"{file}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        tally.add(f"json that cannot be read ({str(error).splitlines()[0]})", file.name)
        return
    for number, record in enumerate(document if isinstance(document, list) else [], 1):
        yield f"{file.name} record {number}", record
        if first:
            return


def _lines(file: Path, lines: Any, tally: Tally, first: bool) -> Iterator[tuple[str, Any]]:
    number = 0
    while text := lines.readline(MAX_LINE):
        number += 1
        where = f"{file.name} line {number}"
        if not text.endswith("\n") and len(text) >= MAX_LINE:
            tally.add("a line that is too long", where)
            while (rest := lines.readline(MAX_LINE)) and not rest.endswith("\n"):
                pass
        elif text.strip():
            try:
                yield where, json.loads(text)
            except (ValueError, RecursionError):
                tally.add("a line that is no json", where)
        if first:
            return


def _path_of(record: Any) -> str | None:
    if not isinstance(record, dict):
        return None
    return next((record[key] for key in PATHS if isinstance(record.get(key), str) and record[key]), None)


def _prompt_of(record: Any, keys: tuple[str, ...]) -> str | None:
    if not isinstance(record, dict):
        return None
    return next(
        (record[key] for key in keys if isinstance(record.get(key), str) and record[key].strip()), None
    )


def _name(picture: str) -> str:
    return picture.rpartition("/")[2]
