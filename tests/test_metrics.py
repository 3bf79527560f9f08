"""Metrics against hand-worked values and scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import interp1d
from scipy.optimize import brentq
from sklearn import metrics as sk

from assets.statistics import metrics
from assets.statistics.metrics import (
    DEFINITIONS,
    GUESSING,
    LOWER_IS_BETTER,
    METRICS,
    PERCENT,
    TITLES,
    MetricsError,
    all_metrics,
    best_threshold,
)

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


def test_every_metric_is_described():
    assert list(TITLES) == list(GUESSING) == list(DEFINITIONS) == list(METRICS)
    assert set(METRICS) > PERCENT and set(METRICS) > LOWER_IS_BETTER
    assert list(all_metrics(LABELS, LOGITS, 0.0)) == list(METRICS)


def test_equal_error_rate_by_hand():
    # corners (FPR, TPR): (0, 0), (0, 1/2) at 3, (1/3, 1/2) at 1, (2/3, 1) at 0; 1 - TPR = FPR between the
    # last two, where TPR rises 3/2 as fast as FPR: 1/2 - 3/2 x = 1/3 + x
    assert metrics.equal_error_rate(LABELS, LOGITS) == pytest.approx(1 / 3 + 1 / 15)
    assert metrics.equal_error_rate([0, 0, 1, 1], [-2.0, -1.0, 1.0, 2.0]) == 0
    assert metrics.equal_error_rate([1, 1, 0, 0], [-2.0, -1.0, 1.0, 2.0]) == 1


@pytest.mark.parametrize("digits", [0, 1, 6])
def test_equal_error_rate_is_where_scikit_learns_curve_crosses(digits):
    random = np.random.default_rng(digits)
    for _ in range(50):
        labels = np.r_[0, 1, random.integers(0, 2, random.integers(1, 60))]
        logits = (random.normal(size=labels.size) + labels * random.random()).round(digits)
        fpr, tpr, _ = sk.roc_curve(labels, logits, drop_intermediate=False)
        # along the curve, so that vertical pieces count too
        at, curve = np.arange(fpr.size), [interp1d(np.arange(fpr.size), values) for values in (fpr, tpr)]
        where = brentq(lambda x, curve=curve: curve[0](x) + curve[1](x) - 1, 0, at[-1])
        assert metrics.equal_error_rate(labels, logits) == pytest.approx(float(curve[0](where)), abs=1e-9)


@pytest.mark.parametrize("digits", [0, 1, 6])
@pytest.mark.parametrize("one_in", [20, 100])
def test_tpr_at_a_low_fpr_is_the_best_point_of_scikit_learns_curve(digits, one_in):
    random = np.random.default_rng(digits)
    for count in (10 * one_in, 10 * one_in + 37):
        labels = np.repeat([0, 1], [count, 80])
        logits = (random.normal(size=labels.size) + labels).round(digits)
        fpr, tpr, _ = sk.roc_curve(labels, logits, drop_intermediate=False)
        assert metrics.tpr_at_fpr(labels, logits, one_in) == tpr[fpr <= 1 / one_in + 1e-12].max()


def test_tpr_at_a_low_fpr_needs_enough_real_images():
    labels, logits = np.repeat([0, 1], [199, 50]), np.arange(249.0)
    assert metrics.tpr_at_fpr(labels, logits, 20) is None
    values = all_metrics(np.r_[0, labels], np.r_[-1.0, logits], 0.0)
    assert (values["tpr_at_5"], values["tpr_at_1"]) == (1.0, None)
    tied = all_metrics(np.repeat([0, 1], [1000, 10]), np.ones(1010), 0.0)  # no threshold parts them
    assert (tied["tpr_at_5"], tied["tpr_at_1"]) == (0.0, 0.0)


def test_calibration_error_by_hand():
    logit = np.log([0.2 / 0.8, 0.72 / 0.28, 0.73 / 0.27])
    # real at 0.2 and 0.72, generated at 0.73: two thirds lie in bin (0.2, ...], the others in (10/15, 11/15]
    expected = 0.5 * 0.2 / 1 * 0.5 + abs(0.5 * 0.72 * 0.5 - 0.5 * 0.27)
    assert metrics.calibration_error([0, 0, 1], logit) == pytest.approx(expected)
    assert metrics.calibration_error([0, 1], [0.0, 0.0]) == 0  # half of what is at 0.5 is generated
    assert metrics.calibration_error([0, 1], [-50.0, 50.0]) == pytest.approx(0, abs=1e-12)
    assert metrics.calibration_error([1, 0], [-50.0, 50.0]) == pytest.approx(1)


def test_calibration_error_weighs_classes_alike_and_bins_by_their_images():
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1], [90, 30])
    logits = random.normal(labels * 2 - 1, 2)
    p, weight = 1 / (1 + np.exp(-logits)), np.repeat([1 / 180, 1 / 60], [90, 30])
    expected = 0.0
    for low in np.arange(15) / 15:
        here = (p > low) & (p <= low + 1 / 15)
        if here.any():
            share = np.average(labels[here], weights=weight[here])
            expected += weight[here].sum() * abs(share - np.average(p[here], weights=weight[here]))
    assert metrics.calibration_error(labels, logits) == pytest.approx(expected)


def test_brier_and_cllr_are_scikit_learns_with_classes_weighing_alike():
    random = np.random.default_rng(1)
    for _ in range(20):
        labels = np.r_[0, 1, random.integers(0, 2, random.integers(1, 60))]
        logits = 3 * random.normal(size=labels.size) + labels
        p = 1 / (1 + np.exp(-logits))
        weight = np.where(labels == 1, 1 / np.sum(labels == 1), 1 / np.sum(labels == 0))
        assert metrics.brier(labels, logits) == pytest.approx(
            sk.brier_score_loss(labels, p, sample_weight=weight)
        )
        bits = sk.log_loss(labels, p, sample_weight=weight) / np.log(2)
        assert metrics.cllr(labels, logits) == pytest.approx(bits)


def test_cllr_by_hand():
    # a real image with P(real) = 1/4 costs 2 bits, a generated one with P(generated) = 1/2 costs 1
    assert metrics.cllr([0, 1], [np.log(3), 0.0]) == pytest.approx(1.5)


def test_huge_logits_overflow_nowhere():
    with np.errstate(all="raise", under="ignore"):
        right = all_metrics([0, 1], [-1e5, 1e5], 0.0)
        wrong = all_metrics([0, 1], [1e5, -1e5], 0.0)
        all_metrics([0, 1], [-1e300, 1e300], 0.0)
    assert (right["ece"], right["brier"], right["cllr"]) == (0, 0, 0)
    assert (wrong["ece"], wrong["brier"]) == (1, 1)
    assert wrong["cllr"] == pytest.approx(1e5 / np.log(2))


def test_constant_scores_are_guessing():
    values = all_metrics([0, 0, 0, 1], [2.5] * 4, 0.0)
    p = 1 / (1 + np.exp(-2.5))
    assert values == {
        "auroc": 0.5,
        "ap": 0.25,
        "accuracy": 0.25,
        "balanced_accuracy": 0.5,
        "accuracy_real": 0.0,
        "accuracy_generated": 1.0,
        "eer": 0.5,
        "tpr_at_5": None,
        "tpr_at_1": None,
        "ece": pytest.approx(p - 0.5),
        "brier": pytest.approx((p**2 + (1 - p) ** 2) / 2),
        "cllr": pytest.approx(-np.log2(p * (1 - p)) / 2),
    }
    undecided = all_metrics(np.repeat([0, 1], 1000), np.zeros(2000), 0.0)
    for name in ("auroc", "balanced_accuracy", "eer", "brier", "cllr"):
        assert undecided[name] == GUESSING[name], name


def test_one_class_alone_is_no_data():
    assert all_metrics([1, 1], [1.0, -1.0], 0.0) == dict.fromkeys(METRICS) | {"accuracy_generated": 0.5}
    assert all_metrics([0], [1.0], 0.0) == dict.fromkeys(METRICS) | {"accuracy_real": 0.0}
    assert set(all_metrics([], [], 0.0).values()) == {None}
    assert best_threshold([0, 0], [1.0, 2.0]) is None
    assert metrics.tpr_at_fpr(np.zeros(500), np.arange(500.0), 20) is None
    for of_both in (metrics.equal_error_rate, metrics.calibration_error, metrics.brier, metrics.cllr):
        assert of_both([0, 0], [1.0, 2.0]) is None and of_both([1], [1.0]) is None


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_are_refused(bad):
    for refuse in (metrics.auroc, metrics.equal_error_rate, metrics.calibration_error, metrics.cllr):
        with pytest.raises(MetricsError, match="1 of 3 logits are not finite"):
            refuse([0, 1, 1], [0.0, bad, 1.0])
    with pytest.raises(MetricsError, match="not finite"):
        all_metrics([0, 1], [bad, 0.0], 0.0)


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
