"""SVG by hand: shapes, panels with axes, series that can be told apart, legends.

Figures are inlined into a page with a light and a dark mode and read on phones, so: no background, text and
axes in `currentColor`, series in colours with a contrast of at least 3:1 on white and on near black, told
apart by dash and marker too; 400 units wide, on which text of 10 to 12 units is legible at 375 px.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Literal, NamedTuple

WIDTH = 400.0
"""Of every figure, in its own units."""
TEXT = 12.0
"""Height of letters in these units."""
SMALL = 10.5
"""Height of the labels of axes."""
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"

BLUE, ORANGE, GREEN, GREY = "#3b82c4", "#d9731a", "#2a9d74", "#7d8794"
COLOURS = (BLUE, ORANGE, GREEN, "#c2569b", "#8a6fd1", "#94872a", "#d64550", GREY)
DASHES = ("", "6 2.5", "2 2", "8 2 2 2", "4 1.5 1 1.5")
MARKERS = ("circle", "square", "triangle", "diamond", "cross", "plus", "down")

Anchor = Literal["start", "middle", "end"]
Point = tuple[float, float]


class Style(NamedTuple):
    """How one series looks everywhere in a figure."""

    colour: str
    dash: str = ""
    marker: str = "circle"


def style(index: int) -> Style:
    """The look of the series of that number; 280 of them are different."""
    return Style(COLOURS[index % 8], DASHES[index % 5], MARKERS[index % 7])


def number(value: float) -> str:
    """A coordinate: two digits after the point at most, so that equal figures are equal bytes."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text in ("", "-0") else text


def text_width(text: str, height: float = TEXT) -> float:
    """About how wide a text is, rather too much than too little."""
    narrow = sum(letter in "iljtfr.,:;|()[]/ 1" for letter in text)
    return height * (0.68 * len(text) - 0.28 * narrow)


