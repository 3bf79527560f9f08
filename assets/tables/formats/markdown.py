"""A chapter as Markdown that reads well both in a terminal and on GitHub."""

import unicodedata
from collections.abc import Collection, Sequence
from itertools import takewhile

from assets.report.results import Results
from assets.tables.formats.numbers import SEEN, SEEN_NOTE, any_seen, whole
from assets.tables.table import Chapter, Table


def markdown(chapter: Chapter, results: Results) -> str:
    """Title, hashes, intro, then every table under its own heading with its caption and notes."""
    parts = [
        f"# {escape(chapter.title)}",
        f"lineage `{results.lineage}`  \nrecipe `{results.recipe}`",
        *map(escape, chapter.intro),
    ]
    before = ""
    for table in chapter.tables:
        notes = [*table.notes, *([SEEN_NOTE] if any_seen(table) else [])]
        caption = _less_what_was_said(table.caption, before)
        parts += [f"## {escape(table.title)}", escape(caption), _table(table)]
        parts += ["  \n".join(f"*{escape(note)}*" for note in notes)] if notes else []
        before = table.caption
    return "\n\n".join(parts) + "\n"


def markdown_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], num_labels: int = 1, texts: Collection[int] = ()
) -> str:
    """A pipe table, padded so that its columns align as plain text too; numbers stand to the right.

    Args:
        num_labels: the first so many columns stand to the left.
        texts: further columns that do, from 0.
    """
    lines = [[escape(text).replace("|", "\\|") for text in line] for line in [header, *rows]]
    widths = [max(3, *(len(line[column]) for line in lines)) for column in range(len(header))]
    left = [column < num_labels or column in texts for column in range(len(header))]

    def text(line: Sequence[str]) -> str:
        cells = (
            value.ljust(width) if to_left else value.rjust(width)
            for value, width, to_left in zip(line, widths, left, strict=True)
        )
        return f"| {' | '.join(cells)} |"

    rule = [
        "-" * width if to_left else "-" * (width - 1) + ":"
        for width, to_left in zip(widths, left, strict=True)
    ]
    return "\n".join([text(lines[0]), text(rule), *map(text, lines[1:])])


def escape(text: str) -> str:
    """Text that is no HTML, no link and no picture, on one line, and that moves no terminal's cursor."""
    plain = "".join(" " if unicodedata.category(letter).startswith("C") else letter for letter in text)
    return plain.replace("\\", "\\\\").replace("<", "&lt;").replace("[", "\\[")


def _less_what_was_said(caption: str, before: str) -> str:
    """A caption whose last sentences stand under the table before it too: these are not said again."""
    backwards = zip(reversed(caption), reversed(before), strict=False)
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], backwards))
    start = caption.find(". ", len(caption) - same)
    if start < 0:
        return caption
    return f"{caption[: start + 1]} The rest as above."


def _table(table: Table) -> str:
    header = [*table.heads, *(column.name for column in table.columns)]
    rows = []
    for line in table.lines:
        texts = [whole(value, column, SEEN) for value, column in zip(line.values, table.columns, strict=True)]
        rows.append([*line.heads, *texts])
    words = [at for at, column in enumerate(table.columns, len(table.heads)) if column.unit == "text"]
    return markdown_table(header, rows, len(table.heads), words)
