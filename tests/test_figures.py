"""Figures show the numbers of the tables where the numbers say, safely, on light and dark, in equal bytes."""

import base64
import io
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from assets.errors import AssayError
from assets.figures import (
    chronological,
    correlation,
    degradation_curves,
    ranks,
    reliability,
    roc,
    scale,
    spectra,
)
from assets.figures.all_figures import FIGURES, all_figures
from assets.figures.drawing import (
    COLOURS,
    WIDTH,
    Drawing,
    Panel,
    share_floor,
    share_ticks,
    style,
    text_width,
)
from assets.figures.figure import Figure
from assets.figures.numbers import MANY, OTHERS, kinds_of, legend_of, looks
from assets.page.drawing import drawing
from assets.params import CLEAN, REAL, Params, parse_params
from assets.report.results import Results
from assets.statistics.cells import ALL, CELL, Cell, Estimate
from assets.statistics.curves import Curve, curve
from assets.statistics.means import CROSS_GENERATOR, IN_DOMAIN, PLAIN_MEAN
from assets.statistics.tabulate import Tabulated
from tests.made_up import benchmark_params, write_spectrum

SVG = "{http://www.w3.org/2000/svg}"
Auroc = Callable[[str, str, str, str, str], float | None]
"""(kind, detector, trained_on, tested_on, condition)."""


def made(params: Params, auroc: Auroc, root: Path = Path()) -> Results:
    """Results in which only AUROCs are known: those of the function."""

    def cell(*key: str) -> Cell:
        value = auroc(*key)  # type: ignore[call-arg]
        draws = None if value is None else np.array([value - 0.04, value, value + 0.04])
        return Cell(*key, "0", 1, 1, {"auroc": Estimate(value, draws)})  # type: ignore[arg-type]

    cells, means = [], []
    for detector in params.scorers:
        for source in (*params.rows_of(detector), ALL):
            for condition in (*params.conditions, ALL):
                for kind in (IN_DOMAIN, CROSS_GENERATOR, PLAIN_MEAN):
                    means.append(cell(kind, detector, source, ALL, condition))
            if source != ALL:
                cells += [cell(CELL, detector, source, name, CLEAN) for name in params.generators]
    tabulated = Tabulated(cells, cells, means, {})
    return Results(params, tabulated, {}, [], "a" * 64, "b" * 64, root=root)


def varied(params: Params, **sections: Any) -> Params:
    """The same parameters with parts of sections replaced."""
    document = params.model_dump(by_alias=True)
    for name, values in sections.items():
        document[name] = {**document[name], **values}
    return parse_params(document, "params")


def flat(*_: str) -> float:
    return 0.75


def parsed(figure: Figure) -> ElementTree.Element:
    """The figure as XML, after what holds for every figure."""
    root = ElementTree.fromstring(figure.svg)
    assert re.fullmatch(r"[a-z0-9_]+", figure.name) and figure.title and figure.alt and figure.caption
    assert root.tag == f"{SVG}svg" and not {"width", "height"} & {*root.attrib}
    left, top, width, height = map(float, root.attrib["viewBox"].split())
    assert (left, top, width) == (0, 0, WIDTH) and height > 40
    assert root.find(f"{SVG}title").text == figure.title  # type: ignore[union-attr]
    ids = [element.attrib["id"] for element in root.iter() if "id" in element.attrib]
    assert len(ids) == len({*ids}) and all(one.startswith(f"figure-{figure.name}-") for one in ids)
    assert [root.attrib[name] for name in ("aria-labelledby", "aria-describedby")] == ids
    assert "http" not in figure.svg.replace("http://www.w3.org/2000/svg", "") and "<script" not in figure.svg
    for element in root.iter(f"{SVG}text"):
        assert 0 <= float(element.attrib["x"]) <= WIDTH and 0 <= float(element.attrib["y"]) <= height
        if not element.attrib.get("transform"):
            wide = text_width(element.text or "", float(element.attrib.get("font-size", 12)))
            share = {"end": 1.0, "middle": 0.5}.get(element.attrib.get("text-anchor", ""), 0.0)
            start = float(element.attrib["x"]) - wide * share
            assert start > -8 and start + wide < WIDTH + 8, element.text
    return root


