r"""A chapter as LaTeX: a `table` for each, in a document that says \usepackage{booktabs}.

If it says \usepackage{graphicx} too, tables that are wider than a line are shrunk to it.
Nothing is set in bold: the highest number of a column is often no better than the next (the intervals tell).
"""

import textwrap
import unicodedata

from assets.report.results import Results
from assets.tables.formats.numbers import SEEN_NOTE, any_seen, bounds, number, spread
from assets.tables.table import Chapter, Column, Line, Table, Value

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"$<$",
    ">": r"$>$",
    "|": r"$|$",
    "–": "--",
    "−": "$-$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "†": r"$^\dagger$",
    '"': "''",
}
_FIT = (
    r"\providecommand{\assayfit}[1]{\sbox0{#1}\ifdim\wd0>\linewidth\ifdefined\resizebox"
    r"\resizebox{\linewidth}{!}{\usebox0}\else\usebox0\fi\else\usebox0\fi}"
)
_HEAD_WIDTH = 12  # letters of a line of a column's name
_LAST_LATIN = "\u017f"  # what pdflatex sets without further packages


def latex(chapter: Chapter, results: Results) -> str:
    """Hashes as comments, then every table with its caption and label."""
    head = [
        f"% {escape(chapter.title)}",
        f"% lineage {results.lineage}",
        f"% recipe {results.recipe}",
        r"% needs \usepackage{booktabs}; with \usepackage{graphicx}, wide tables are shrunk to the line",
        _FIT,
    ]
    return "\n\n".join(["\n".join(head), *(_table(chapter, table) for table in chapter.tables)]) + "\n"


def escape(text: str) -> str:
    """Text that means itself; letters beyond Latin become `?`, control characters a space."""
    return "".join(_letter(letter) for letter in text)


def _letter(letter: str) -> str:
    if letter in _SPECIAL:
        return _SPECIAL[letter]
    if unicodedata.category(letter).startswith("C"):
        return " "
    return letter if letter <= _LAST_LATIN else "?"


def _table(chapter: Chapter, table: Table) -> str:
    notes = [*table.notes, *([SEEN_NOTE] if any_seen(table) else [])]
    title = [] if table.caption.startswith(f"{table.title}:") else [f"{table.title}."]
    caption = " ".join([*title, table.caption, *notes])
    rows = []
    for at, line in enumerate(table.lines):
        if at and len(table.heads) > 1 and line.heads[0] != table.lines[at - 1].heads[0]:
            rows.append(r"\addlinespace")
        rows.append(_line(line, table))
    names = [*map(escape, table.heads), *(_stacked(column) for column in table.columns)]
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            r"\scriptsize",
            r"\setlength{\tabcolsep}{3pt}",
            rf"\caption{{{escape(caption)}}}",
            r"\smallskip",
            rf"\label{{tab:{chapter.name}:{table.name}}}",
            rf"\assayfit{{\begin{{tabular}}{{{_alignment(table)}}}",
            r"\toprule",
            " & ".join(names) + r" \\",
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}}",
            r"\end{table}",
        ]
    )


def _alignment(table: Table) -> str:
    """Heads and texts to the left, numbers to the right; a gap before the columns of means."""
    text = "l" * len(table.heads)
    for column, before in zip(table.columns, [None, *table.columns], strict=False):
        gap = r"@{\hspace{1.5em}}" if column.mean and before is not None and not before.mean else ""
        text += gap + ("l" if column.unit == "text" else "r")
    return text


def _line(line: Line, table: Table) -> str:
    heads = [rf"\textit{{{escape(head)}}}" if line.mean else escape(head) for head in line.heads]
    values = [_value(value, column) for value, column in zip(line.values, table.columns, strict=True)]
    return " & ".join([*heads, *values]) + r" \\[2pt]"


def _stacked(column: Column) -> str:
    """A column's name, on several lines where it is long."""
    lines = textwrap.wrap(column.name, _HEAD_WIDTH, break_long_words=False) or [""]
    text = r"\\".join(map(escape, lines))
    return rf"\shortstack[{'l' if column.unit == 'text' else 'r'}]{{{text}}}" if len(lines) > 1 else text


def _value(value: Value | None, column: Column) -> str:
    """The number; under it its deviation over seeds and its interval."""
    if value is None:
        return ""
    if value.text is not None:
        return _stacked(Column(value.text, column.unit))
    top = escape(_minus(number(value, column))) + (r"$^\dagger$" if value.seen else "")
    below = [escape(_minus(text)) for text in (spread(value, column), bounds(value, column)) if text]
    if not below:
        return top
    return rf"\shortstack[r]{{{top}" + "".join(rf"\\{{\tiny {text}}}" for text in below) + "}"


def _minus(text: str) -> str:
    """A minus sign, not a hyphen."""
    return text.replace("-", "−")
