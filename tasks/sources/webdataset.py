"""Webdataset tars: members that share a name up to its first dot are one sample.

Nothing is extracted: the tars are walked once, and the pictures are read from where they stand in them.
"""

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from assets.errors import AssayError
from tasks.sources import labels, polarity
from tasks.sources.entry import Entry, Found, Source, Tally, Wanted
from tasks.sources.names import ENDINGS, printable, prompt_columns, side_of
from tasks.sources.places import Span

TAKES = {
    *("name", "real", "content", "family", "released", "polarity_checked", "label_column", "generated"),
    *("class_column", "imagenet_classes", "prompt_column"),
}
MAX_SIDECAR = 1024 * 1024
"""Bytes of a .json, .txt or .cls beside a picture; a larger one is counted and not read."""
PROMPTS = ("prompt", "caption", "text")
_SIDECARS = ("json", "txt", "cls")


class Sample(NamedTuple):
    """One picture of a tar and what stands beside it."""

    tar: Path
    key: str
    picture: Span
    said: dict[str, Any]
    """The keys of its .json; `cls` and `txt` for the other two."""


def recognise(folder: Path) -> str | None:
    """Why this is webdataset; None if it is not."""
    tars = _tars(folder)
    return f"{tars[0].name} is a tar" if tars else None


def find(folder: Path, wanted: Wanted) -> Found:
    """All pictures of all tars, as one set or, with a label column, as two.

    Raises:
        AssayError: no tar, no picture in them, a label that has to be mapped, names that contradict.
    """
    tars = _tars(folder)
    if not tars:
        raise AssayError(f"{folder} holds no .tar files (compressed ones have to be uncompressed first)")
    tally = Tally()
    samples = [sample for tar in tars for sample in _samples(tar, tally)]
    if not samples:
        raise AssayError("\n".join([f"{folder}: no pictures in the tars", *tally.notes()]))
    real = wanted.real and wanted.label_column is None
    label, klass = _columns(samples, wanted, str(folder))
    root = folder if folder.is_dir() else folder.parent
    entries = [_entry(root, sample, klass, wanted, real) for sample in _unique(samples)]
    tar_names = [tar.stem for tar in tars]
    if label is not None:
        values = [_text(sample.said.get(label)) for sample in samples]
        sources, notes = labels.split(entries, values, None, wanted, str(folder))
    else:
        assert wanted.name is not None
        files = (Path(entry.key).name for entry in entries)
        inside = {part for entry in entries for part in Path(entry.key).parts[1:-1]}
        names = [wanted.name, folder.resolve().name, *tar_names, *sorted(inside)]
        mend = "leave --real out and say --family" if real else "say --real instead of --family"
        polarity.check(real, names, files, wanted.polarity_checked, mend)
        content = wanted.content or "photo"
        sources = [Source(wanted.name, real, entries, content, wanted.family, wanted.released)]
        notes = []
    return Found(sources, [f"{len(tars):,} tars, {len(samples):,} samples", *notes, *tally.notes()])


def _tars(folder: Path) -> list[Path]:
    if folder.is_file():
        return [folder] if folder.suffix == ".tar" else []
    return sorted(path for path in (*folder.glob("*.tar"), *folder.glob("*/*.tar")) if path.is_file())


def _samples(tar: Path, tally: Tally) -> Iterator[Sample]:
    """The samples of one tar in their order; what cannot be used is counted."""
    key: str | None = None
    members: list[tuple[str, tarfile.TarInfo]] = []
    after = 0
    try:
        with tar.open("rb") as handle, tarfile.open(fileobj=handle, mode="r:") as archive:
            for info in archive:
                archive.members = []  # type: ignore[attr-defined]  # tarfile would keep them all
                if info.size < 0 or info.offset < after:  # would be walked for ever
                    raise tarfile.ReadError("a member ends before it begins")
                after = info.offset
                if info.isdir():
                    continue
                if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or info.sparse is not None:
                    tally.add("links, devices and sparse files in a tar", f"{tar.name}: {info.name}")
                    continue
                place, _, name = info.name.rpartition("/")
                stem, _, ending = name.partition(".")
                now = f"{place}/{stem}" if place else stem
                if now != key:
                    yield from _sample(tar, key, members, handle, tally)
                    key, members = now, []
                members.append((ending.lower(), info))
            yield from _sample(tar, key, members, handle, tally)
            key, members = None, []
    except (tarfile.TarError, OSError, EOFError, ValueError, OverflowError) as error:
        where = f"{tar.name} after {key}" if key else tar.name
        tally.add(f"the rest of a tar that is damaged or cut short ({str(error).splitlines()[0]})", where)
        with tar.open("rb") as handle:
            yield from _sample(tar, key, members, handle, tally)


