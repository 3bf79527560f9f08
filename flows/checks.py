"""What can be refused before minutes of work: recipes, options, models that do not exist."""

from collections.abc import Collection

from assets.degradations import parse
from assets.errors import AssayError, did_you_mean
from assets.params import Params, checked_options


def check_params(params: Params, families: Collection[str]) -> None:
    """Refuse parameters with which a stage of `families` would have to fail.

    Detectors are looked up in timm, which takes seconds to load, only if one is to be trained.

    Raises:
        AssayError: a recipe that cannot be read, an unknown kind of model or option, an unknown timm
            model id.
    """
    for name, recipe in params.degrade.items():
        parse(recipe, f"degrade.{name}")
    for name, detector in params.detectors.items():
        parse(detector.augment, f"detectors.{name}.augment")
    _check_models(params)
    if "train" in families:
        from models.detectors import check

        for name, detector in params.detectors.items():
            check(detector, f"detectors.{name}")


def _check_models(params: Params) -> None:
    from models.generators.options import OPTIONS

    for name, fit in params.fit.items():
        if fit.kind not in OPTIONS:
            raise AssayError(f"fit.{name}.kind: unknown kind '{fit.kind}'; {did_you_mean(fit.kind, OPTIONS)}")
        checked_options(OPTIONS[fit.kind], fit.options, f"fit.{name}")
