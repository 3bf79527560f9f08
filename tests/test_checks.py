"""Mistakes that are told before anything runs."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from assets.errors import AssayError
from flows.planning.checks import DetectorCheck, check_detectors, check_params
from tests.conftest import REPO
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
            {
                "generators": {name: {**DRAWN, "from": f"data/{name}"} for name in ("fake", "other")},
                "train": {
                    "generators": ["fake"],
                    "sets": {"s": ["fake", "other"]},
                    "samples": {},
                    "seeds": [0],
                },
                "attributors": {"w": {**SMALL, "augment": "blurr(1)"}},
            },
            "attributors.w.augment: .*did you mean 'blur'",
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
        check_params(found := params(**sections))
        check_detectors(found)


def test_detectors_are_checked_beside_the_run(workdir: Path) -> None:
    document = yaml.safe_load((REPO / "presets/mini.yaml").read_text())
    document["detectors"]["npr"]["model"] = "resnt18"
    Path("params.yaml").write_text(yaml.safe_dump(document))
    with pytest.raises(
        AssayError, match=r"detectors.npr.model: timm has no model 'resnt18'; near to it: .*resnet18"
    ):
        DetectorCheck(Path()).wait()