@dataclass
class Drawing:
    """Shapes in the order in which they are painted; x runs right, y down, both in units."""

    name: str
    """Begins every id, so that figures on one page do not share any."""
    title: str
    description: str
    """For whoever cannot see it."""
    height: float = 0.0
    """Grows with what is drawn by `grow`."""
    shapes: list[str] = field(default_factory=list)

    def grow(self, height: float) -> float:
        """Add a strip of that height below and say where it begins."""
        top = self.height
        self.height += height
        return top

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        anchor: Anchor = "start",
        height: float = TEXT,
        soft: bool = False,
        bold: bool = False,
        turn: float = 0,
    ) -> None:
        """Text whose baseline begins (or has its middle, or ends) at x, y."""
        extra = "" if anchor == "start" else f' text-anchor="{anchor}"'
        extra += "" if height == TEXT else f' font-size="{number(height)}"'
        extra += ' opacity=".72"' if soft else ""
        extra += ' font-weight="600"' if bold else ""
        extra += f' transform="rotate({number(turn)} {number(x)} {number(y)})"' if turn else ""
        self.shapes.append(f'<text x="{number(x)}" y="{number(y)}"{extra}>{escape(text)}</text>')

    def line(
        self,
        points: Sequence[Point],
        colour: str = "currentColor",
        *,
        width: float = 1.0,
        dash: str = "",
        opacity: float = 1.0,
        tip: str = "",
    ) -> None:
        """A line through points; `tip` is shown where a mouse rests on it."""
        path = " ".join(f"{number(x)},{number(y)}" for x, y in points)
        extra = f' stroke-dasharray="{dash}"' if dash else ""
        extra += f' opacity="{number(opacity)}"' if opacity < 1 else ""
        self._add(
            f'polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{number(width)}" '
            f'stroke-linejoin="round"{extra}',
            tip,
        )

    def area(self, points: Sequence[Point], colour: str, opacity: float) -> None:
        """A filled shape without an outline."""
        path = " ".join(f"{number(x)},{number(y)}" for x, y in points)
        self.shapes.append(f'<polygon points="{path}" fill="{colour}" opacity="{number(opacity)}"/>')

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        *,
        fill: str = "none",
        opacity: float = 1.0,
        stroke: str = "none",
        stroke_width: float = 1.0,
        tip: str = "",
    ) -> None:
        """A rectangle; `opacity` is that of its filling."""
        extra = f' fill-opacity="{number(opacity)}"' if opacity < 1 else ""
        extra += f' stroke="{stroke}" stroke-width="{number(stroke_width)}"' if stroke != "none" else ""
        place = f'x="{number(x)}" y="{number(y)}" width="{number(width)}" height="{number(height)}"'
        self._add(f'rect {place} fill="{fill}"{extra}', tip)

    def mark(self, x: float, y: float, look: Style, size: float = 3.0, tip: str = "") -> None:
        """A marker of about twice `size` across."""
        if look.marker in ("circle", "dot"):
            radius = number(size if look.marker == "circle" else size * 0.55)
            place = f'cx="{number(x)}" cy="{number(y)}" r="{radius}"'
            self._add(f'circle {place} fill="{look.colour}"', tip)
            return
        if look.marker in ("cross", "plus"):
            arms = _OUTLINES[look.marker]
            path = "".join(f"M{number(x + size * a)} {number(y + size * b)}" for a, b in arms[::2])
            ends = [f"L{number(x + size * a)} {number(y + size * b)}" for a, b in arms[1::2]]
            first, second = path.split("M")[1:]
            path = f"M{first}{ends[0]}M{second}{ends[1]}"
            self._add(
                f'path d="{path}" stroke="{look.colour}" stroke-width="{number(size * 0.7)}" fill="none"', tip
            )
            return
        outline = _OUTLINES[look.marker]
        points = " ".join(f"{number(x + size * a)},{number(y + size * b)}" for a, b in outline)
        self._add(f'polygon points="{points}" fill="{look.colour}"', tip)

    def picture(self, x: float, y: float, side: float, png: bytes, about: str) -> None:
        """A square PNG, its pixels kept as squares."""
        data = base64.b64encode(png).decode()
        place = f'x="{number(x)}" y="{number(y)}" width="{number(side)}" height="{number(side)}"'
        self.shapes.append(
            f'<image {place} href="data:image/png;base64,{data}" style="image-rendering:pixelated">'
            f"<title>{escape(about)}</title></image>"
        )

    def legend(self, entries: Sequence[tuple[str, Style]], *, lines: bool = True, marks: bool = True) -> None:
        """A strip that says which series looks how, in as many rows as it takes."""
        x, y = 0.0, self.grow(16) + 10
        for label, look in entries:
            width = 28 + text_width(label) + 10
            if x and x + width > WIDTH + 10:
                x, y = 0.0, self.grow(16) + 10
            if lines:
                self.line([(x, y - 4), (x + 22, y - 4)], look.colour, width=1.8, dash=look.dash)
            if marks:
                self.mark(x + 11, y - 4, look, 3.2)
            self.text(x + 28, y, label)
            x += width
        self.grow(8)

    def svg(self) -> str:
        """The whole element; equal drawings give equal text."""
        identity = f"figure-{self.name}"
        size = f"0 0 {number(WIDTH)} {number(self.height)}"
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{size}" role="img" '
            f'aria-labelledby="{identity}-title" aria-describedby="{identity}-desc" font-family="{FONT}" '
            f'font-size="{number(TEXT)}" fill="currentColor" style="width:100%;max-width:38rem;height:auto">'
            f'<title id="{identity}-title">{escape(self.title)}</title>'
            f'<desc id="{identity}-desc">{escape(self.description)}</desc>'
        )
        return "\n".join([head, *self.shapes, "</svg>"]) + "\n"

    def _add(self, tag: str, tip: str) -> None:
        name = tag.split(" ", 1)[0]
        self.shapes.append(f"<{tag}><title>{escape(tip)}</title></{name}>" if tip else f"<{tag}/>")


_OUTLINES: dict[str, tuple[Point, ...]] = {
    "square": ((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)),
    "triangle": ((0, -1.15), (1.1, 0.85), (-1.1, 0.85)),
    "down": ((0, 1.15), (1.1, -0.85), (-1.1, -0.85)),
    "diamond": ((0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)),
    "cross": ((-0.95, -0.95), (0.95, 0.95), (-0.95, 0.95), (0.95, -0.95)),
    "plus": ((-1.2, 0), (1.2, 0), (0, -1.2), (0, 1.2)),
}
"""Of markers, in multiples of their size."""


