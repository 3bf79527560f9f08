"""The audit shouts at planted shortcuts and stays calm without one."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from assets.params import Audit
from assets.picture import encode, examine
from tasks.audit import FEATURES, judge, measure, out_of_fold
from tests.conftest import file_bytes, textured

SPEC = Audit(folds=5, alarm=0.6)


def manifest(encoders: dict[int, Callable[[np.ndarray], bytes]], count: int = 60) -> pd.DataFrame:
    """Rows of `count` images a class; both classes show the same kind of picture."""
    found = []
    for label, encoder in encoders.items():
        for index in range(count):
            data = encoder(textured(1000 * label + index))
            facts = examine(data).facts
            found.append(
                {
                    "id": f"{label}-{index}",
                    "label": label,
                    "group": None,
                    "size": len(data),
                    **facts._asdict(),
                }
            )
    return pd.DataFrame(found).astype({"jpeg_quality": "Int16"})


def alarms(rows: pd.DataFrame) -> set[str]:
    verdict = judge(rows, SPEC, 1, 200, 0.95)
    raised = {name for name, found in verdict["features"].items() if found["alarm"]}
    assert verdict["verdict"] == ("leak" if raised else "clean")
    return raised


def jpeg(quality: int, subsampling: str = "4:2:0") -> Callable[[np.ndarray], bytes]:
    return lambda pixels: file_bytes(pixels, "JPEG", quality=quality, subsampling=subsampling)


def test_the_flaw_of_genimage_is_shouted_at() -> None:
    verdict = judge(manifest({0: jpeg(96), 1: encode}), SPEC, 1, 200, 0.95)
    assert verdict["verdict"] == "leak"
    for name in ("all", "format", "jpeg"):
        found = verdict["features"][name]
        assert (found["auroc"], found["low"], found["alarm"]) == (1.0, 1.0, True), name
    assert any(line.startswith("format: bring both classes into one container") for line in verdict["advice"])


@pytest.mark.parametrize(
    ("fake", "feature"),
    [
        (jpeg(90), "jpeg"),
        (jpeg(96, "4:4:4"), "jpeg"),
        (lambda pixels: file_bytes(pixels[:40, :40], "JPEG", quality=96), "dimensions"),
    ],
    ids=["quality", "chroma subsampling", "size"],
)
def test_one_shortcut_is_found_by_its_name(fake: Callable[[np.ndarray], bytes], feature: str) -> None:
    found = alarms(manifest({0: jpeg(96), 1: fake}))
    assert {feature, "all"} <= found <= {feature, "all", "bytes"}


def test_two_classes_that_are_stored_alike_are_clean() -> None:
    verdict = judge(manifest({0: encode, 1: encode}), SPEC, 1, 200, 0.95)
    assert verdict["verdict"] == "clean" and verdict["advice"] == []
    assert {found["auroc"] for found in verdict["features"].values()} == {0.5}
    assert not alarms(manifest({0: jpeg(90), 1: jpeg(90)}, 150))


def test_features_that_say_nothing_give_one_score_even_with_unequal_classes() -> None:
    rows = pd.concat([manifest({0: encode}, 90), manifest({1: encode}, 25)], ignore_index=True)
    labels = rows["label"].to_numpy()
    scores = out_of_fold(measure(rows), labels, rows["id"].to_numpy(str), 5, 1)
    assert set(scores) == {0.5}


def test_a_class_with_one_group_is_no_data() -> None:
    rows = manifest({0: encode, 1: encode}, 12)
    rows.loc[rows["label"] == 0, "group"] = "one photograph"
    verdict = judge(rows, SPEC, 1, 200, 0.95)
    assert verdict["features"]["all"] == {"auroc": None, "low": None, "high": None, "alarm": False}


def test_every_measure_belongs_to_a_feature_set() -> None:
    assert set(measure(manifest({0: encode}, 2)).columns) == {n for names in FEATURES.values() for n in names}
