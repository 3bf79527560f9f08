"""Parquet with a column of pictures, as Hugging Face datasets are: a folder, a file, or `hf:owner/name`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assets.errors import AssayError, did_you_mean
from tasks.sources import hub, labels, polarity
from tasks.sources.entry import Entry, Found, Source, Wanted
from tasks.sources.names import prompt_columns, side_of
from tasks.sources.places import Cell
from tasks.sources.webdataset import PROMPTS

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

TAKES = {
    *("name", "real", "content", "family", "released", "polarity_checked", "label_column", "generated"),
    *("class_column", "imagenet_classes", "prompt_column", "image_column"),
}
_PATTERNS = ("*.parquet", "*/*.parquet", "*/*/*.parquet", "*/*/*/*.parquet")
_IMAGES = ("image", "img", "picture", "photo", "jpg", "jpeg", "png", "webp")


def recognise(folder: Path) -> str | None:
    """Why this is a dataset in parquet; None if it is not."""
    files = _files(folder)
    return f"{files[0].name} is parquet" if files else None


def find(folder: Path, wanted: Wanted, hub_name: str | None = None) -> Found:
    """All rows, as one set or, with a label column, as two.

    Raises:
        AssayError: no parquet, a damaged file, no column of pictures, a column that has to be mapped, names
            that contradict.
    """
    files = _files(folder)
    if not files:
        convert = (
            f": try {hub_name.partition('@')[0]}@refs/convert/parquet, the hub's own copy" if hub_name else ""
        )
        raise AssayError(f"{hub_name or folder} holds no .parquet files{convert}")
    where = hub_name or str(folder)
    schema = _schema(files[0])
    image = _image_column(schema, wanted.image_column, where)
    klass, values = _columns(files, schema, wanted, where)
    names = _names(schema, klass) if klass else None
    real = wanted.real and wanted.label_column is None
    prompt = None if real else _prompt_column(schema, wanted, where)
    root = folder if folder.is_dir() else folder.parent
    entries = []
    for file in files:
        relative = file.relative_to(root).as_posix()
        side = side_of(file.stem) or side_of(file.parent.name if file.parent != root else "")
        for row, (place, said) in enumerate(_rows(file, image, [klass, prompt])):
            columns: dict[str, object] = {"side": side} if side else {}
            if klass:
                columns |= labels.class_of(said[klass], names, wanted.imagenet_classes)
            if prompt:
                columns |= prompt_columns(said[prompt])
            entries.append(Entry(f"{relative}#{row}", place, columns))
    if not entries:
        raise AssayError(f"{where}: the parquet files have no rows")
    notes = [f"{len(files):,} parquet files, {len(entries):,} rows, pictures in the column '{image}'"]
    if wanted.label_column is not None:
        sources, more = labels.split(entries, values, _names(schema, wanted.label_column), wanted, where)
        return Found(sources, notes + more)
    assert wanted.name is not None
    called = hub_name.partition("@")[0].rpartition("/")[2] if hub_name else folder.resolve().stem
    mend = "leave --real out and say --family" if real else "say --real instead of --family"
    polarity.check(real, [wanted.name, called], [], wanted.polarity_checked, mend)
    content = wanted.content or "photo"
    return Found([Source(wanted.name, real, entries, content, wanted.family, wanted.released)], notes)


def find_on_hub(place: str, wanted: Wanted) -> Found:
    """As `find`, of `hf:owner/name@revision`.

    Raises:
        AssayError: as `find`; the hub cannot be reached or does not give it.
    """
    name = hub.parse(place)
    assert name is not None
    folder = hub.bring(name)
    found = find(folder, wanted, str(name))
    found.notes.insert(0, f"hf:{name.repo}@{folder.name}")
    return found


def _files(folder: Path) -> list[Path]:
    if folder.is_file():
        return [folder] if folder.suffix == ".parquet" else []
    found = (path for pattern in _PATTERNS for path in folder.glob(pattern) if path.is_file())
    return sorted(found)


def _open(file: Path) -> "pq.ParquetFile":
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        opened = pq.ParquetFile(file, pre_buffer=False)
        assert opened.schema_arrow.names is not None  # reads them: names that are no UTF-8 fail here
        return opened
    except (pa.ArrowException, OSError, ValueError) as error:
        first = str(error).splitlines()[0]
        raise AssayError(f"{file} is cut short or damaged ({first}): download it again") from None


def _schema(file: Path) -> "pa.Schema":
    with _open(file) as opened:
        return opened.schema_arrow


def _features(schema: "pa.Schema") -> dict[str, Any]:
    """What `datasets` wrote about the columns; {} if nothing that can be read."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, ValueError, TypeError):
        return {}
    return features if isinstance(features, dict) else {}