@dataclass(frozen=True)
class Panel:
    """A rectangle of a drawing with two axes; values outside of them are drawn at their end."""

    drawing: Drawing
    left: float
    top: float
    width: float
    height: float
    x_range: tuple[float, float]
    """The values at its left and right edge; the first may be the larger one."""
    y_range: tuple[float, float]
    """The values at its bottom and top edge."""

    def at(self, x: float, y: float) -> Point:
        """Where a pair of values lies in the drawing."""
        across = _share(x, self.x_range)
        up = _share(y, self.y_range)
        return self.left + across * self.width, self.top + (1 - up) * self.height

    def axes(
        self,
        x_ticks: Sequence[tuple[float, str]],
        y_ticks: Sequence[tuple[float, str]],
        title: str = "",
        *,
        x_title: str = "",
        y_title: str = "",
    ) -> None:
        """Grid lines with their labels; a label of '' draws the line alone."""
        bottom, right = self.top + self.height, self.left + self.width
        for value, label in y_ticks:
            y = self.at(self.x_range[0], value)[1]
            self.drawing.line([(self.left, y), (right, y)], width=0.6, opacity=0.22)
            if label:
                self.drawing.text(self.left - 4, y + 3.5, label, anchor="end", height=SMALL, soft=True)
        for value, label in x_ticks:
            x = self.at(value, self.y_range[0])[0]
            self.drawing.line([(x, bottom), (x, bottom + 3)], width=0.8, opacity=0.6)
            if label:
                middle = min(x, WIDTH - text_width(label, SMALL) / 2)
                self.drawing.text(middle, bottom + 14, label, anchor="middle", height=SMALL, soft=True)
        self.drawing.line([(self.left, bottom), (right, bottom)], width=0.9, opacity=0.6)
        if title:
            self.drawing.text(self.left, self.top - 7, title, height=11, bold=True)
        if x_title:
            middle = min((self.left + right) / 2, WIDTH - text_width(x_title, SMALL) / 2)
            self.drawing.text(middle, bottom + 27, x_title, anchor="middle", height=SMALL, soft=True)
        if y_title:
            x, y = self.left - 27, self.top + self.height / 2
            self.drawing.text(x, y, y_title, anchor="middle", height=SMALL, soft=True, turn=-90)

    def curve(
        self, points: Sequence[Point], look: Style, *, width: float = 1.8, tip: str = "", opacity: float = 1.0
    ) -> None:
        """A line through pairs of values."""
        if len(points) > 1:
            path = [self.at(*point) for point in points]
            width = width if look.marker != "dot" else min(width, 0.9)
            self.drawing.line(path, look.colour, width=width, dash=look.dash, tip=tip, opacity=opacity)

    def band(self, low: Sequence[Point], high: Sequence[Point], colour: str) -> None:
        """What lies between two curves, lightly."""
        outline = [self.at(*point) for point in [*low, *reversed(high)]]
        self.drawing.area(outline, colour, 0.16)

    def whisker(self, x: float, low: float, high: float, look: Style) -> None:
        """An interval in y."""
        self.drawing.line([self.at(x, low), self.at(x, high)], look.colour, width=1.1, opacity=0.5)

    def mark(self, x: float, y: float, look: Style, size: float = 3.0, tip: str = "") -> None:
        """A marker at a pair of values."""
        self.drawing.mark(*self.at(x, y), look, size, tip)

    def rule(self, low: Point, high: Point) -> None:
        """A dashed line for comparison."""
        self.drawing.line([self.at(*low), self.at(*high)], width=0.9, dash="3 3", opacity=0.55)

    def guessing(self) -> None:
        """The AUROC of guessing, unless the axis lies there anyway."""
        if self.y_range[0] < 0.5:
            self.rule((self.x_range[0], 0.5), (self.x_range[1], 0.5))


def share_ticks(low: float, high: float = 1.0) -> list[tuple[float, str]]:
    """Round shares from low to high, at most six of them."""
    step = next(step for step in (0.02, 0.05, 0.1, 0.2, 0.25) if (high - low) / step <= 6 or step == 0.25)
    first = round(low / step)
    last = round(high / step)
    values = [index * step for index in range(first, last + 1)]
    places = 1 if step in (0.1, 0.2) else 2
    return [(value, f"{value:.{places}f}") for value in values]


def share_floor(values: Sequence[float]) -> float:
    """Where an axis of shares that ends at 1 begins: guessing (0.5), or as far below as there are values."""
    lowest = min([0.5, *values])
    return 0.5 if lowest >= 0.48 else max(0.0, int(lowest * 10) / 10)


def _share(value: float, ends: tuple[float, float]) -> float:
    share = (value - ends[0]) / (ends[1] - ends[0])
    return min(max(share, 0.0), 1.0)