def texts(root: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in root.iter(f"{SVG}text")]


def tips(root: ElementTree.Element) -> dict[str, ElementTree.Element]:
    """What a mouse is told -> the shape it rests on."""
    return {
        element.find(f"{SVG}title").text or "": element  # type: ignore[union-attr]
        for element in root.iter()
        if element.tag != f"{SVG}svg" and element.find(f"{SVG}title") is not None
    }


def place(element: ElementTree.Element) -> tuple[float, float]:
    """The middle of a marker."""
    at = element.attrib
    if "cx" in at:
        return float(at["cx"]), float(at["cy"])
    numbers = np.array(re.findall(r"-?[\d.]+", at.get("points") or at["d"]), float).reshape(-1, 2)
    middle = (numbers.min(axis=0) + numbers.max(axis=0)) / 2
    return float(middle[0]), float(middle[1])


def luminance(colour: str) -> float:
    """WCAG 2.2."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


@pytest.mark.parametrize("paper", ["#ffffff", "#fbfaf8", "#1b2027", "#14171c"])
def test_colours_stand_out_on_light_and_dark_paper(paper: str) -> None:
    for colour in COLOURS:
        light, dark = sorted([luminance(colour), luminance(paper)], reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 3, colour


def test_no_two_series_look_alike() -> None:
    assert len({style(index) for index in range(280)}) == 280
    # and next to each other they differ in all three
    for index in range(30):
        assert all(a != b for a, b in zip(style(index), style(index + 1), strict=True))


def test_texts_are_escaped() -> None:
    made_up = Drawing("x", "<title>", 'a "quote" & <b>')
    made_up.text(0, made_up.grow(50) + 20, "<script>alert(1)</script>")
    made_up.line([(0, 0), (1, 1)], tip="</title><script>")
    made_up.legend([("<i>", style(0))])
    root = ElementTree.fromstring(made_up.svg())
    assert "<script>alert(1)</script>" in texts(root) and root.find(f"{SVG}script") is None
    assert "<script" not in made_up.svg() and root.find(f"{SVG}desc").text == 'a "quote" & <b>'  # type: ignore[union-attr]


def test_a_panel_puts_values_where_they_belong_and_keeps_them_inside() -> None:
    panel = Panel(Drawing("x", "x", "x"), 10, 20, 100, 50, (2, 0), (0.5, 1))
    assert panel.at(2, 0.5) == (10, 70) and panel.at(0, 1) == (110, 20) and panel.at(1, 0.75) == (60, 45)
    assert panel.at(-9, 3) == (110, 20)


def test_axes_of_shares() -> None:
    assert [label for _, label in share_ticks(0.5)] == ["0.5", "0.6", "0.7", "0.8", "0.9", "1.0"]
    assert [label for _, label in share_ticks(0.9)] == ["0.90", "0.92", "0.94", "0.96", "0.98", "1.00"]
    assert share_ticks(0.2)[0] == (pytest.approx(0.2), "0.2")
    assert (share_floor([0.9, 0.6]), share_floor([0.49]), share_floor([0.31]), share_floor([])) == (
        0.5,
        0.5,
        pytest.approx(0.3),
        0.5,
    )


def test_a_sweep_is_drawn_to_scale() -> None:
    conditions = {"jpeg90": "jpeg(90)", "jpeg60": "jpeg(60)", "jpeg30": "jpeg(30)"}
    fall = {CLEAN: 1.0, "jpeg90": 0.9, "jpeg60": 0.75, "jpeg30": 0.5}
    params = benchmark_params(detectors=("net",), conditions=conditions)
    (figure,) = degradation_curves.figures(made(params, lambda *key: fall.get(key[4])))
    shapes = tips(parsed(figure))
    points = [place(shapes[f"net, {name}: {value:.3f}"]) for name, value in fall.items()]
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = points
    assert x0 < x1 < x2 < x3 and x2 - x1 == pytest.approx(x3 - x2, abs=0.02)
    assert (y1 - y0, y2 - y0) == (
        pytest.approx(0.2 * (y3 - y0), abs=0.02),
        pytest.approx((y3 - y0) / 2, abs=0.02),
    )
    assert "JPEG quality" in texts(parsed(figure)) and "thin bars: 95 %" in figure.caption.lower()


def test_the_six_of_genimage_are_three_sweeps_with_the_clean_images() -> None:
    (figure,) = degradation_curves.figures(made(benchmark_params(), flat))
    found = texts(parsed(figure))
    assert found.count("generators trained on") == found.count("generators not trained on") == 3
    assert {"resize factor", "JPEG quality", "blur sigma in px", "resnet18", "cnnspot"} <= {*found}


def test_conditions_that_are_no_sweep_are_dots() -> None:
    params = benchmark_params(conditions={"social": "resize(0.5)|jpeg(70)", "grain": "noise(0.02)"})
    (figure,) = degradation_curves.figures(made(params, flat))
    assert figure.name == "condition_dots"
    assert {"clean", "social", "grain"} <= {*texts(parsed(figure))}
    assert degradation_curves.figures(made(benchmark_params(conditions=()), flat)) == []


def test_a_detector_of_which_nothing_is_known_adds_the_mean_over_all_generators() -> None:
    def auroc(kind: str, detector: str, *_: str) -> float | None:
        return None if detector == "web" and kind != PLAIN_MEAN else 0.7

    given = {"web": {"model": "resnet18"}}
    assert kinds_of(made(benchmark_params(), flat), [CLEAN]) == [IN_DOMAIN, CROSS_GENERATOR]
    results = made(benchmark_params(given=given), auroc)
    assert kinds_of(results, [CLEAN]) == [IN_DOMAIN, CROSS_GENERATOR, PLAIN_MEAN]
    found = texts(parsed(degradation_curves.figures(results)[0]))
    assert {"trained on", "not trained on", "all generators", "web"} <= {*found}
    assert "all test generators" in ranks.figures(results)[0].caption


def test_many_detectors_are_grey_but_for_the_best() -> None:
    names = [f"net{index:02d}" for index in range(20)]
    params = benchmark_params(detectors=names)
    results = made(params, lambda *key: 0.5 + int(key[1][3:]) / 50)
    look = looks(results)
    own = [name for name, one in look.items() if one != OTHERS]
    assert own == names[-(MANY - 1) :] and next(iter(look)) == names[0]
    assert legend_of(look)[-1] == ("13 others", OTHERS)
    for figure in all_figures_but_spectra(results):
        parsed(figure)
        assert len(figure.svg) < 150_000
    (figure,) = degradation_curves.figures(results)
    assert "13 others" in texts(parsed(figure)) and "in colour: the 7 detectors" in figure.caption.lower()
    assert "thin bars" not in figure.caption.lower()


def all_figures_but_spectra(results: Results) -> list[Figure]:
    modules = (degradation_curves, scale, chronological, correlation, ranks)
    return [figure for module in modules for figure in module.figures(results)]


def test_ranks_cross_where_the_order_changes() -> None:
    order = {CLEAN: (0.9, 0.8, 0.7), "jpeg30": (0.6, 0.7, 0.65), "blur3": (0.6, 0.6, 0.5)}

    def auroc(kind: str, detector: str, trained_on: str, tested_on: str, condition: str) -> float | None:
        return order[condition]["abc".index(detector)] if condition in order else None

    params = benchmark_params(detectors=("a", "b", "c"), conditions=("jpeg30", "blur3"))
    (figure,) = ranks.figures(made(params, auroc))
    root = parsed(figure)
    assert "a: 1, 3, 1.5. b: 2, 1, 1.5. c: 3, 2, 3." in figure.alt
    shapes = tips(root)
    heights = [
        place(shapes[f"{name}, jpeg30: rank {rank}, AUROC {value:.3f}"])[1]
        for name, rank, value in (("b", 1, 0.7), ("c", 2, 0.65), ("a", 3, 0.6))
    ]
    assert heights == sorted(heights) and heights[2] - heights[1] == pytest.approx(
        heights[1] - heights[0], abs=2
    )
    assert ranks.figures(made(benchmark_params(detectors=("a",)), flat)) == []
    assert ranks.figures(made(benchmark_params(conditions=()), flat)) == []


def test_a_scale_study_is_drawn_on_a_logarithmic_scale() -> None:
    members = ["dcgan", "ddpm"]
    samples = {f"n{count}": {"of": members, "images": count} for count in (1000, 10, 100)}
    params = benchmark_params(detectors=("net",), samples=samples, sets={"both": members})
    values = {"n10": 0.6, "n100": 0.7, "n1000": 0.8, "both": 0.9}
    (figure,) = scale.figures(made(params, lambda *key: values.get(key[2])))
    root = parsed(figure)
    shapes = tips(root)
    across = [place(shapes[f"net, {name}: {value:.3f}"])[0] for name, value in values.items()]
    assert across == sorted(across)
    assert across[1] - across[0] == pytest.approx(across[2] - across[1], abs=0.02)
    assert {"10", "100", "1,000", "all", "clean", "degraded, mean over conditions"} <= {*texts(root)}
    assert scale.figures(made(benchmark_params(), flat)) == []


def test_the_next_period_is_what_came_out_after_the_training() -> None:
    released = {"dcgan": "2015-11", "ddpm": "2020-06", "vqdm": "2021-11", "ldm": "2021-12"}
    plain = benchmark_params(detectors=("net",), conditions=())
    params = varied(
        plain,
        generators={
            name: {**plain.generators[name].model_dump(by_alias=True), "released": when}
            for name, when in released.items()
        },
        train={"samples": {"s15": {"until": "2015-12"}, "s20": {"until": "2020-12"}}, "generators": []},
    )
    values = {("s15", "dcgan"): 0.98, ("s15", "ddpm"): 0.6, ("s20", "vqdm"): 0.7, ("s20", "ldm"): 0.8}
    values |= {("s20", "dcgan"): 0.9, ("s20", "ddpm"): 1.0}
    (figure,) = chronological.figures(made(params, lambda *key: values.get((key[2], key[3]))))
    shapes = tips(parsed(figure))
    assert {*shapes} == {
        "net, 2015-11: 0.600",
        "net, 2020-06: 0.750",
        "net, 2015-11: 0.980",
        "net, 2020-06: 0.950",
    }
    assert chronological.figures(made(benchmark_params(), flat)) == []


def test_relatives_stand_side_by_side_and_join_first() -> None:
    alike = {("dcgan", "vqdm"), ("vqdm", "dcgan"), ("ddpm", "ldm"), ("ldm", "ddpm")}

    def auroc(kind: str, detector: str, trained_on: str, tested_on: str, condition: str) -> float:
        return 0.99 if trained_on == tested_on else 0.9 if (trained_on, tested_on) in alike else 0.4

    params = benchmark_params()
    (figure,) = correlation.figures(made(params, auroc))
    root = parsed(figure)
    shapes = tips(root)
    near = shapes["trained on dcgan, tested on vqdm: 0.900"].attrib
    far = shapes["trained on dcgan, tested on ddpm: 0.400"].attrib
    own = shapes["trained on dcgan, tested on dcgan: 0.990"].attrib
    assert abs(float(near["x"]) - float(own["x"])) < abs(float(far["x"]) - float(own["x"]))
    assert near["fill"] != far["fill"] == COLOURS[1]
    assert texts(root).count("0.90") == 4 and texts(root).count("0.40") == 8
    assert "dcgan and vqdm join at 0.10." in figure.alt
    assert correlation.figures(made(benchmark_params(("dcgan", "ldm")), flat)) == []


def pictures(root: ElementTree.Element) -> list[np.ndarray]:
    """Every PNG of a figure as RGB pixels."""
    found = []
    for element in root.iter(f"{SVG}image"):
        head, data = element.attrib["href"].split(",", 1)
        assert head == "data:image/png;base64"
        found.append(np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")))
    return found


def spectra_of(root: Path, bright: dict[str, tuple[int, int] | None], **used: int) -> list[Figure]:
    params = varied(benchmark_params(("dcgan", "ldm")), spectrum={"side": 32})
    for item in (REAL, "dcgan", "ldm"):
        write_spectrum(root, item, 32, bright.get(item), used.get(item, 5))
    return spectra.figures(made(params, flat, root))


def test_a_trace_is_bright_where_it_is_and_orange_against_real_images(tmp_path: Path) -> None:
    picture, profiles = spectra_of(tmp_path, {"dcgan": (16, 24), REAL: (3, 4)})
    root = parsed(picture)
    real, dcgan, ldm, more, less = pictures(root)
    assert real.shape == (32, 32, 3)
    brightest = [np.argwhere(one.sum(axis=2) == one.sum(axis=2).max()).tolist() for one in (real, dcgan)]
    assert brightest == [[[3, 4]], [[16, 24]]] and len(np.unique(ldm.reshape(-1, 3), axis=0)) == 1
    red, _, blue = more[16, 24].astype(int)
    assert red > blue + 60  # more than in real images
    red, _, blue = less[3, 4].astype(int)
    assert blue > red + 60  # less
    shapes = tips(parsed(profiles))
    assert any(tip.startswith("dcgan: ") for tip in shapes) and {"dcgan", "ldm", REAL} <= {
        *texts(parsed(profiles))
    }


def test_a_generator_of_small_pictures_is_said_to_have_no_spectrum(tmp_path: Path) -> None:
    picture, profiles = spectra_of(tmp_path, {"dcgan": (16, 24)}, ldm=0)
    found = texts(parsed(picture))
    assert found.count("no image has") == 2 and found.count("two sides of 32 px") == 2
    assert "ldm: 7 smaller images left out." in picture.caption
    assert "ldm" not in texts(parsed(profiles))
    alone, lower = spectra_of(tmp_path, {"dcgan": (16, 24)}, real=0)
    assert len(pictures(parsed(alone))) == 2 and "Difference to real images" not in texts(parsed(alone))
    assert "Difference to real images" not in texts(parsed(lower))
    (nothing,) = spectra_of(tmp_path, {}, real=0, dcgan=0, ldm=0)
    assert any("there is no spectrum" in text for text in texts(parsed(nothing))) and not pictures(
        parsed(nothing)
    )


def test_equal_results_give_equal_bytes(tmp_path: Path) -> None:
    once = [figure.svg for figure in spectra_of(tmp_path, {"dcgan": (16, 24)})]
    assert [figure.svg for figure in spectra_of(tmp_path, {"dcgan": (16, 24)})] == once
    results = made(benchmark_params(), flat)
    assert all_figures_but_spectra(results) == all_figures_but_spectra(results)


def test_numbers_that_are_not_there_leave_a_gap_and_no_error() -> None:
    samples = {f"n{count}": {"of": ["dcgan"], "images": count} for count in (10, 100)}
    params = benchmark_params(samples=samples)
    for figure in all_figures_but_spectra(made(params, lambda *key: 0.8 if key[1] == "cnnspot" else None)):
        assert not any(tip.startswith("resnet18") for tip in tips(parsed(figure)))
    for figure in all_figures_but_spectra(made(params, lambda *_: None)):
        parsed(figure)


def test_every_figure_has_a_name_of_its_own(tmp_path: Path) -> None:
    params = varied(benchmark_params(), spectrum={"side": 32})
    for item in (REAL, *params.generators):
        write_spectrum(tmp_path, item, 32, (1, 2))
    found = all_figures(made(params, flat, tmp_path))
    names = [figure.name for figure in found]
    assert len(names) == len({*names}) <= 15 and {"spectra", "ranks", "degradation_curves"} <= {*names}
    assert len(FIGURES) == len({*FIGURES})


def with_curves(params: Params, of: dict[tuple[str, str], Curve]) -> Results:
    """Results of one detector, `net`, with curves by trained on and tested on."""
    results = made(params, flat)
    keyed = {(CELL, "net", *pair, CLEAN): curve for pair, curve in of.items()}
    return replace(results, tabulated=replace(results.tabulated, curves=keyed))


def test_roc_curves_are_averaged_at_every_share_of_false_alarms() -> None:
    perfect = curve(np.array([-2.0, -1.0]), np.array([1.0, 2.0]))
    guessing = curve(np.zeros(10), np.zeros(10))
    half = curve(np.array([0.0, 0.0, -1.0, -1.0]), np.array([1.0, 1.0, -2.0, -2.0]))
    low, mean, high = roc.averaged([perfect, guessing])
    assert high.tolist() == [1.0] * 51
    assert low == pytest.approx(np.linspace(0, 1, 51)) and mean == pytest.approx((1 + low) / 2)
    assert roc.averaged([perfect, guessing, guessing])[1] == pytest.approx((1 + 2 * low) / 3)
    assert roc.averaged([half])[1][:-1].tolist() == [0.5] * 50  # straight up at no false alarm, then level

    params = benchmark_params(("dcgan", "ldm"), ("net",), ())
    pairs = {("dcgan", "dcgan"): perfect, ("ldm", "dcgan"): guessing, ("dcgan", "ldm"): half}
    (figure,) = roc.figures(with_curves(params, pairs))
    root = parsed(figure)
    shapes = tips(root)
    assert {*shapes} == {"net, generators trained on", "net, generators not trained on"}
    points = np.array(
        [point.split(",") for point in shapes["net, generators not trained on"].attrib["points"].split()],
        float,
    )
    panel = points[:, 0].min(), points[:, 0].max(), points[:, 1].max()
    middle = points[np.argmin(np.abs(points[:, 0] - (panel[0] + panel[1]) / 2))]
    assert (panel[2] - middle[1]) / (panel[1] - panel[0]) == pytest.approx(0.5, abs=0.01)
    assert roc.figures(made(params, flat)) == []


def test_a_detector_that_tells_the_truth_lies_on_the_diagonal() -> None:
    logits = np.log(np.array([0.1, 0.3, 0.9]) / np.array([0.9, 0.7, 0.1]))
    # of 100 images that are said to be generated with P = 0.1, 10 are
    generated = np.repeat(logits, [10, 30, 90])
    real = np.repeat(logits, [90, 70, 10])
    weights = real.size, generated.size
    truth = [w / weights[1] / (w / weights[1] + (100 - w) / weights[0]) for w in (10, 30, 90)]
    said, share, part = reliability.pooled([curve(real, generated), curve(real, generated)])
    assert said == pytest.approx([0.1, 0.3, 0.9]) and share == pytest.approx(truth)
    assert part.sum() == pytest.approx(1) and len(part) == 3

    few = curve(np.repeat(logits[:2], [40, 4]), np.repeat(logits[:2], [40, 5]))
    assert reliability.pooled([few])[0] == pytest.approx([0.1])  # nine images are too few
    params = benchmark_params(("dcgan", "ldm"), ("net",), ())
    (figure,) = reliability.figures(with_curves(params, {("dcgan", "dcgan"): few}))
    assert (
        "net, generators trained on: said 0.10, 0.49 are generated" in next(iter(tips(parsed(figure))))[:70]
    )
    assert reliability.figures(made(params, flat)) == []


def test_figures_have_a_place_in_the_page(tmp_path: Path) -> None:
    picture, profiles = spectra_of(tmp_path, {"dcgan": (16, 24)})
    for figure in (picture, profiles, *all_figures_but_spectra(made(benchmark_params(), flat))):
        assert ElementTree.fromstring(drawing(figure)).tag == f"{SVG}svg"
    for outside in ("https://example.org/x.png", "data:image/svg+xml;base64,PHN2Zy8+", "x.png"):
        svg = re.sub(r'href="data:image/png;base64,[^"]*"', f'href="{outside}"', picture.svg, count=1)
        with pytest.raises(AssayError, match="holds <image>"):
            drawing(replace(picture, svg=svg))
