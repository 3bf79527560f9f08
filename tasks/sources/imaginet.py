"""The ImagiNet release: annotation lines `path,origin,content,model,specific` over folders of pictures.

The annotation alone says what a picture is; folders that it does not mention are left alone. Facts: ImagiNet
(arXiv 2407.20020) and the annotations of its repository.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from assets.errors import AssayError, did_you_mean
from tasks.sources import polarity
from tasks.sources.archives import unpacking
from tasks.sources.entry import Entry, Found, Source, Tally, Wanted, named
from tasks.sources.names import imagenet_columns, side_of
from tasks.sources.places import File, Lost

TAKES = {"only", "annotations", "polarity_checked"}

CONTENTS = ("photo", "painting", "face", "other")
"""By code; the paper says photos, paintings, faces, uncategorized."""
REAL_MODEL = 4
REAL_SPECIFIC = 8
_MODELS = 5


class Generator(NamedTuple):
    """One of the release's eight generators."""

    name: str
    model: int
    """Code of its group: 0 GAN, 1 Stable Diffusion, 2 Midjourney, 3 DALL-E 3."""
    family: str
    released: str


GENERATORS = (
    Generator("progan", 0, "gan", "2017-10"),
    Generator("stylegan_xl", 0, "gan", "2022-02"),
    Generator("stylegan3", 0, "gan", "2021-06"),
    Generator("sd21", 1, "latent-diffusion", "2022-12"),
    Generator("sdxl", 1, "latent-diffusion", "2023-07"),
    Generator("animagine_xl", 1, "latent-diffusion", "2024-03"),  # the paper does not say which version
    Generator(
        "journeydb", 2, "proprietary", "2023-03"
    ),  # Midjourney of several versions, by way of JourneyDB
    Generator("dalle3", 3, "proprietary", "2023-10"),
)
"""By code `specific`."""

REALS = {
    "imagenet": "imaginet_imagenet",
    **dict.fromkeys(("progan_train", "progan_val"), "imaginet_lsun"),
    **dict.fromkeys(("train2017", "val2017"), "imaginet_coco"),
    "wikiart": "imaginet_wikiart",
    "danbooru2021": "imaginet_danbooru",
    "ffhq": "imaginet_ffhq",
    **dict.fromkeys(("photozilla", "dataset", "other_dataset"), "imaginet_photozilla"),
}
"""First folder of a real picture's path -> the image set of its source."""
OTHER_REALS = "imaginet_real"

_USUAL = ("train_annotations.txt", "test_annotations.txt")


class Line(NamedTuple):
    """What one annotation line says."""

    path: str
    real: bool
    content: str
    generator: Generator | None


class BadLine(ValueError):
    """A line that cannot be used; the message is the reason."""


def recognise(folder: Path) -> str | None:
    """Why this is ImagiNet; None if it is not for sure."""
    for path in _annotations(folder, ()):
        try:
            with path.open(encoding="utf-8-sig", errors="surrogateescape") as lines:
                parse(next(lines, ""))
        except (OSError, BadLine):
            continue
        return f"{path.relative_to(folder)} has ImagiNet's annotation lines"
    return None


def parse(line: str) -> Line:
    """Read one annotation line.

    Raises:
        BadLine: too few fields, an unknown code, codes that contradict one another, a path that leaves the
            folder.
    """
    fields = [field.strip() for field in line.rstrip("\r\n").rsplit(",", 4)]
    if len(fields) < 5:
        raise BadLine(f"{len(fields)} fields where path,origin,content,model,specific are 5")
    path, *codes = fields
    if not all(code.isascii() and code.isdecimal() and len(code) < 4 for code in codes):
        raise BadLine("codes that are no numbers")
    origin, content, model, specific = map(int, codes)
    limits = ((origin, 2, "origin"), (content, len(CONTENTS), "content"), (model, _MODELS, "model"))
    for code, limit, what in (*limits, (specific, REAL_SPECIFIC + 1, "specific")):
        if code >= limit:
            raise BadLine(f"{what} {code} is unknown (0 to {limit - 1} are)")
    generator = GENERATORS[specific] if specific != REAL_SPECIFIC else None
    expected = (1, generator.model) if generator else (0, REAL_MODEL)
    if (origin, model) != expected:
        raise BadLine("origin, model and specific contradict one another")
    parts = PurePosixPath(path).parts
    if not path or path.startswith("/") or ".." in parts or "\0" in path or "\\" in path:
        raise BadLine("a path that leaves the folder")
    return Line("/".join(parts), origin == 0, CONTENTS[content], generator)