def _names(schema: "pa.Schema", column: str) -> list[str] | None:
    """The names of a ClassLabel's values; None for any other column."""
    feature = _features(schema).get(column)
    names = feature.get("names") if isinstance(feature, dict) else None
    if isinstance(names, dict):  # as older versions wrote them
        names = list(names.values())
    return [str(name) for name in names] if isinstance(names, list) else None


def _image_column(schema: "pa.Schema", asked: str | None, where: str) -> str:
    import pyarrow as pa

    fits = [
        field.name
        for field in schema
        if _is_binary(field.type)
        or (
            pa.types.is_struct(field.type)
            and any(one.name == "bytes" and _is_binary(one.type) for one in field.type)
        )
    ]
    if asked is not None:
        if asked not in fits:
            raise AssayError(f"{where}: --image-column {asked} holds no bytes; {did_you_mean(asked, fits)}")
        return asked
    features = _features(schema)
    typed = [
        name
        for name in fits
        if isinstance(features.get(name), dict) and features[name].get("_type") == "Image"
    ]
    for candidates in (typed, [name for name in fits if name.lower() in _IMAGES], fits):
        if len(candidates) == 1:
            return str(candidates[0])
        if candidates:
            raise AssayError(
                f"{where}: several columns may hold the pictures ({', '.join(candidates)}): say which with "
                "--image-column"
            )
    raise AssayError(f"{where}: no column holds pictures; the columns are {', '.join(schema.names)}")


def _columns(
    files: list[Path], schema: "pa.Schema", wanted: Wanted, where: str
) -> tuple[str | None, list[str | None]]:
    """The column of classes, and the values of the label column, one a row (none without one)."""
    for option, column in (("--label-column", wanted.label_column), ("--class-column", wanted.class_column)):
        if column is not None and column not in schema.names:
            raise AssayError(f"{where}: {option} {column}: {did_you_mean(column, schema.names)}")
    if wanted.label_column is not None:
        return wanted.class_column, _values(files, wanted.label_column)
    if wanted.class_column is not None:
        return wanted.class_column, []
    classes = None
    for column in schema.names:
        names = _names(schema, column)
        if column.lower() not in labels.USUAL and names is None:
            continue
        if not _is_plain(schema.field(column).type):
            continue
        values = {value for value in _values(files, column) if value is not None}
        if labels.may_be_polarity(column, values, names):
            raise labels.ask(column, values, names, where)
        if classes is None and names is not None:
            classes = column
    return classes, []


def _is_binary(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _is_text(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_plain(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_boolean(kind)) or _is_text(kind)


def _values(files: list[Path], column: str) -> list[str | None]:
    """The values of a column, over all files, as text."""
    return [
        None if said[column] is None else str(said[column])
        for file in files
        for _, said in _rows(file, "", [column])
    ]


def _prompt_column(schema: "pa.Schema", wanted: Wanted, where: str) -> str | None:
    if wanted.prompt_column is not None:
        if wanted.prompt_column not in schema.names:
            asked = wanted.prompt_column
            raise AssayError(f"{where}: --prompt-column {asked}: {did_you_mean(asked, schema.names)}")
        return wanted.prompt_column
    texts = [field.name for field in schema if _is_text(field.type)]
    return next((name for name in PROMPTS if name in texts), None)


def _rows(file: Path, image: str, columns: list[str | None]) -> Iterator[tuple[Cell, dict[str, Any]]]:
    """The place of the picture and the values of `columns`, row by row; the pictures are not read."""
    import pyarrow as pa

    wanted = [column for column in columns if column is not None]
    size = file.stat().st_size
    with _open(file) as opened:
        missing = sorted({*wanted, *([image] if image else [])} - set(opened.schema_arrow.names))
        if missing:
            raise AssayError(f"{file} has no column '{missing[0]}', as the first file has")
        for group in range(opened.num_row_groups):
            count = opened.metadata.row_group(group).num_rows
            if not 0 <= count <= size:  # every picture takes a byte at least
                raise AssayError(f"{file} announces {count:,} rows in {size:,} bytes: it is damaged")
            try:
                table = opened.read_row_group(group, columns=wanted, use_threads=False) if wanted else None
                lists = {name: table.column(name).to_pylist() for name in wanted} if table is not None else {}
                said = [{name: lists[name][row] for name in wanted} for row in range(count)]
            except (
                pa.ArrowException,
                OSError,
                ValueError,
                IndexError,
            ) as error:  # text that is no UTF-8, ...
                first = str(error).splitlines()[0]
                raise AssayError(f"{file} is damaged ({first}): download it again") from None
            for row, values in enumerate(said):
                yield Cell(file, image, group, row), values
