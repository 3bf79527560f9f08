"""The report as Prefect artifacts, so that a run's page shows what came out: tables, figures, a link."""

import base64
import json
from pathlib import Path
from typing import Any

from prefect.artifacts import (
    create_image_artifact,
    create_link_artifact,
    create_markdown_artifact,
    create_table_artifact,
)

_LARGEST = 200_000
"""Bytes of a figure or a table that goes into Prefect's database."""


def publish_report(results: Path, known: str) -> None:
    """Leave the tables of a report, its figures and a link to its page with Prefect.

    Args:
        results: the report's folder.
        known: the hashes that go under each of them.
    """
    page = (results / "index.html").resolve()
    create_link_artifact(link=page.as_uri(), link_text="the report", key="report", description=known)
    summary = json.loads((results / "summary.json").read_text("utf-8"))
    ranked = [{"detector": name, **_aurocs(of)} for name, of in summary["detectors"].items()]
    create_table_artifact(table=ranked, key="detectors", description=f"mean AUROC; {known}")
    for path in sorted((results / "tables").glob("*.md")):
        if path.stat().st_size <= _LARGEST:
            text = path.read_text("utf-8")
            create_markdown_artifact(markdown=text, key=_key(path.stem), description=known)
    for path in sorted((results / "figures").glob("*.svg")):
        if path.stat().st_size <= _LARGEST:
            data = base64.b64encode(_on_paper(path.read_text("utf-8")).encode()).decode()
            address = f"data:image/svg+xml;base64,{data}"
            create_image_artifact(image_url=address, key=f"figure-{_key(path.stem)}", description=known)


def _on_paper(svg: str) -> str:
    """Our figures take the colour of the text around them; Prefect's page is dark and says nothing of it."""
    head, style, rest = svg.partition('style="')
    paper = "background:#fff;color:#1c2430"
    return f"{head}{style}{paper};{rest}" if style else svg.replace("<svg", f'<svg style="{paper}"', 1)


def _aurocs(of: dict[str, dict[str, Any]]) -> dict[str, float | None]:
    """Mean -> state -> numbers, as one row."""
    return {
        f"{kind} {state}": numbers["auroc"]["value"] if numbers else None
        for kind, states in of.items()
        for state, numbers in states.items()
    }


def _key(name: str) -> str:
    """Prefect's keys have dashes only."""
    return name.replace("_", "-")
