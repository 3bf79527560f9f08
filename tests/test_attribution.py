"""Answers to "which generator?" and the score below which there is none."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.errors import AssayError
from models.detectors.attribution import NONE_OF_THESE, answers, judged, scores

LOGITS = np.array([[2.0, 1.0, -1.0], [0.0, 3.0, 3.0], [-2.0, -3.0, -1.0], [0.5, 0.0, 0.2]], np.float32)


def test_the_largest_logit_answers_unless_it_is_too_small() -> None:
    assert answers(LOGITS, None).tolist() == [0, 1, 2, 0]
    assert answers(LOGITS, 0.5).tolist() == [0, 1, NONE_OF_THESE, 0]
    assert answers(LOGITS, 0.6).tolist() == [0, 1, NONE_OF_THESE, NONE_OF_THESE]
    assert scores(LOGITS).tolist() == [2.0, 3.0, -1.0, 0.5]


def test_what_softmax_forgets_counts() -> None:
    """Both pictures have the same probabilities; only the second one's logits are small."""
    assert answers(np.array([[5.0, 3.0], [-3.0, -5.0]]), 0.0).tolist() == [0, NONE_OF_THESE]


def test_the_card() -> None:
    found = judged(np.array([0, 2, 2, 1]), LOGITS, 0.5)
    assert found == {
        "unknown_below": 0.5,
        "val": {"accuracy": 0.5, "recall": [1.0, 0.0, 0.5], "unknown": 0.25},
    }
    assert json.loads(json.dumps(found)) == found
    never = judged(np.array([0, 0, 0, 0]), LOGITS, 0.0)
    assert never["unknown_below"] is None
    assert never["val"] == {"accuracy": 0.5, "recall": [0.5, None, None], "unknown": 0.0}


@given(
    st.lists(st.floats(-5, 5, width=16), min_size=1, max_size=60),
    st.floats(0, 0.99),
)
def test_no_more_than_the_share_is_called_unknown(best: list[float], share: float) -> None:
    logits = np.stack([best, np.full(len(best), -9.0)], 1)
    found = judged(np.zeros(len(best), int), logits, share)
    unknown = np.sum(answers(logits, found["unknown_below"]) == NONE_OF_THESE)
    assert unknown <= share * len(best)
    assert found["val"]["unknown"] == pytest.approx(unknown / len(best))


def test_as_many_as_the_share_allows() -> None:
    logits = np.stack([np.arange(101.0), np.full(101, -9.0)], 1)
    found = judged(np.zeros(101, int), logits, 0.05)
    assert found["unknown_below"] == 5.0 and found["val"]["unknown"] == pytest.approx(5 / 101)


def test_nothing_to_judge_by() -> None:
    with pytest.raises(AssayError, match="no val image of a known generator is left"):
        judged(np.array([], int), np.zeros((0, 3)), 0.05)
    with pytest.raises(AssayError, match="1 of 2 val images have logits that are not finite"):
        judged(np.array([0, 1]), np.array([[0.0, np.nan], [1.0, 0.0]]), 0.05)
