"""Agreement of rankings against hand-worked numbers and scipy."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from assets.params import REAL
from assets.report.results import Results
from assets.statistics.ranks import kendalls_w, ranked, spearman
from assets.statistics.tabulate import tabulate
from assets.tables import ranks
from assets.tables.table import Chapter, Table
from tests.made_up import benchmark_params, rows


def test_the_highest_has_rank_one_and_ties_share():
    assert ranked([0.9, 0.5, 0.7, 0.5]).tolist() == [1, 3.5, 2, 3.5]
    assert ranked([[1, 2], [2, 1]]).tolist() == [[2, 1], [1, 2]]


def test_kendalls_w_by_hand():
    same = kendalls_w(np.array([[1.0, 2, 3], [1, 2, 3]]))
    assert same.w == 1 and same.p == pytest.approx(np.exp(-2))  # chi-square 4 with two degrees of freedom
    # sums of ranks 3, 3, 6: S = 6, W = 12 x 6 / (4 x 24)
    assert kendalls_w(np.array([[1.0, 2, 3], [2, 1, 3]])).w == pytest.approx(0.75)
    opposite = kendalls_w(np.array([[1.0, 2, 3], [3, 2, 1]]))
    assert (opposite.w, opposite.p) == (0, 1)


@pytest.mark.parametrize("digits", [1, 6])  # many ties, none
def test_kendalls_w_is_friedmans_test(digits):
    random = np.random.default_rng(digits)
    for _ in range(20):
        values = random.random((random.integers(2, 9), random.integers(3, 8))).round(digits)
        found = kendalls_w(ranked(values))
        expected = stats.friedmanchisquare(*values.T)
        rankings, items = values.shape
        assert rankings * (items - 1) * found.w == pytest.approx(expected.statistic)
        assert found.p == pytest.approx(expected.pvalue)


def test_nothing_to_rank_is_no_agreement():
    assert kendalls_w(np.array([[1.0, 2]])) is None
    assert kendalls_w(np.array([[1.0], [1.0]])) is None
    assert kendalls_w(np.array([[1.5, 1.5], [1.5, 1.5]])) is None


def test_spearman_is_scipys():
    random = np.random.default_rng(0)
    for _ in range(20):
        one, other = random.random((2, 9)).round(1)
        assert spearman(ranked(one), ranked(other)) == pytest.approx(stats.spearmanr(one, other).statistic)
    assert spearman(ranked([1, 2]), ranked([2, 1])) == -1
    assert spearman(ranked([1, 1]), ranked([1, 2])) is None and spearman(ranked([1]), ranked([2])) is None


ORDER = {"clean": ["a", "b", "c"], "jpeg65": ["a", "b", "c"], "blur3": ["c", "b", "a"]}
"""Condition -> the detectors, best first; on vqdm the last two swap."""


def chapter(detectors: tuple[str, ...] = ("a", "b", "c"), conditions=("jpeg65", "blur3")) -> Chapter | None:
    params = benchmark_params(("dcgan", "ldm", "vqdm"), detectors, conditions, resamples=100)

    def read(source: str, tested_on: str) -> pd.DataFrame:
        parts = []
        for detector in detectors:
            for condition in params.conditions:
                order = list(ORDER[condition])
                if tested_on == "vqdm":
                    order[1:] = order[:0:-1]
                noise = np.random.default_rng([len(parts), *source.encode(), *tested_on.encode()])
                # beyond every threshold, so that accuracy calls everything generated and ranks nobody
                said = 50 + 2 * noise.normal(size=200)
                said += 0.0 if tested_on == REAL else 6.0 - 2 * order.index(detector)
                parts.append(rows(source, tested_on, said, detector=detector, condition=condition))
        return pd.concat(parts, ignore_index=True)

    return ranks.chapter(Results(params, tabulate(params, read), {}, [], "ab" * 32, "cd" * 32))


def shown(table: Table) -> dict[str, list[float]]:
    return {line.heads[0]: [value.value for value in line.values] for line in table.lines}


def test_rankings_of_three_detectors_by_generator_and_condition():
    found = {table.name: table for table in chapter().tables}
    assert [*found] == ["agreement", "by_generator", "by_condition", "spearman"]
    by_generator = {
        line.heads[0]: [value.value for value in line.values] for line in found["by_generator"].lines
    }
    assert by_generator == {"a": [1, 1, 1, 1], "b": [2, 2, 2, 3], "c": [3, 3, 3, 2]}
    assert [column.name for column in found["by_generator"].columns] == ["all", "dcgan", "ldm", "vqdm"]
    for line in found["by_generator"].lines:
        assert all(value.low <= value.value <= value.high for value in line.values)
    by_condition = {
        line.heads[0]: [value.value for value in line.values] for line in found["by_condition"].lines
    }
    assert by_condition == {"a": [1, 1, 3], "b": [2, 2, 2], "c": [3, 3, 1]}

    generators, conditions = found["agreement"].lines
    # rank sums over generators 3, 7, 8: S = 14, W = 12 x 14 / (9 x 24); over conditions 5, 6, 7: S = 2
    assert [value.value for value in generators.values[:3]] == [3, 3, pytest.approx(168 / 216)]
    assert [value.value for value in conditions.values[:3]] == [3, 3, pytest.approx(24 / 216)]
    spearmans = {line.heads: line.values[0].value for line in found["spearman"].lines}
    assert spearmans["AUROC, clean", "AUROC, jpeg65"] == 1
    assert spearmans["AUROC, clean", "AUROC, blur3"] == -1
    assert spearmans["AUROC, clean", "accuracy, clean"] is None  # all detectors call everything generated
    assert any(note.startswith("no data") for note in found["spearman"].notes)


def test_two_detectors_are_said_to_be_few():
    found = chapter(("a", "c"), ("jpeg65",))
    assert found.intro[0].startswith("2 detectors") and "only swap places" in found.intro[1]


def test_without_degradations_there_is_one_ranking_by_condition_and_no_agreement_over_it():
    found = {table.name: table for table in chapter(conditions=()).tables}
    assert "by_condition" not in found
    assert found["agreement"].lines[1].values[2].text == "none" and found["agreement"].notes


def test_one_detector_is_no_ranking():
    assert chapter(("a",)) is None
