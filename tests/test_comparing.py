"""Comparisons of detectors against hand-worked numbers, published algorithms and what must hold; curves."""

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest
from scipy.stats import false_discovery_control
from sklearn import metrics as sk

from assets.params import CLEAN, REAL, Params
from assets.report.results import Results
from assets.statistics.bootstrap import Sample, draw_groups, resampled_metrics
from assets.statistics.cells import ALL, Estimate
from assets.statistics.comparing import benjamini_hochberg, delong, delong_p, holm, paired, two_sided
from assets.statistics.curves import curve
from assets.statistics.metrics import auroc, calibration_error
from assets.statistics.tabulate import tabulate
from assets.tables import comparison
from assets.tables.table import Table
from tests.made_up import benchmark_params, rows

REALS = np.array([[1.0, 2, 3, 4, 5, 6, 7], [2, 1, 4, 3, 3, 6, 8]])
FAKES = np.array([[3.0, 5, 6, 8, 9], [5, 5, 7, 4, 9]])


def test_delong_by_hand():
    # generated images outdo shares 1/2 and 1 of the reals, which are outdone by shares 1 and 1/2 of them
    aurocs, covariance = delong(np.array([[0.0, 2.0]]), np.array([[1.0, 3.0]]))
    assert aurocs.tolist() == [0.75]
    variance = 2 * (0.25**2)  # of 1/2 and 1, and again of 1 and 1/2, each with n - 1 = 1
    assert covariance == pytest.approx(np.array([[variance / 2 + variance / 2]]))


def test_delong_agrees_with_a_published_implementation():
    # yandexdataschool/roc_comparison at 62da5b8f59fb9029dca8365d2b7098de735dc658, compare_auc_delong_xu.py
    aurocs, covariance = delong(REALS, FAKES)
    assert aurocs == pytest.approx([0.75714286, 0.78571429], abs=1e-8)
    expected = np.array([[0.02261905, 0.01294218], [0.01294218, 0.02047619]])
    assert covariance == pytest.approx(expected, abs=1e-8)
    assert delong_p(aurocs, covariance, 0, 1) == pytest.approx(0.8275956952809981)


def test_delong_is_what_its_formula_says():
    random = np.random.default_rng(0)
    real, generated = random.normal(size=(3, 40)).round(1), random.normal(1, 1, (3, 30)).round(1)
    wins = (generated[:, None, :] > real[:, :, None]) + 0.5 * (generated[:, None, :] == real[:, :, None])
    aurocs, covariance = delong(real, generated)
    for one in range(3):
        labels, logits = np.repeat([0, 1], [40, 30]), np.r_[real[one], generated[one]]
        assert aurocs[one] == pytest.approx(auroc(labels, logits))
        for other in range(3):
            by_real = np.cov(wins[one].mean(1), wins[other].mean(1))[0, 1] / 40
            by_generated = np.cov(wins[one].mean(0), wins[other].mean(0))[0, 1] / 30
            assert covariance[one, other] == pytest.approx(by_real + by_generated)


def test_detectors_that_rank_alike_do_not_differ():
    aurocs, covariance = delong(np.stack([REALS[0], 2 * REALS[0]]), np.stack([FAKES[0], 2 * FAKES[0]]))
    assert delong_p(aurocs, covariance, 0, 1) == 1
    assert two_sided(0.1, 0.0) == 0 and two_sided(0.0, 0.0) == 1
    assert two_sided(1.96, 1.0) == pytest.approx(0.05, abs=1e-3) == two_sided(-1.96, 1.0)


