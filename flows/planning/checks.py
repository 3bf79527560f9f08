"""What can be refused before minutes of work: recipes, options, models that do not exist."""

import subprocess
import sys
from pathlib import Path

from assets.errors import AssayError, did_you_mean
from assets.images.degradations import parse
from assets.images.prepared import preparation
from assets.params import Params, load_params
from assets.prompting.captions import check_file
from assets.section import checked_options
from assets.yaml12 import PARAMS_YAML


def check_params(params: Params, root: Path = Path()) -> None:
    """Refuse parameters with which a stage would have to fail; takes no time.

    Args: root: the repository, from which files of prompts are named.
    Raises:
        AssayError: a recipe that cannot be read, an unknown kind of model, an unknown option, a file of
            prompts that is not there or has no hash.
    """
    from models.generators.options import OPTIONS

    for name in params.degrade:
        for label in (0, 1):
            parse(params.recipe(name, label), f"degrade.{name}")
    for name, sample in params.train.samples.items():
        for recipe in preparation(sample):
            parse(recipe, f"train.samples.{name}.prepare")
    for name, detector in params.detectors.items():
        parse(detector.augment, f"detectors.{name}.augment")
    for name, attributor in params.attributors.items():
        parse(attributor.augment, f"attributors.{name}.augment")
    for name, fit in params.fit.items():
        if fit.kind not in OPTIONS:
            raise AssayError(f"fit.{name}.kind: unknown kind '{fit.kind}'; {did_you_mean(fit.kind, OPTIONS)}")
        checked_options(OPTIONS[fit.kind], fit.options, f"fit.{name}")
    for name, generator in params.generators.items():
        if generator.prompts and generator.prompts.file is not None:
            check_file(generator.prompts, root, f"generators.{name}.prompts")


def check_detectors(params: Params) -> None:
    """Refuse detectors that cannot be built or taken in; loads torch and timm, which takes ten seconds.

    Files of detectors that were made elsewhere are looked for from the current folder.

    Raises:
        AssayError: an unknown kind, an unknown timm model id, a file that is not there or not pinned, a
            table of scores that makes no sense.
    """
    from models import detectors
    from models.detectors.given import check_given

    for section in ("detectors", "attributors"):
        for name, detector in getattr(params, section).items():
            detectors.check(detector, f"{section}.{name}")
    for name in params.given:
        check_given(params, name)


class DetectorCheck:
    """`check_detectors` in a process of its own, while this one goes on: neither its time nor the memory
    that torch takes is to burden a run."""

    def __init__(self, root: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "flows.planning.checks", str((root / PARAMS_YAML).resolve())],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait(self) -> None:
        """Raise AssayError if a detector cannot be built."""
        _, message = self._process.communicate()
        if self._process.returncode == 2:
            raise AssayError(message.strip())
        if self._process.returncode:
            raise RuntimeError(f"the check of the detectors failed:\n{message}")


if __name__ == "__main__":
    try:
        check_detectors(load_params(Path(sys.argv[1])))
    except AssayError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
