"""The summary: what it counts, and that its words say what its numbers say."""

from dataclasses import replace

import numpy as np
import pytest

from assets.params import CLEAN
from assets.report.findings import findings, sentences, shown
from assets.report.headline import headline
from assets.statistics.cells import ALL, CELL, Cell, Estimate
from assets.statistics.means import CROSS_FAMILY, CROSS_GENERATOR, IN_DOMAIN
from assets.statistics.metrics import METRICS
from tests.made_up import benchmark_params
from tests.made_up_page import made_up_results


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """3 generators of 3 families, 2 detectors."""
    params = benchmark_params(("dcgan", "ldm", "vqdm"), conditions=("jpeg65",))
    return made_up_results(tmp_path_factory.mktemp("headline"), params, n_real=42, n_generated=35)


def with_means(results, change):
    """The same, each mean as `change` makes it; what it returns None for stays."""
    means = [change(cell) or cell for cell in results.tabulated.means]
    return replace(results, tabulated=replace(results.tabulated, means=means))


def estimates(**values: float) -> dict[str, Estimate]:
    """All metrics of a mean, with draws in which they are what they are, give or take 0.001."""
    spread = np.linspace(-0.001, 0.001, 100)
    found = {name: Estimate(None) for name in METRICS}
    return {**found, **{name: Estimate(value, value + spread) for name, value in values.items()}}


def test_numbers_are_those_of_the_tables(results):
    numbers = headline(results)
    find = results.tabulated.find
    for detector, of in numbers["detectors"].items():
        for kind in (IN_DOMAIN, CROSS_GENERATOR, CROSS_FAMILY):
            for state, condition in (("clean", CLEAN), ("degraded", ALL)):
                cell = find(kind, detector, ALL, ALL, condition)
                assert of[kind][state]["auroc"]["value"] == pytest.approx(
                    cell.metrics["auroc"].value, abs=1e-6
                )
    cells = [cell for cell in results.tabulated.cells if cell.condition == CLEAN]
    cross = [cell for cell in cells if cell.seen is False]
    for row in numbers["trust"]:
        here = [cell.metrics["auroc"].value for cell in cross if cell.tested_on == row["tested_on"]]
        assert row["cross_generator"]["auroc"]["value"] == pytest.approx(max(here), abs=1e-6)
        assert row["cross_generator"]["candidates"] == len(here) == 4
    for detector, worst in numbers["worst_generators"].items():
        means = [
            find(CROSS_GENERATOR, detector, ALL, name, CLEAN).metrics["auroc"].value
            for name in results.params.generators
        ]
        assert worst["auroc"]["value"] == pytest.approx(min(means), abs=1e-6)
        assert worst["num_cells"] == 2
    drop = numbers["worst_condition_drop"]
    assert drop["by"]["value"] == pytest.approx(drop["from"]["value"] - drop["to"]["value"], abs=2e-6)
    assert numbers["missing"] == {"detectors": [], "cells": 0, "of": 36}
    assert numbers["audit"] == {"dcgan": "leak", "ldm": "clean", "vqdm": "clean"}
    assert numbers["alarms"] == {"dcgan": ["bytes"], "ldm": [], "vqdm": []}


def test_words_say_what_the_numbers_say(results):
    numbers = headline(results)
    said = " ".join(sentences(numbers, results))
    first, second = numbers["ranking"]["detectors"]
    assert (
        f"On generators it was not trained on, {first} does best" in said and f"Next comes {second}" in said
    )
    assert f"It is weakest on {numbers['worst_generators'][first]['tested_on']}" in said
    assert "generated images for dcgan (bytes);" in said and "No shortcut was found for ldm and vqdm." in said
    assert f"under {numbers['worst_condition_drop']['condition']}" in said
    topics = [topic for topic, _ in findings(numbers, results)]
    assert topics[0] == "Most trustworthy" and len(set(topics)) == len(topics)


def test_a_clean_audit_is_said_to_be_clean(results):
    clean = {name: {**audit, "verdict": "clean"} for name, audit in results.audits.items()}
    calm = replace(results, audits=clean)
    said = sentences(headline(calm), calm)
    assert any("found no shortcut" in sentence and "dcgan, ldm and vqdm" in sentence for sentence in said)
    together = replace(calm, whole={"verdict": "leak"})
    assert any(
        "For all of them together, they do." in sentence
        for sentence in sentences(headline(together), together)
    )


