"""The bootstrap against a literal loop, and with binned scores against the exact one."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy.stats import norm

from assets.statistics import bootstrap, histograms
from assets.statistics.bootstrap import Sample, draw_groups, interval, resampled_metrics
from assets.statistics.histograms import Bins, histogram
from assets.statistics.metrics import METRICS, all_metrics

FEW = {"tpr_at_5", "tpr_at_1"}
"""Without a value where real images are few."""


def _sample(logits, group, counts):
    return Sample(np.array(logits, float), np.array(group), counts)


def _literally(real, generated, threshold, column):
    """Repeat every image as often as its group was drawn, then measure."""
    logits, labels = [], []
    for label, sample in enumerate((real, generated)):
        for logit, group in zip(sample.logits, sample.group, strict=True):
            times = int(sample.counts[group, column])
            logits += [logit] * times
            labels += [label] * times
    return all_metrics(labels, logits, threshold)


@pytest.mark.parametrize("digits", [0, 4])
def test_bootstrap_does_what_repeating_images_would(digits):
    random = np.random.default_rng(digits)
    real = _sample(random.normal(size=23).round(digits), np.arange(23) % 6, draw_groups(6, 130, 1))
    generated = _sample(random.normal(1, 1, 17).round(digits), np.arange(17) // 3, draw_groups(6, 130, 2))
    draws = resampled_metrics(real, generated, 0.3)
    for column in range(130):
        expected = _literally(real, generated, 0.3, column)
        for name in set(METRICS) - FEW:
            assert draws[name][column] == pytest.approx(expected[name], abs=2e-6), name


def test_tpr_draws_do_what_repeating_images_would():
    random = np.random.default_rng(2)
    real = _sample(random.normal(size=1100).round(1), np.arange(1100) // 4, draw_groups(275, 40, 1))
    generated = _sample(random.normal(2, 1, 60).round(1), np.arange(60) // 2, draw_groups(30, 40, 2))
    draws = resampled_metrics(real, generated, 0.3)
    for column in range(40):
        # a resample may hold a little fewer than 1,000; the value's own number of images decides
        expected = _literally(real, generated, 0.3, column)
        for name in FEW:
            if expected[name] is not None:
                assert draws[name][column] == pytest.approx(expected[name], abs=1e-6), name
    assert sum(_literally(real, generated, 0.3, c)["tpr_at_1"] is not None for c in range(40)) > 20


@pytest.mark.parametrize("apart", [1.0, 7.0])
def test_binned_scores_move_draws_by_little(monkeypatch, apart):
    random = np.random.default_rng(3)
    real = _sample(random.normal(-1, 1, 3000), np.arange(3000), draw_groups(3000, 300, 1))
    generated = _sample(random.normal(apart - 1, 2, 2400), np.arange(2400) // 3, draw_groups(800, 300, 2))
    binned = resampled_metrics(real, generated, 0.2)
    monkeypatch.setattr(histograms, "MOST_EXACT", 10_000)
    exact = resampled_metrics(real, generated, 0.2)
    for name in METRICS:
        spread = exact[name].std()
        moved = binned[name] - exact[name]
        assert abs(moved.mean()) < (0.1 if name in FEW else 0.05) * spread, name
        assert moved.std() < (0.25 if name in FEW or name == "eer" else 0.05) * spread, name
        if "accuracy" in name:
            assert np.abs(moved).max() == 0, name  # thresholds are edges
        ends = np.abs(np.subtract(interval(binned[name], 0.9), interval(exact[name], 0.9)))
        assert ends.max() < 0.3 * spread, name


def test_bins_keep_to_thresholds_and_calibration_bins():
    random = np.random.default_rng(4)
    real, generated = random.normal(-1, 2, 2000), random.normal(1, 2, 1000)
    bins = Bins.of(real, generated, (0.0, 0.7))
    assert 100 < bins.highest.size < 300 and bins.steps.sum() == 3000
    assert np.array_equal(bins.place(real) < bins.below(0.7), real <= 0.7)
    edges = histograms.CALIBRATION_EDGES
    assert np.array_equal(bins.calibration[bins.place(real)], np.searchsorted(edges, real))
    few = Bins.of(real[:100].round(), generated[:100].round(), (0.0,))
    assert np.array_equal(few.highest, np.unique(np.r_[real[:100].round(), generated[:100].round()]))


def test_bins_of_very_many_images_do_not_overflow():
    counts = np.array([[127, 1], [127, 0]], np.int16)
    sample = _sample(np.r_[np.zeros(5000), np.ones(300)], np.arange(5300) % 2, counts)
    bins = Bins.of(sample.logits, sample.logits, ())
    images = histogram([sample], bins.place(sample.logits), 2)
    assert images.tolist() == [[127 * 5000, 2500], [127 * 300, 150]]


def test_a_class_in_parts_is_the_same_as_in_one():
    random = np.random.default_rng(5)
    counts = [draw_groups(5, 50, 1), draw_groups(7, 50, 2)]
    parts = [_sample(random.normal(1, 1, 10), np.arange(10) % 5, counts[0])]
    parts.append(_sample(random.normal(2, 1, 14), np.arange(14) % 7, counts[1]))
    logits = np.r_[parts[0].logits, parts[1].logits]
    one = _sample(logits, np.r_[parts[0].group, parts[1].group + 5], np.concatenate(counts))
    real = _sample(random.normal(size=20), np.arange(20), draw_groups(20, 50, 3))
    together, apart = resampled_metrics(real, one, 0.0), resampled_metrics([real], parts, 0.0)
    for name in set(METRICS) - FEW:
        assert np.array_equal(together[name], apart[name]), name


def test_resamples_may_come_in_several_lots(monkeypatch):
    random = np.random.default_rng(9)
    samples = [_sample(random.normal(k, 1, 200), np.arange(200), draw_groups(200, 50, k)) for k in (0, 1)]
    at_once = resampled_metrics(*samples, 0.1)
    monkeypatch.setattr(bootstrap, "_AT_ONCE", 7)
    in_lots = resampled_metrics(*samples, 0.1)
    assert at_once.pop("tpr_at_1") is in_lots.pop("tpr_at_1") is None
    for name in at_once:
        assert in_lots[name] == pytest.approx(at_once[name], abs=1e-6), name


def test_a_class_that_is_not_there_leaves_the_other_its_accuracy():
    random = np.random.default_rng(10)
    real = _sample(random.normal(size=400), np.arange(400), draw_groups(400, 50, 1))
    nothing = _sample([], np.array([], np.intp), draw_groups(5, 50, 2))
    draws = resampled_metrics(real, nothing, 0.3)
    assert draws["accuracy_real"].mean() == pytest.approx(np.mean(real.logits <= 0), abs=0.01)
    assert {name for name in METRICS if draws[name] is not None} == {"accuracy_real"}


def test_only_what_is_asked_for_is_computed(monkeypatch):
    monkeypatch.setattr(bootstrap, "_FORMULAS", {"auroc": bootstrap._FORMULAS["auroc"]})
    random = np.random.default_rng(6)
    samples = [_sample(random.normal(size=9), np.arange(9), draw_groups(9, 20, k)) for k in (1, 2)]
    draws = resampled_metrics(*samples, 0.0, ["auroc"])
    assert list(draws) == ["auroc"] and draws["auroc"].dtype == np.float32


def test_threads_change_nothing():
    random = np.random.default_rng(7)
    counts = draw_groups(400, 100, 1), draw_groups(400, 100, 2)
    cells = [[_sample(random.normal(k, 1, 400), np.arange(400), counts[k]) for k in (0, 1)] for _ in range(8)]
    alone = [resampled_metrics(*cell, 0.1) for cell in cells]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda cell: resampled_metrics(*cell, 0.1), cells))
    for one, other in zip(alone, together, strict=True):
        assert all(np.array_equal(one[name], other[name]) for name in METRICS if one[name] is not None)


def test_intervals_are_the_quantiles_of_the_draws():
    draws = np.random.default_rng(8).normal(size=333).astype(np.float32)
    assert interval(draws, 0.9) == pytest.approx(tuple(np.quantile(draws, [0.05, 0.95])), abs=1e-6)


def test_every_resample_draws_as_many_groups_as_there_are():
    counts = draw_groups(40, 200, seed=5)
    assert counts.shape == (40, 200) and (counts.sum(axis=0) == 40).all()
    assert (counts == draw_groups(40, 200, seed=5)).all()
    assert (counts != draw_groups(40, 200, seed=6)).any()


def test_a_single_group_gives_no_interval():
    many, one = draw_groups(4, 100, 0), draw_groups(1, 100, 0)
    real, generated = _sample([0, 1, 2, 3], [0, 1, 2, 3], many), _sample([4, 5, 6], [0, 0, 0], one)
    draws = resampled_metrics(real, generated, 0.0)
    assert draws["accuracy_real"] is not None
    assert all(draws[name] is None for name in METRICS if name != "accuracy_real")
    assert interval(draws["auroc"], 0.95) is None


def test_resamples_without_a_readable_image_of_a_class_are_left_out():
    counts = np.array([[1, 0, 2, 1], [1, 2, 0, 1], [1, 1, 1, 1]], np.uint16)
    real = _sample([0.0, 1.0], [0, 1], counts)
    # the generated images of group 2 were unreadable: two resamples hold nothing else
    generated = _sample([2.0, 3.0], [0, 1], np.array([[1, 0, 0, 1], [1, 0, 0, 1], [0, 2, 2, 0]], np.uint16))
    draws = resampled_metrics(real, generated, 0.5)
    for name in set(METRICS) - FEW - {"accuracy_real"}:
        assert np.isnan(draws[name]).tolist() == [False, True, True, False], name
    assert interval(draws["auroc"], 0.95) == (1.0, 1.0)
    assert interval(np.array([0.5, np.nan, np.nan]), 0.95) is None


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    random = np.random.default_rng(11)
    truth = norm.cdf(1.5 / 2)  # two scores differ by N(1.5, 4): variance 1 between groups and 1 within, twice
    covered = 0
    for trial in range(200):
        samples = []
        for label in (0, 1):
            groups = np.repeat(np.arange(30), 4)
            logits = 1.5 * label + random.normal(size=30)[groups] + random.normal(size=groups.size)
            samples.append(_sample(logits, groups, draw_groups(30, 200, 2 * trial + label)))
        low, high = interval(resampled_metrics(*samples, 0.0, ["auroc"])["auroc"], 0.9)
        covered += low <= truth <= high
    assert 0.82 <= covered / 200 <= 0.96  # images drawn as if independent would give about 0.7
