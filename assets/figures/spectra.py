"""Average Fourier spectra: pictures of them, their difference to real images, and azimuthal profiles."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from assets.figures.drawing import SMALL, WIDTH, Drawing, Panel, Style, style, text_width
from assets.figures.figure import Figure
from assets.figures.numbers import several
from assets.params import REAL
from assets.report.results import Results
from assets.spectrum import Spectrum, read_spectrum
from assets.statistics.metrics import Floats

_DARK_TO_LIGHT = ("#08051d", "#3b0f70", "#8c2981", "#de4968", "#fe9f6d", "#fcfdbf")
_LESS_TO_MORE = ("#0b3d6e", "#3b82c4", "#f4f4f2", "#d9731a", "#7a3300")
_GAP = 12.0
_HOW = (
    "Luma of the centre crop, {side} x {side} pixels and never resized, minus its 3 x 3 median; the "
    "magnitude of its Fourier transform, averaged over at most {images} kept images of each, then its "
    "natural logarithm. Bright dots or lines away from the middle are periodic traces, as upsampling leaves "
    "them (Wang et al. 2020, arXiv 1912.11035)."
)


def figures(results: Results) -> list[Figure]:
    """The pictures; and the profiles of what there are pictures of."""
    found = [read_spectrum(results.root, item) for item in (REAL, *results.params.generators)]
    drawn = [one for one in found if one.magnitude is not None]
    return [_pictures(results, found), *([_profiles(results, drawn)] if drawn else [])]


def _pictures(results: Results, found: list[Spectrum]) -> Figure:
    title = "Average Fourier spectra"
    side = results.params.spectrum.side
    real = found[0].magnitude
    alt = "Pictures of the average spectrum of " + several([one.item for one in found])
    alt += " and of each generator's difference to real images." if real is not None else "."
    drawing = Drawing("spectra", title, alt)
    maps = [one.magnitude for one in found if one.magnitude is not None]
    low, high = (float(np.percentile(maps, at)) for at in (0.5, 99.9)) if maps else (0.0, 1.0)
    high = max(high, low + 0.1)
    if maps:
        _grid(drawing, found, [one.magnitude for one in found], (low, high), _DARK_TO_LIGHT, "spectrum")
        _scale(drawing, (low, high), _DARK_TO_LIGHT, "natural logarithm of the mean magnitude")
    else:
        text = f"No image has two sides of {side} pixels: there is no spectrum."
        drawing.text(0, drawing.grow(50) + 28, text)
    differences = [
        None if one.magnitude is None or real is None else one.magnitude - real for one in found[1:]
    ]
    there = [one for one in differences if one is not None]
    if there:
        most = max(0.05, float(np.percentile(np.abs(there), 99.8)))
        drawing.text(0, drawing.grow(30) + 20, "Difference to real images", bold=True)
        _grid(drawing, found[1:], differences, (-most, most), _LESS_TO_MORE, "difference to real")
        _scale(drawing, (-most, most), _LESS_TO_MORE, "less than in real images (left), more (right)")
    caption = _HOW.format(side=side, images=results.params.spectrum.images)
    caption += " Frequency 0 is in the middle, the edges are half a cycle per pixel; one scale for all."
    caption += "".join(
        f" {one.item}: {one.left_out} smaller image{'s' if one.left_out != 1 else ''} left out."
        for one in found
        if one.left_out
    )
    return Figure("spectra", "spectra", title, alt, caption, drawing.svg())


def _grid(
    drawing: Drawing,
    found: Sequence[Spectrum],
    maps: Sequence[Floats | None],
    ends: tuple[float, float],
    colours: tuple[str, ...],
    what: str,
) -> None:
    """Pictures in rows of three (or four, if that leaves none alone), each under its name."""
    columns = 4 if len(found) % 3 == 1 else 3
    wide = (WIDTH - _GAP * (columns - 1)) / columns
    for at, (one, values) in enumerate(zip(found, maps, strict=True)):
        if at % columns == 0:
            top = drawing.grow(wide + 26)
        x = (at % columns) * (wide + _GAP)
        count = f"{one.used:,} images"
        drawing.text(x, top + 14, one.item, bold=True)
        if text_width(one.item) * 1.1 + text_width(count, SMALL) < wide:
            drawing.text(x + wide, top + 14, count, anchor="end", height=SMALL, soft=True)
        if values is None:
            drawing.box(x, top + 19, wide, wide, stroke="currentColor", stroke_width=0.6)
            middle = top + 19 + wide / 2
            drawing.text(x + wide / 2, middle - 3, "no image has", anchor="middle", height=SMALL, soft=True)
            text = f"two sides of {one.side} px"
            drawing.text(x + wide / 2, middle + 11, text, anchor="middle", height=SMALL, soft=True)
        else:
            drawing.picture(x, top + 19, wide, painted(values, ends, colours), f"{what} of {one.item}")


def _scale(drawing: Drawing, ends: tuple[float, float], colours: tuple[str, ...], what: str) -> None:
    """The strip that says which colour is which number."""
    top = drawing.grow(40) + 6
    steps = 40
    width = WIDTH / 2
    for at in range(steps):
        colour = "#{:02x}{:02x}{:02x}".format(*_ramp(colours)[round(at * 255 / (steps - 1))])
        drawing.box(at * width / steps, top, width / steps + 0.3, 9, fill=colour)
    for value, x, anchor in ((ends[0], 0.0, "start"), (ends[1], width, "end")):
        drawing.text(x, top + 21, f"{value:.1f}", anchor=anchor, height=SMALL, soft=True)  # type: ignore[arg-type]
    words = what.split(" ")
    half = (len(words) + 1) // 2
    for line, text in enumerate((" ".join(words[:half]), " ".join(words[half:]))):
        drawing.text(width + 12, top + 8 + 12 * line, text, height=SMALL, soft=True)


def painted(values: Floats, ends: tuple[float, float], colours: tuple[str, ...]) -> bytes:
    """(S, S) numbers as a PNG of 256 colours, from the first colour at the lower end to the last."""
    shares = np.clip((values - ends[0]) / (ends[1] - ends[0]), 0, 1)
    image = Image.fromarray(np.rint(shares * 255).astype(np.uint8), "P")
    image.putpalette([int(part) for colour in _ramp(colours) for part in colour])
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _ramp(colours: tuple[str, ...]) -> list[tuple[int, int, int]]:
    """256 colours, evenly from the first to the last."""
    known = np.array([[int(colour[at : at + 2], 16) for at in (1, 3, 5)] for colour in colours])
    places = np.linspace(0, len(colours) - 1, 256)
    mixed = [np.interp(places, np.arange(len(colours)), known[:, channel]) for channel in range(3)]
    return [(int(r), int(g), int(b)) for r, g, b in np.rint(mixed).T.astype(int)]


def _profiles(results: Results, found: list[Spectrum]) -> Figure:
    title = "Azimuthal profiles"
    alt = (
        "Line charts over frequency from 0 to half a cycle per pixel: how strong frequencies are on average "
        f"in {several([one.item for one in found])}, and the difference of each to real images."
    )
    drawing = Drawing("spectra_profiles", title, alt)
    look = {REAL: Style("currentColor", "", "circle")}
    look |= {name: style(index) for index, name in enumerate(results.params.generators)}
    drawing.legend([(one.item, look[one.item]) for one in found])
    _profile_panel(drawing, found, look, "Natural logarithm of the magnitude")
    if found[0].item == REAL and len(found) > 1:
        real = found[0].mean
        less = [
            Spectrum(one.item, one.used, 0, one.side, None, one.frequency, one.mean - real, None)
            for one in found[1:]
        ]
        _profile_panel(drawing, less, look, "Difference to real images")
    caption = (
        "Mean over images of the logarithm of the mean magnitude in rings of one frequency, up to the "
        "Nyquist frequency (the corners of the pictures lie beyond it), from the same crops and high-pass as "
        "the pictures. Above 0 in the lower chart: more of that frequency than in real images. Band: one "
        "standard deviation over real images."
    )
    return Figure("spectra_profiles", "spectra", title, alt, caption, drawing.svg())


def _profile_panel(drawing: Drawing, found: list[Spectrum], look: dict[str, Style], title: str) -> None:
    """One chart; ring 0 is left out: the high-pass takes away what it would show."""
    top = drawing.grow(218) + 24
    band = [
        (one.mean - one.sd, one.mean + one.sd) for one in found if one.item == REAL and one.sd is not None
    ]
    values = np.concatenate([*(one.mean[1:] for one in found), *(edge[1:] for pair in band for edge in pair)])
    step = next(step for step in (0.1, 0.25, 0.5, 1, 2, 5, 10) if np.ptp(values) / step <= 7 or step == 10)
    low = step * np.floor(min(values.min(), 0 if not band else np.inf) / step)
    high = max(step * np.ceil(max(values.max(), 0 if not band else -np.inf) / step), low + step)
    panel = Panel(drawing, 34, top, WIDTH - 44, 150, (0, 0.5), (float(low), float(high)))
    ticks = [(float(tick), f"{tick:g}") for tick in np.arange(low, high + step / 2, step).round(6)]
    across = [(at / 10, f"{at / 10:g}") for at in range(6)]
    panel.axes(across, ticks, title, x_title="frequency in cycles per pixel")
    for lower, upper in band:
        frequency = found[0].frequency[1:]
        ends = [list(zip(frequency, edge[1:], strict=True)) for edge in (lower, upper)]
        panel.band(ends[0], ends[1], "currentColor")
    for one in found:
        points = list(zip(one.frequency[1:], one.mean[1:], strict=True))
        panel.curve(points, look[one.item], width=2.2 if one.item == REAL else 1.7, tip=one.item)
        each = max(1, len(points) // 5)
        for x, y in points[each // 2 :: each]:
            panel.mark(x, y, look[one.item], 2.8, f"{one.item}: {y:.2f} at {x:.3f}")