def _sample(
    tar: Path, key: str | None, members: list[tuple[str, tarfile.TarInfo]], handle: BinaryIO, tally: Tally
) -> Iterator[Sample]:
    """The sample of members with one key; none if there is no picture among them."""
    if key is None:
        return
    where = printable(f"{tar.name}/{key}")
    pictures = [info for ending, info in members if f".{ending}" in ENDINGS]
    if not pictures:
        tally.add("samples without a picture", where)
        return
    if len(pictures) > 1:
        tally.add("further pictures of one sample (the first is taken)", where)
    said: dict[str, Any] = {}
    at = handle.tell()
    for ending, info in members:
        if ending in _SIDECARS:
            said |= _said(handle, ending, info, where, tally)
    handle.seek(at)
    picture = Span(tar, pictures[0].offset_data, pictures[0].size)
    yield Sample(tar, key, picture, said)


def _said(handle: BinaryIO, ending: str, info: tarfile.TarInfo, where: str, tally: Tally) -> dict[str, Any]:
    """What a file beside a picture says."""
    if info.size > MAX_SIDECAR:
        tally.add(f".{ending} files of more than {MAX_SIDECAR} bytes", where)
        return {}
    handle.seek(info.offset_data)
    text = handle.read(info.size).decode("utf-8", "replace").strip()
    if ending != "json":
        return {ending: text}
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        tally.add(".json files that hold no object", where)
        return {}
    return document


def _columns(samples: list[Sample], wanted: Wanted, where: str) -> tuple[str | None, str | None]:
    """The key that says real or generated, and that which says the class."""
    for option, key in (("--label-column", wanted.label_column), ("--class-column", wanted.class_column)):
        if key is not None and not any(key in sample.said for sample in samples):
            seen = sorted({one for sample in samples[:1000] for one in sample.said})
            raise AssayError(
                f"{where}: {option} {key}: no sample has it; they have {', '.join(seen) or 'none'}"
            )
    if wanted.label_column is not None:
        return wanted.label_column, wanted.class_column
    if wanted.class_column is not None:
        return None, wanted.class_column
    for key in labels.USUAL:
        values = {text for sample in samples if (text := _text(sample.said.get(key))) is not None}
        if values and labels.may_be_polarity(key, values, None):
            raise labels.ask(key, values, None, where)
    return None, "cls" if any("cls" in sample.said for sample in samples) else None


def _unique(samples: list[Sample]) -> Iterator[Sample]:
    """Samples whose keys are all different: a key that comes again gets a number."""
    seen: dict[tuple[Path, str], int] = {}
    for sample in samples:
        count = seen[sample.tar, sample.key] = seen.get((sample.tar, sample.key), 0) + 1
        yield sample if count == 1 else sample._replace(key=f"{sample.key}#{count}")


def _entry(root: Path, sample: Sample, klass: str | None, wanted: Wanted, real: bool) -> Entry:
    columns: dict[str, object] = {}
    if side := side_of(sample.tar.stem):
        columns["side"] = side
    if klass is not None:
        columns |= labels.class_of(_text(sample.said.get(klass)), None, wanted.imagenet_classes)
    if isinstance(name := sample.said.get("class_name"), str) and "class_name" not in columns:
        columns["class_name"] = printable(name)
    if not real:
        keys = (wanted.prompt_column,) if wanted.prompt_column else (*PROMPTS, "txt")
        prompt = next((sample.said[key] for key in keys if isinstance(sample.said.get(key), str)), None)
        columns |= prompt_columns(prompt)
    return Entry(f"{sample.tar.relative_to(root).as_posix()}/{sample.key}", sample.picture, columns)


def _text(value: Any) -> str | None:
    return None if value is None or isinstance(value, (dict, list)) else str(value).strip()
