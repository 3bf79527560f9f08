"""Mistakes that are told before anything runs."""

from typing import Any

import pytest

from assets.errors import AssayError
from flows.checks import check_params
from tests.samples import params

SMALL = {"model": "resnet10t", "crop": 32}
DRAWN = {"family": "gan", "released": "2020-01", "from": "artifacts/fit/m", "count": 3}


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"degrade": {"x": "jepg(5)"}}, r"degrade.x: recipe 'jepg\(5\)': .*did you mean 'jpeg'"),
        (
            {"detectors": {"d": {**SMALL, "augment": "blurr(1)"}}},
            "detectors.d.augment: .*did you mean 'blur'",
        ),
        (
            {"detectors": {"d": {"model": "resnet_18"}}},
            "detectors.d.model: timm has no model 'resnet_18'.*resnet18",
        ),
        (
            {"detectors": {"d": {**SMALL, "kind": "nrp"}}},
            "detectors.d.kind: unknown kind 'nrp'; did you mean 'npr'",
        ),
        ({"fit": {"m": {"kind": "dcgna"}}}, "fit.m.kind: unknown kind 'dcgna'; did you mean 'dcgan'"),
        (
            {"fit": {"m": {"kind": "dcgan", "options": {"step": 3}}}},
            "fit.m: step is not a parameter; did you mean 'steps'",
        ),
    ],
)
def test_what_a_stage_would_refuse_is_refused_at_once(sections: dict[str, Any], message: str) -> None:
    if "fit" in sections:
        sections["generators"] = {"fake": DRAWN}
    with pytest.raises(AssayError, match=message):
        check_params(params(**sections), {"train"})


def test_models_are_looked_up_only_when_one_is_trained() -> None:
    check_params(params(detectors={"d": {"model": "resnet_18"}}), {"report"})
