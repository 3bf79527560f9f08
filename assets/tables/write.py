"""Chapters as files: each in every format."""

from collections.abc import Sequence
from pathlib import Path

from assets.files import write_text
from assets.report.results import Results
from assets.tables.formats.csv_ import csv_
from assets.tables.formats.json_ import json_
from assets.tables.formats.latex import latex
from assets.tables.formats.markdown import markdown
from assets.tables.table import Chapter

FORMATS = {"md": markdown, "tex": latex, "csv": csv_, "json": json_}
"""Suffix -> what turns a chapter into the text of a file."""


def write_chapters(folder: Path, chapters: Sequence[Chapter], results: Results) -> None:
    """Write NAME.md, .tex, .csv and .json for every chapter."""
    for chapter in chapters:
        for suffix, text in FORMATS.items():
            write_text(folder / f"{chapter.name}.{suffix}", text(chapter, results))
