"""A figure of the report, and the chapter that it stands in."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One drawing."""

    name: str
    """Of its file in results/figures: a-z, 0-9 and _."""
    chapter: str
    """`Chapter.name` of the section that it stands in; a section of that name is made if there is none."""
    title: str
    alt: str
    """What it shows, for whoever cannot see it."""
    caption: str
    """What is drawn and from what, exactly."""
    svg: str
    """A whole <svg> element with a viewBox; text and lines in `currentColor`, on no background."""