def test_delong_and_the_bootstrap_agree_on_single_images_and_not_on_groups():
    random = np.random.default_rng(1)
    for size in (1, 10):
        groups = np.repeat(np.arange(400 // size), size)
        both = []
        for label in (0, 1):
            shared = random.normal(label, 1, 400 // size)[groups]
            both.append(np.stack([shared + random.normal(0, noise, 400) for noise in (0.3, 0.6)]))
        aurocs, covariance = delong(*both)
        counts = [draw_groups(400 // size, 600, label) for label in (0, 1)]
        drawn = [
            resampled_metrics(
                *(Sample(both[label][at], groups, counts[label]) for label in (0, 1)), 0.0, ["auroc"]
            )["auroc"]
            for at in (0, 1)
        ]
        ratio = np.std(drawn[0]) / math.sqrt(covariance[0, 0])
        assert 0.9 < ratio < 1.1 if size == 1 else ratio > 2
        found = paired(Estimate(aurocs[0], drawn[0]), Estimate(aurocs[1], drawn[1]), 0.95)
        assert found.difference == pytest.approx(aurocs[0] - aurocs[1])
        if size == 1:
            assert found.p == pytest.approx(delong_p(aurocs, covariance, 0, 1), abs=0.05)


def test_paired_difference_of_shared_draws_is_surer_than_either():
    random = np.random.default_rng(2)
    shared = random.normal(0, 0.05, 1000)
    one = Estimate(0.8, (0.8 + shared + random.normal(0, 0.005, 1000)).astype(np.float32))
    other = Estimate(0.77, (0.77 + shared).astype(np.float32))
    found = paired(one, other, 0.9)
    assert found.difference == pytest.approx(0.03)
    assert (found.low, found.high) == pytest.approx((0.03 - 0.0082, 0.03 + 0.0082), abs=1e-3)
    assert found.p < 1e-6
    back = paired(other, one, 0.9)
    assert (back.low, back.high, back.p) == pytest.approx((-found.high, -found.low, found.p))
    assert paired(one, Estimate(None), 0.9) is None and paired(one, Estimate(0.5), 0.9) is None
    assert paired(one, one, 0.9).p == 1


def test_holm_by_hand():
    # sorted 0.01, 0.02, 0.03, 0.5 times 4, 3, 2, 1; never below the one before
    assert holm([0.03, 0.01, 0.5, 0.02]) == pytest.approx([0.06, 0.04, 0.5, 0.06])
    assert holm([0.9, 0.8]) == [1, 1] and holm([0.2]) == [0.2] and holm([]) == []


def test_benjamini_hochberg_is_scipys():
    for seed in range(5):
        p = np.random.default_rng(seed).random(7 + seed).round(1)
        assert benjamini_hochberg(p) == pytest.approx(false_discovery_control(p, method="bh"))
    assert benjamini_hochberg([]) == []


@pytest.mark.parametrize(("count", "digits"), [(3, 6), (40, 6), (5000, 6), (3000, 0), (4000, 2)])
def test_a_curve_has_few_points_and_the_area_of_the_exact_one(count, digits):
    random = np.random.default_rng(count)
    for apart in (0.0, 1.0, 6.0, -2.0):
        real, generated = (
            random.normal(size=count).round(digits),
            random.normal(apart, 2, count).round(digits),
        )
        drawn = curve(real, generated)
        assert len(drawn.fpr) == len(drawn.tpr) <= 100
        assert (drawn.fpr[0], drawn.tpr[0], drawn.fpr[-1], drawn.tpr[-1]) == (0, 0, 1, 1)
        assert (np.diff(drawn.fpr) >= 0).all() and (np.diff(drawn.tpr) >= 0).all()
        exact = auroc(np.repeat([0, 1], count), np.r_[real, generated])
        assert sk.auc(drawn.fpr, drawn.tpr) == pytest.approx(exact, abs=0.002)


def test_reliability_bins_by_hand_and_their_gaps_are_the_calibration_error():
    logit = np.log([0.2 / 0.8, 0.72 / 0.28, 0.73 / 0.27])
    drawn = curve(logit[:2], logit[2:])
    assert drawn.num_real.tolist() == [0, 0, 1, *[0] * 7, 1, *[0] * 4]
    assert drawn.num_generated.tolist() == [*[0] * 10, 1, *[0] * 4]
    assert drawn.mean_p[10] == pytest.approx((0.72 / 2 + 0.73) / 1.5)
    assert (drawn.share[2], drawn.share[10]) == (0, pytest.approx(1 / 1.5))
    assert np.isnan(drawn.mean_p[0]) and np.isnan(drawn.share[0])
    random = np.random.default_rng(3)
    real, generated = random.normal(-1, 2, 300), random.normal(1, 2, 100)
    drawn = curve(real, generated)
    weights = (drawn.num_real / 300 + drawn.num_generated / 100) / 2
    expected = calibration_error(np.repeat([0, 1], [300, 100]), np.r_[real, generated])
    assert np.nansum(weights * np.abs(drawn.mean_p - drawn.share)) == pytest.approx(expected)


def results(params: Params, apart: Mapping[str, float]) -> Results:
    """Sixty images a class in pairs that are one group; detectors differ by how far they part the classes."""

    def read(source: str, tested_on: str) -> pd.DataFrame:
        parts = []
        trained_on, _, elsewhere = source.partition("/")
        for detector in [elsewhere] if elsewhere else params.detectors:
            for condition in params.conditions:
                seed = [*source.encode(), *tested_on.encode()]
                random = np.random.default_rng(seed)
                noise = random.normal(size=30)[np.arange(60) // 2] + 0.2 * random.normal(size=60)
                own = np.random.default_rng([len(detector), *seed]).normal(size=60)
                said = noise + 0.2 * own + (apart[detector] if tested_on != REAL else 0)
                groups = [f"{tested_on}-{image // 2}" for image in range(60)]
                names = {"detector": detector, "condition": condition}
                parts.append(rows(trained_on, tested_on, said, groups=groups, **names))
        return pd.concat(parts, ignore_index=True)

    return Results(params, tabulate(params, read), {}, [], "ab" * 32, "cd" * 32)


@pytest.fixture(scope="module")
def made() -> Results:
    names = ("bad", "good1", "good10")
    params = benchmark_params(("dcgan", "ldm"), names, ("jpeg65",), resamples=200)
    return results(params, {"bad": 0.2, "good1": 2.0, "good10": 2.05})


@pytest.fixture(scope="module")
def three(made: Results) -> dict[str, Table]:
    return {table.name: table for table in comparison.chapter(made).tables}


def test_every_pair_is_compared_the_better_first(three):
    assert [*three] == [
        "cross_generator_auroc",
        "cross_generator_accuracy",
        "in_domain_auroc",
        "in_domain_accuracy",
        "by_generator",
        "by_cell",
    ]
    table = three["cross_generator_auroc"]
    assert len(table.lines) == 3 and len(table.columns) == 8 and not table.folded
    for line in table.lines:
        one, other, difference, p = line.values[:4]
        assert difference.value == pytest.approx(one.value - other.value) and difference.value >= 0
        assert difference.low <= difference.value <= difference.high
        assert (difference.shade is not None) == (p.value < 0.05) == ("bad" in line.heads)
        assert (p.text == "< 0.001") == (p.value < 0.001)


def test_p_values_are_corrected_for_the_pairs_of_their_column(made, three):
    line_by_pair = {line.heads: line for line in three["in_domain_accuracy"].lines}
    for at, condition in ((3, CLEAN), (7, ALL)):
        raw = []
        for pair in line_by_pair:
            means = [made.tabulated.find("in_domain", name, ALL, ALL, condition) for name in pair]
            raw.append(paired(*(mean.metrics["accuracy"] for mean in means), 0.95).p)
        shown = [line.values[at].value for line in line_by_pair.values()]
        assert shown == pytest.approx(holm(raw)) and shown != pytest.approx(raw)


def test_differences_on_each_generator_are_coloured_where_told_from_chance(three):
    table = three["by_generator"]
    assert [column.name for column in table.columns] == ["dcgan", "ldm"]
    assert "all 6 numbers" in table.caption
    for line in table.lines:
        assert all((value.shade is not None) == ("bad" in line.heads) for value in line.values)


def test_cells_are_counted_for_whom_they_tell_apart(three):
    for line in three["by_cell"].lines:
        cells, *counts = [value.value for value in line.values]
        assert cells == sum(counts[:3]) == sum(counts[3:]) == 4
        ahead = [0, 4, 0] if line.heads[0] == "bad" else [4, 0, 0]
        assert counts == 2 * (ahead if "bad" in line.heads else [0, 0, 4])


def test_nobody_to_compare_with_is_no_chapter():
    params = benchmark_params(("dcgan", "ldm"), ("good1",), (), resamples=100)
    assert comparison.chapter(results(params, {"good1": 1.0})) is None


def test_detectors_made_elsewhere_are_compared_where_they_have_cells():
    given = {"theirs": {"kind": "npr", "weights": "theirs.pth", "seen": []}}
    given["unknown"] = {"kind": "npr", "weights": "unknown.pth"}
    params = benchmark_params(("dcgan", "ldm"), ("good1",), (), resamples=100, given=given)
    apart = {"good1": 2.0, "theirs": 0.2, "unknown": 0.3}
    tables = {table.name: table for table in comparison.chapter(results(params, apart)).tables}
    # it has seen none of the generators, so that it has no in-domain mean; of the other nothing is known
    assert [*tables] == ["cross_generator_auroc", "cross_generator_accuracy", "by_generator", "by_cell"]
    assert [line.heads for line in tables["cross_generator_auroc"].lines] == [("good1", "theirs")]
    cells = {line.heads: line.values[0].value for line in tables["by_cell"].lines}
    # two trainings on either of two generators; the two made elsewhere have a cell for each generator
    assert cells == {("good1", "theirs"): 4, ("good1", "unknown"): 4, ("theirs", "unknown"): 2}