def test_nothing_falls_from_a_number_to_the_same_number(results):
    def all_alike(cell: Cell) -> Cell | None:
        if cell.kind == IN_DOMAIN:
            return replace(cell, metrics=estimates(auroc=0.8412 if cell.condition == CLEAN else 0.8411))
        return None

    alike = with_means(results, all_alike)
    numbers = headline(alike)
    numbers["worst_condition_drop"]["by"] = {"value": 0.0001, "low": -0.002, "high": 0.002}
    said = " ".join(sentences(numbers, alike))
    assert "No condition hurts measurably: the largest fall of AUROC" in said and "is 0.0001" in said
    numbers["worst_condition_drop"]["by"] = {"value": 0.0001, "low": 0.00005, "high": 0.0002}
    said = " ".join(sentences(numbers, alike))
    assert "falls from 0.8412 (" in said and "to 0.8411 (" in said


def test_a_failing_threshold_is_not_a_failing_detector(results):
    def one_sided(cell: Cell) -> Cell | None:
        if (cell.kind, cell.detector) != (CROSS_GENERATOR, "cnnspot"):
            return None
        values = {"auroc": 0.93, "accuracy_real": 0.99, "accuracy_generated": 0.2, "balanced_accuracy": 0.84}
        return replace(cell, metrics=estimates(**values, accuracy=0.6, ap=0.9, ece=0.31))

    failing = with_means(results, one_sided)
    numbers = headline(failing)
    assert [one["detector"] for one in numbers["thresholds"]] == ["cnnspot"]
    said = " ".join(sentences(numbers, failing))
    assert "the threshold fails, not the detector" in said
    assert "calls 20 % of the generated and 99 % of the real images rightly at 0.5" in said
    assert "the mean of the two is 84 %" in said
    assert "cnnspot" in said.partition("Do not read the scores of ")[2] and "0.31 off on average" in said


def test_a_detector_that_divides_as_well_as_it_ranks_is_left_alone(results):
    def fair(cell: Cell) -> Cell | None:
        if cell.kind != CROSS_GENERATOR:
            return None
        values = {"auroc": 0.93, "accuracy_real": 0.85, "accuracy_generated": 0.83, "balanced_accuracy": 0.85}
        return replace(cell, metrics=estimates(**values, accuracy=0.84, ap=0.9, ece=0.05))

    numbers = headline(with_means(results, fair))
    assert numbers["thresholds"] == []
    assert "Probabilities" not in dict(findings(numbers, results))


def test_what_is_left_out_and_missing_is_counted(results):
    empty = {name: Estimate(None) for name in METRICS}
    cells = [
        replace(cell, metrics=empty, num_cells=0) if cell.detector == "cnnspot" else cell
        for cell in results.tabulated.cells
    ]
    poor = replace(
        results, tabulated=replace(results.tabulated, cells=cells, left_out={"ldm": 1200, "real": 3})
    )
    numbers = headline(poor)
    assert numbers["missing"] == {"detectors": ["cnnspot"], "cells": 18, "of": 36}
    said = dict(findings(numbers, poor))
    assert said["Left out"].endswith("count for no detector: 1,200 of ldm and 3 of real.")
    assert said["Missing"].startswith("18 of 36 cells have no data")
    assert "Nothing is known about cnnspot." in said["Missing"]


def test_another_family_is_told_of_only_where_it_differs(results):
    numbers = headline(results)
    assert "New families" not in dict(findings(numbers, results))  # every generator is a family of its own
    first = numbers["ranking"]["detectors"][0]
    numbers["detectors"][first][CROSS_FAMILY]["clean"]["auroc"] = {"value": 0.5, "low": 0.4, "high": 0.6}
    assert "has 0.50 (0.40–0.60) instead of" in dict(findings(numbers, results))["New families"]


def test_a_lone_generator_says_nothing_about_new_ones(tmp_path):
    lone = made_up_results(tmp_path, benchmark_params(("dcgan",), ("resnet18",), ()))
    numbers = headline(lone)
    assert numbers["ranking"] is None and numbers["worst_generators"] == {"resnet18": None}
    assert "nothing here says how it does on new ones" in sentences(numbers, lone)[0]
    assert {cell.kind for cell in lone.tabulated.cells} == {CELL}


def test_shown_numbers():
    assert shown(None) == "no data"
    assert shown({"value": None, "low": None, "high": None}) == "no data"
    assert shown({"value": 0.5, "low": None, "high": None}) == "0.50"
    assert shown({"value": 0.871, "low": 0.834, "high": 0.902}) == "0.871 (0.834–0.902)"
    assert shown({"value": 0.01, "low": -0.1, "high": 0.12}) == "0.01 (-0.10 to 0.12)"
    assert shown({"value": 0.87, "low": 0.8, "high": 0.9}, 4) == "0.8700 (0.8000–0.9000)"