def find(folder: Path, wanted: Wanted) -> Found:
    """One set a generator (`specific`), and one for each source of real images.

    Raises:
        AssayError: no folder, no annotations, nothing in them that can be used, an unknown name in `only`,
            labels that names contradict.
    """
    names = [*(generator.name for generator in GENERATORS), *dict.fromkeys(REALS.values()), OTHER_REALS]
    for name in wanted.only:
        if name not in names:
            raise AssayError(f"--only {name}: {did_you_mean(name, names)}")
    if not folder.is_dir():
        raise AssayError(f"{folder} is not a folder: give the folder that ImagiNet was extracted to")
    files = list(_annotations(folder, wanted.annotations))
    if not files:
        packed = unpacking(sorted(folder.glob("*.7z*")))
        usual = " or ".join(_USUAL)
        raise AssayError(packed or f"{folder} holds no {usual}: name the annotation with --annotations FILE")
    sources: dict[str, Source] = {}
    tally = Tally()
    missing: Counter[str] = Counter()
    seen: dict[str, str] = {}
    notes = []
    for file in files:
        side = side_of(file.stem)
        lines = 0
        for where, line in _lines(file, tally):
            if line.path in seen:
                tally.add("a path that an earlier line has", f"{where}, as {seen[line.path]}")
                continue
            seen[line.path] = where
            lines += 1
            name = _set_of(line)
            if name not in sources:
                sources[name] = _source(name, line)
            entry = _entry(folder, line, side)
            missing[name] += isinstance(entry.place, Lost)
            sources[name].entries.append(entry)
        said = f"published as {side}" if side else "its name says neither train nor test: no published side"
        notes.append(f"{file.name}: {lines:,} lines, {said}")
    chosen = named(sources.values(), wanted.only)
    if not chosen:
        raise AssayError("\n".join([f"{files[0]}: no line that can be used is asked for", *tally.notes()]))
    _check(chosen, wanted)
    for source in chosen:
        if count := missing[source.name]:
            total = len(source.entries)
            notes.append(
                f"{source.name}: {count:,} of {total:,} pictures are missing, kept as unreadable rows"
            )
    return Found(chosen, [*notes, *tally.notes()])


def _lines(file: Path, tally: Tally) -> Iterator[tuple[str, Line]]:
    """The usable lines of a file and where each stands; the others are counted."""
    try:
        with file.open(encoding="utf-8-sig", errors="surrogateescape") as lines:
            for number, text in enumerate(lines, 1):
                if not text.strip():
                    continue
                where = f"{file.name} line {number}"
                try:
                    yield where, parse(text)
                except BadLine as bad:
                    tally.add(str(bad), where)
    except OSError as error:
        raise AssayError(f"--annotations {file}: {error.strerror}") from None


def _annotations(folder: Path, given: tuple[Path, ...]) -> Iterator[Path]:
    """The annotation files: those given, or those that the release has."""
    if given:
        yield from given
        return
    for place in (folder, folder / "annotations"):
        found = [place / name for name in _USUAL if (place / name).is_file()]
        yield from found
        if found:
            return


def _set_of(line: Line) -> str:
    if line.generator:
        return line.generator.name
    return REALS.get(line.path.partition("/")[0], OTHER_REALS)


def _source(name: str, line: Line) -> Source:
    if line.generator is None:
        return Source(name, True, [])
    return Source(name, False, [], family=line.generator.family, released=line.generator.released)


def _entry(folder: Path, line: Line, side: str | None) -> Entry:
    path = folder / line.path
    columns: dict[str, object] = {"content": line.content, "side": side}
    if line.real:
        columns |= imagenet_columns(path.name)
    try:
        there = path.exists() or path.is_symlink()
    except OSError:  # a name longer than any file's
        there = False
    return Entry(line.path, File(folder, line.path) if there else Lost("missing"), columns)


def _check(sources: list[Source], wanted: Wanted) -> None:
    """Refuse annotations whose origin is the opposite of what the folders are called."""
    mend = "see that the annotation belongs to these folders"
    for source in sources:
        folders = {part for entry in source.entries for part in PurePosixPath(entry.key).parts[:-1]}
        polarity.check(source.real, sorted(folders), [], wanted.polarity_checked, mend)
