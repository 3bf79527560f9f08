"""Metrics against hand-worked values and scikit-learn; the bootstrap against a literal loop."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn import metrics as sk

from assets import metrics
from assets.bootstrap import Sample, draw_groups, interval, resampled_metrics
from assets.metrics import METRICS, MetricsError, all_metrics, best_threshold

LABELS = [0, 0, 0, 1, 1]
LOGITS = [-2.0, 0.0, 1.0, 0.0, 3.0]  # one tie across classes, on the threshold


def test_metrics_of_five_images_by_hand():
    assert metrics.accuracy(LABELS, LOGITS) == 3 / 5  # -2 and 0 are real, 1 is not; 0 is missed, 3 is found
    assert metrics.accuracy_real(LABELS, LOGITS) == 2 / 3
    assert metrics.accuracy_generated(LABELS, LOGITS) == 1 / 2
    assert metrics.balanced_accuracy(LABELS, LOGITS, -1.0) == (1 / 3 + 1) / 2
    assert metrics.auroc(LABELS, LOGITS) == pytest.approx((1.5 + 3) / 6)
    # down to 3: 1 of 1 right, half of the recall; down to 0: 2 of 4 right, the other half
    assert metrics.average_precision(LABELS, LOGITS) == pytest.approx(0.5 * 1 + 0.5 * 2 / 4)


def test_probability_one_half_is_called_real():
    assert metrics.accuracy([0, 1], [0.0, 0.0]) == 0.5
    assert metrics.accuracy_real([0], [0.0]) == 1.0


@pytest.mark.parametrize("digits", [0, 1, 6])  # many ties, some, none
def test_metrics_agree_with_scikit_learn(digits):
    random = np.random.default_rng(digits)
    for _ in range(50):
        labels = np.r_[0, 1, random.integers(0, 2, random.integers(1, 60))]
        logits = (random.normal(size=labels.size) + labels * random.random()).round(digits)
        threshold = float(random.normal())
        assert metrics.auroc(labels, logits) == pytest.approx(sk.roc_auc_score(labels, logits))
        expected = sk.average_precision_score(labels, logits)
        assert metrics.average_precision(labels, logits) == pytest.approx(expected)
        assert metrics.accuracy(labels, logits) == pytest.approx(sk.accuracy_score(labels, logits > 0))
        expected = sk.balanced_accuracy_score(labels, logits > threshold)
        assert metrics.balanced_accuracy(labels, logits, threshold) == pytest.approx(expected)
        assert metrics.accuracy_generated(labels, logits) == pytest.approx(
            sk.recall_score(labels, logits > 0)
        )


def test_constant_scores_are_guessing():
    values = all_metrics([0, 0, 0, 1], [2.5] * 4, 0.0)
    assert values == {
        "accuracy": 0.25,
        "balanced_accuracy": 0.5,
        "accuracy_real": 0.0,
        "accuracy_generated": 1.0,
        "auroc": 0.5,
        "ap": 0.25,
    }


def test_one_class_alone_is_no_data():
    assert all_metrics([1, 1], [1.0, -1.0], 0.0) == {
        "accuracy": None,
        "balanced_accuracy": None,
        "accuracy_real": None,
        "accuracy_generated": 0.5,
        "auroc": None,
        "ap": None,
    }
    assert set(all_metrics([], [], 0.0).values()) == {None}
    assert best_threshold([0, 0], [1.0, 2.0]) is None


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_are_refused(bad):
    with pytest.raises(MetricsError, match="1 of 3 logits are not finite"):
        metrics.auroc([0, 1, 1], [0.0, bad, 1.0])


def test_labels_and_shapes_are_checked():
    with pytest.raises(MetricsError, match="0 \\(real\\) or 1"):
        metrics.accuracy([0, 2], [0.0, 1.0])
    with pytest.raises(MetricsError, match="one length"):
        metrics.accuracy([0, 1], [0.0])


def test_best_threshold_is_the_midpoint_of_the_gap_between_classes():
    assert best_threshold([0, 0, 1, 1], [-3.0, -1.0, 2.0, 5.0]) == 0.5


def test_of_equally_good_thresholds_the_one_in_the_widest_gap_wins():
    # between 0 and 1, and between 3 and 9: each gets three of four right
    assert best_threshold([0, 1, 0, 1], [0.0, 1.0, 3.0, 9.0]) == 6.0
    # equal gaps: nearest to 0, then the lower
    assert best_threshold([0, 1, 0, 1], [10.0, 11.0, 12.0, 13.0]) == 10.5
    assert best_threshold([0, 1, 0, 1], [-1.5, -0.5, 0.5, 1.5]) == -1.0


def test_no_threshold_lies_on_a_score_or_inside_a_tie():
    assert best_threshold([0, 1, 0, 1], [0.0, 1.0, 1.0, 2.0]) in (0.5, 1.5)


def test_where_no_midpoint_beats_guessing_everything_is_called_the_same():
    assert best_threshold([0, 1], [3.0, 3.0]) == 0.0  # 0 lies outside: all generated
    assert best_threshold([1, 0], [-1.0, 4.0]) == -2.0  # upside down, 0 inside: just beyond the nearer end
    assert best_threshold([1, 0], [-4.0, 1.0]) == 2.0


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(-4, 4)), min_size=1, max_size=25))
def test_no_other_threshold_is_better(images):
    labels, logits = [0, 1, *(i[0] for i in images)], [0, 0, *(i[1] for i in images)]
    best = best_threshold(labels, logits)
    quality = metrics.balanced_accuracy(labels, logits, best)
    everywhere = [metrics.balanced_accuracy(labels, logits, at) for at in np.arange(-5.75, 5.75, 0.25)]
    assert quality == pytest.approx(max(everywhere))
    shuffled = np.random.default_rng(0).permutation(len(labels))
    assert best == best_threshold(np.array(labels)[shuffled], np.array(logits)[shuffled])


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
    for column in range(130):  # more than one chunk
        expected = _literally(real, generated, 0.3, column)
        for name in METRICS:
            assert draws[name][column] == pytest.approx(expected[name], abs=1e-12), name


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
    for name in set(METRICS) - {"accuracy_real"}:
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
        low, high = interval(resampled_metrics(*samples, 0.0)["auroc"], 0.9)
        covered += low <= truth <= high
    assert 0.82 <= covered / 200 <= 0.96  # images drawn as if independent would give about 0.7
