"""Explicit mapping of a column's values: which of them mean generated, and which a class."""

from collections.abc import Iterable

from assets.errors import AssayError, did_you_mean
from assets.prompting.imagenet import CLASSES
from tasks.sources import polarity
from tasks.sources.entry import Entry, Source, Wanted
from tasks.sources.names import class_columns, imagenet_columns, printable

USUAL = ("label", "labels", "target", "is_fake", "fake", "is_real", "is_generated", "is_ai", "cls", "class")
"""Columns that often say real or generated."""
_BINARY = {"0", "1", "true", "false", "-1"}


def may_be_polarity(column: str, values: Iterable[str], names: list[str] | None) -> bool:
    """Whether a column may say real or generated: by its values' names, or because it has two values."""
    said = {value.lower() for value in values}
    shown = names if names is not None else said
    if any(polarity.hint(name) is not None for name in shown):
        return True
    return names is None and column.lower() in USUAL and said <= _BINARY


def ask(column: str, values: Iterable[str], names: list[str] | None, where: str) -> AssayError:
    """The error that asks for a mapping."""
    shown = ", ".join(_both(value, names) for value in sorted(values)[:6])
    return AssayError(
        f"{where}: the column '{column}' ({shown}) may say which pictures are generated: say so with "
        f"--label-column {column} --generated VALUE, or that it is the class with --class-column {column}"
    )


def split(
    entries: list[Entry], values: list[str | None], names: list[str] | None, wanted: Wanted, where: str
) -> tuple[list[Source], list[str]]:
    """Two sets, data/NAME with the generated pictures and data/NAME_real with the others.

    Args:
        values: of the label column, one an entry; None has no label.
        names: of the values 0, 1, ... where the data say so.
        wanted: `generated` are the values (or names of values) that mean generated.
    Raises:
        AssayError: no value, or one that never occurs, means generated; names contradict.
    """
    known = {value for value in values if value is not None}
    generated = {_value(word, known, names, wanted, where) for word in wanted.generated}
    if not generated:
        raise ask(str(wanted.label_column), known, names, where)
    if not wanted.polarity_checked:
        _check(known, generated, names, str(wanted.label_column))
    assert wanted.name is not None
    content = wanted.content or "photo"
    made = Source(wanted.name, False, [], content, wanted.family, wanted.released)
    real = Source(f"{wanted.name}_real", True, [], content)
    unlabelled = 0
    for entry, value in zip(entries, values, strict=True):
        if value is None:
            unlabelled += 1
        elif value in generated:
            made.entries.append(entry)
        else:
            real.entries.append(entry)
    others = ", ".join(sorted(_both(value, names) for value in known - generated)) or "none"
    said = ", ".join(sorted(_both(value, names) for value in generated))
    notes = [f"{wanted.label_column}: generated is {said}; real is {others}"]
    if unlabelled:
        notes.append(f"{unlabelled:,} left out: no value in the column {wanted.label_column}")
    return [source for source in (made, real) if source.entries], notes


def class_of(value: object, names: list[str] | None, imagenet: bool) -> dict[str, object]:
    """class_name, and class_index where it is known, of a value of the class column.

    Args: imagenet: numbers are ImageNet-1k's.
    """
    if value is None:
        return {}
    text = printable(str(value))
    number = int(text) if text.isdecimal() else None
    if number is not None and names is not None and number < len(names):
        return imagenet_columns(names[number]) or (
            class_columns(number)
            if imagenet and number < CLASSES
            else {"class_name": printable(names[number])}
        )
    if number is not None and imagenet and number < CLASSES:
        return class_columns(number)
    return imagenet_columns(text) or {"class_name": text}


def _check(known: set[str], generated: set[str], names: list[str] | None, column: str) -> None:
    """Refuse a mapping that the values' own names contradict."""
    wrong = [v for v in sorted(known) if polarity.hint(_name(v, names)) is (v not in generated)]
    if not wrong:
        return
    right = [v for v in sorted(known) if polarity.hint(_name(v, names)) is True]
    mend = f"say --generated {','.join(right)}" if right else "say which other value means generated"
    called_real = wrong[0] not in generated
    alike = [v for v in wrong if (v not in generated) is called_real]
    polarity.refuse(called_real, [f"{column} {_both(v, names)}" for v in alike], mend)


def _name(value: str, names: list[str] | None) -> str:
    if names is not None and value.isdecimal() and int(value) < len(names):
        return names[int(value)]
    return value


def _both(value: str, names: list[str] | None) -> str:
    name = _name(value, names)
    return value if name == value else f"{value} = {name}"


def _value(word: str, known: set[str], names: list[str] | None, wanted: Wanted, where: str) -> str:
    """The value that a word of --generated means."""
    if word in known:
        return word
    if names is not None and word in names and str(names.index(word)) in known:
        return str(names.index(word))
    allowed = known | ({_name(value, names) for value in known} if names else set())
    raise AssayError(f"{where}: --generated {word}: {did_you_mean(word, allowed)}")
