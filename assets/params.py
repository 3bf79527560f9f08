"""params.yaml: every number that can change a result, checked before anything runs.

Machine facts (device, number of workers, batch size of an evaluation) change no result and are not
here; see `assets.machine`. No parameter is called `size` or `nfiles`: DVC leaves those two names out of
its run-cache key and would restore the wrong output (treeverse/dvc#10296).
"""

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from assets.detection import Attributor, Detector, Given, Judge, Recipes, Train
from assets.errors import did_you_mean
from assets.section import Name, ParamsError, Section, explain
from assets.yaml12 import read_yaml

PARAMS = Path("params.yaml")

FAMILIES = (
    "gan",
    "pixel-diffusion",
    "latent-diffusion",
    "vq-diffusion",
    "autoregressive",
    "proprietary",
)
PROMPTS = ("imagenet", "captions", "lines", "imaginet-photos", "imaginet-paintings", "imaginet-faces")
FROM_FILE = ("captions", "lines", "imaginet-photos")
"""The kinds of prompts that stand in a file."""
CLASS_SLOT = "{class}"
CONTENTS = ("photo", "painting", "face", "other")
CLEAN = "clean"
REAL = "real"
ELSEWHERE = "elsewhere"
"""What a detector that was not trained here is trained on."""
ATTRIBUTION = "attribution"
"""Where answers to "which generator?" lie, beside those to "real or generated?"."""


class Real(Section):
    """One source of real images: which to take from an image set in data/, and how to crop them."""

    from_: str = Field(alias="from", pattern=r"^data/[a-z][a-z0-9_]*$")
    """The image set, `data/NAME`."""
    count: int | None = Field(None, ge=1)
    """Images to make: crops, or (crop: null) pictures. null takes every picture once."""
    crop: int | None = Field(None, ge=16)
    """Side of the square crops in pixels; null passes the original bytes on."""
    scales: tuple[float, ...] = (1.0,)
    """Down-scalings drawn from before cropping, in (0, 1]; a picture too small for one is not scaled."""

    @field_validator("scales")
    @classmethod
    def _in_range(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value or any(not 0 < scale <= 1 for scale in value):
            raise ValueError("every scale must lie in (0, 1]")
        return value


class Fit(Section):
    """How a model that draws images comes to be: trained here, or taken from pretrained weights."""

    kind: str
    """`dcgan`, `ddpm`, `ldm`, `vqdm` (trained here) or `pretrained` (a diffusers pipeline)."""
    options: dict[str, Any] = Field(default_factory=dict)
    """What this kind takes: see models/generators/options.py."""


class Sampler(Section):
    """How a pipeline is asked to draw. null keeps what the pipeline's own default is."""

    scheduler: str | None = None
    """A diffusers scheduler class, e.g. `DDIMScheduler`; null keeps the pipeline's own."""
    steps: int | None = Field(None, ge=1)
    """Denoising steps."""
    guidance: float | None = None
    """Classifier-free guidance scale."""
    height: int | None = Field(None, ge=8)
    width: int | None = Field(None, ge=8)
    negative_prompt: str | None = None
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    batch: int = Field(32, ge=1)
    """Images drawn at a time."""
    chunk: int = Field(256, ge=1)
    """Images in a shard: what one process draws before it writes, and the most that a kill can lose."""


class Prompts(Section):
    """What a generator that is drawn here is asked for, image by image (assets/prompting/prompts.py)."""

    of: Literal[PROMPTS]  # type: ignore[valid-type]
    """`imagenet`: classes; `captions`, `lines`: a file of yours; `imaginet-*`: that paper's grammars."""
    template: str = "photo of {class}"
    """For `imagenet`: GenImage's prompt. Class-conditional models get the class's number instead."""
    classes: tuple[int, ...] | None = None
    """For `imagenet`: 0-based indices of the classes to draw, each as often; null: all 1,000."""
    file: str | None = None
    """For `captions` and `imaginet-photos`: captions in COCO's format; for `lines`: a prompt a line."""
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")
    """Of that file, so that other captions are another benchmark."""

    @model_validator(mode="after")
    def _fields_of_the_kind(self) -> "Prompts":
        if self.of in FROM_FILE and self.file is None:
            raise ValueError(f"'of: {self.of}' needs a 'file' that holds the prompts")
        if self.of not in FROM_FILE and (self.file is not None or self.sha256 is not None):
            raise ValueError(f"'of: {self.of}' reads no file; 'file' and 'sha256' go with {_any(FROM_FILE)}")
        if self.of != "imagenet":
            if self.classes is not None or self.template != Prompts.model_fields["template"].default:
                raise ValueError(f"'of: {self.of}' has no 'classes' or 'template'; they go with imagenet")
            return self
        if CLASS_SLOT not in self.template:
            raise ValueError(
                f"the template '{self.template}' lacks {CLASS_SLOT}, the place of the class's name"
            )
        if self.classes is not None:
            if wrong := [index for index in self.classes if not 0 <= index < 1000]:
                raise ValueError(f"ImageNet-1k has no class {wrong[0]}: its classes are 0 to 999")
            if not self.classes or len(set(self.classes)) < len(self.classes):
                raise ValueError("'classes' must name at least one class, and none twice; null: all 1,000")
        return self


class Generator(Section):
    """One generator of the benchmark: where its images come from and what it is."""

    from_: str = Field(alias="from", pattern=r"^(artifacts/fit/[a-z][a-z0-9_]*|data/[a-z][a-z0-9_]*)$")
    """`artifacts/fit/NAME`: drawn by that model; `data/NAME`: an imported image set."""
    family: Literal[FAMILIES]  # type: ignore[valid-type]
    released: str = Field(pattern=r"^\d{4}-\d{2}(-\d{2})?$")
    """When the generator was published: YYYY-MM, or 'YYYY-MM-DD' in quotes."""
    content: Literal[CONTENTS] | None = None  # type: ignore[valid-type]
    """What its images show; null for an imported set keeps what the set says."""
    count: int | None = Field(None, ge=1)
    """Images to draw, or to take (evenly over classes) from an imported set; null takes all."""
    prompts: Prompts | None = None
    """Only for a generator that is drawn here; null for one that draws from noise alone."""
    sampler: Sampler = Sampler()
    """Only for a generator that is drawn here."""

    @field_validator("released", mode="before")
    @classmethod
    def _quoted(cls, value: Any) -> Any:
        if isinstance(value, datetime.date):  # YAML reads 2022-08-22 as a date, DVC cannot track one
            raise ValueError(f"write it in quotes: '{value}'")
        return value

    @model_validator(mode="after")
    def _drawn_needs_count(self) -> "Generator":
        if self.drawn and self.count is None:
            raise ValueError("a generator that is drawn here needs a count")
        if self.prompts and not self.drawn:
            raise ValueError("an imported generator takes no 'prompts': its images are there already")
        return self

    @property
    def drawn(self) -> bool:
        """Whether its images are drawn here (else they are imported)."""
        return self.from_.startswith("artifacts/")


class Dedupe(Section):
    """When two images are one."""

    radius: int = Field(4, ge=0, le=32)
    """Differing bits, out of 64, up to which two perceptual hashes are near-duplicates; 0: equal."""


class Split(Section):
    """Shares of each stratum; a group is never on two sides."""

    train: float = Field(0.6, ge=0, le=1)
    val: float = Field(0.2, ge=0, le=1)
    test: float = Field(0.2, ge=0, le=1)
    published: bool = False
    """Keep images of an imported release on the side it published them on; val is carved out of its train."""
    reals: Literal["all", "shared", "own"] = "all"
    """Real images of one generator's trainings and tests: `all` of them; as many of the same classes
    (`shared` with other generators); or those too, but each real image for one generator alone (`own`)."""
    owners: tuple[Name, ...] = ()
    """With `reals: own`: the generators that the real images are dealt out to, in turn. A name more deals
    them anew."""

    @model_validator(mode="after")
    def _sum_to_one(self) -> "Split":
        if abs(self.train + self.val + self.test - 1) > 1e-9:
            total = self.train + self.val + self.test
            raise ValueError(f"train + val + test must be 1, not {total:g}")
        return self

    @model_validator(mode="after")
    def _owners_own(self) -> "Split":
        if (self.reals == "own") != bool(self.owners):
            raise ValueError(
                "'reals: own' needs 'owners', the generators that share the reals out; else none"
            )
        if len(set(self.owners)) < len(self.owners):
            raise ValueError("'owners' must not name anything twice")
        return self


class Audit(Section):
    """The shortcut audit: what files say about themselves against the label."""

    folds: int = Field(5, ge=2)
    """Cross-validation folds (over groups)."""
    alarm: float = Field(0.6, gt=0.5, lt=1)
    """A feature set whose AUROC interval lies wholly above this gives the class away."""
    look: int = Field(1000, ge=0)
    """Images a class that are opened for what no manifest says (metadata, brightness, watermarks)."""


class SpectrumSpec(Section):
    """Average Fourier spectra of generators, as GenImage and CNNDetection show them."""

    images: int = Field(2000, ge=1)
    """At most so many images of each item."""
    side: int = Field(128, ge=32)
    """Side in pixels of the centre crop that is transformed; smaller pictures are left out and counted."""


class Gallery(Section):
    """Pictures that the report shows."""

    hardest: int = Field(8, ge=0)
    """Clean test images of every item that detectors get wrong most."""
    side: int = Field(112, ge=32)
    """Longest side of a thumbnail in pixels."""


class SetAside(Section):
    """A generator that could not be made, so that the tables do without it and say so."""

    why: str = Field(min_length=1)
    """What went wrong, in a line; it stands in the tables."""
    entries: dict[str, Any] = Field(default_factory=dict)
    """What stood in params.yaml, by dotted key; `assay refresh --retry NAME` puts it back."""


class Report(Section):
    """How the tables are made from predictions."""

    resamples: int = Field(1000, ge=100)
    """Bootstrap resamples of groups behind every interval."""
    level: float = Field(0.95, gt=0.5, lt=1)
    """Confidence level of the intervals."""
    groups: dict[Name, tuple[str, ...]] = Field(default_factory=dict)
    """Generators whose test images are counted together, as ImagiNet's four; none: no such table."""
    twins: tuple[Name, ...] = ()
    """Conditions that bring both classes into one form: shown as raw | aligned | difference."""
    leaks: Literal["refuse", "leave_out"] = "refuse"
    """Test images that share a group, or nearly all pixels, with training images: no table; or a table in
    which they count for no detector, and are counted."""
    paper: Literal["genimage", "imaginet"] | None = None
    """The paper whose published numbers stand beside the measured ones."""
    set_aside: dict[Name, SetAside] = Field(default_factory=dict)
    """Generators that should be here and could not be made, and why (`assay refresh`)."""


class Params(Section):
    """Everything in params.yaml. Every section has to be there: dvc.yaml refers to all of them."""

    seed: int
    """Benchmark seed: every random choice derives from it."""
    real: dict[Name, Real] = Field(min_length=1)
    fit: dict[Name, Fit]
    generators: dict[Name, Generator] = Field(min_length=1)
    dedupe: Dedupe
    split: Split
    audit: Audit
    spectrum: SpectrumSpec
    degrade: dict[Name, str | Recipes]
    """Conditions: name -> recipe (assets/images/degradations.py), of all test images or by class."""
    detectors: dict[Name, Detector]
    """Real or generated?"""
    attributors: dict[Name, Attributor]
    """Which generator?"""
    given: dict[Name, Given]
    """Detectors that were made elsewhere."""
    train: Train
    gallery: Gallery
    report: Report

    @model_validator(mode="after")
    def _names_agree(self) -> "Params":
        trained_on = {"train.generators": self.train.generators}
        trained_on |= {f"train.sets.{name}": members for name, members in self.train.sets.items()}
        trained_on |= {f"train.samples.{name}.of": one.of or () for name, one in self.train.samples.items()}
        trained_on |= {f"report.groups.{name}": members for name, members in self.report.groups.items()}
        for place, names in trained_on.items():
            for name in names:
                if name not in self.generators:
                    raise ValueError(
                        f"{place} names '{name}', which is not in generators; "
                        + did_you_mean(name, self.generators)
                    )
        for name, spec in self.generators.items():
            model = spec.from_.removeprefix("artifacts/fit/")
            if spec.drawn and model not in self.fit:
                raise ValueError(
                    f"generators.{name}.from names the model '{model}', which is not in fit; "
                    + did_you_mean(model, self.fit)
                )
        if self.split.reals == "own":
            for name in self.generators:
                if name not in self.split.owners:
                    raise ValueError(
                        f"split.reals is 'own', but the generator '{name}' is not in split.owners "
                        f"({', '.join(self.split.owners)}): it would have no real images"
                    )
        for reserved in (REAL, CLEAN, ELSEWHERE, ATTRIBUTION):
            if reserved in {*self.generators, *self.degrade, *self.train.sets, *self.train.samples}:
                raise ValueError(f"'{reserved}' cannot name a generator, a set, a sample or a condition")
        if both := self.train.sets.keys() & self.generators.keys():
            raise ValueError(f"'{min(both)}' is a generator and a set in train.sets: rename the set")
        if both := self.train.samples.keys() & {*self.generators, *self.train.sets}:
            raise ValueError(f"'{min(both)}' is a sample and a generator or a set: rename the sample")
        for name in self.report.set_aside:
            if name in self.generators:
                raise ValueError(f"'{name}' is in generators and in report.set_aside: delete one of them")
        for name in self.report.twins:
            if name not in self.degrade:
                raise ValueError(
                    f"report.twins names '{name}', which is not in degrade; "
                    + did_you_mean(name, self.degrade)
                )
        return self

    @model_validator(mode="after")
    def _samples_hold_something(self) -> "Params":
        for name, sample in self.train.samples.items():
            if not self.samples[name]:
                first = min(spec.released for spec in self.generators.values())
                raise ValueError(
                    f"train.samples.{name}.until is {sample.until}, before any generator; the first: {first}"
                )
            for content in sample.contents or ():
                if content not in CONTENTS:
                    raise ValueError(
                        f"train.samples.{name}.contents names '{content}'; {did_you_mean(content, CONTENTS)}"
                    )
        return self

    @model_validator(mode="after")
    def _judges_agree(self) -> "Params":
        sections: dict[str, Mapping[str, Judge]] = {
            "detectors": self.detectors,
            "attributors": self.attributors,
            "given": self.given,
        }
        owner: dict[str, str] = {}
        for section, judges in sections.items():
            for name in judges:
                if name in owner:
                    raise ValueError(f"'{name}' stands under {owner[name]} and {section}: rename one")
                owner[name] = section
        if not self.detectors and not self.given:
            raise ValueError("name at least one detector under 'detectors' or 'given'")
        if self.detectors and not self.sources:
            raise ValueError("name at least one generator under train.generators, or a set under train.sets")
        if self.sources and not self.detectors:
            what = "train.generators" if self.train.generators else "train.sets"
            raise ValueError(f"{what} is not empty, and 'detectors' names nothing to train on it")
        for name, given in self.given.items():
            for generator in given.seen or ():
                if generator not in self.generators:
                    hint = did_you_mean(generator, self.generators)
                    raise ValueError(
                        f"given.{name}.seen names '{generator}', which is not in generators; {hint}"
                    )
        for name in self.attributors:
            few = [key for key, members in self.train.sets.items() if len(members) < 2]
            if few or not self.train.sets:
                what = f"train.sets.{few[0]} has one" if few else "train.sets is empty"
                raise ValueError(f"attributors.{name} tells the members of a set apart, and {what}")
        return self

    @property
    def judges(self) -> dict[str, Judge]:
        """Everything that scores pictures: detectors, attributors and given ones, by name."""
        return {**self.detectors, **self.attributors, **self.given}

    @property
    def scorers(self) -> tuple[str, ...]:
        """Names of all that say real or generated: detectors trained here, then given ones."""
        return (*self.detectors, *self.given)

    def rows_of(self, detector: str) -> tuple[str, ...]:
        """What it was trained on, in the order of the tables: generators, sets; or elsewhere."""
        return (ELSEWHERE,) if detector in self.given else tuple(self.sources)

    def averaged_rows(self, detector: str) -> tuple[str, ...]:
        """Those of them that a mean over trainings is over: single generators, or sets if there are none."""
        if detector in self.given:
            return (ELSEWHERE,)
        return self.train.generators or tuple(self.train.sets) or tuple(self.train.samples)

    def seeds_of(self, detector: str) -> tuple[int, ...]:
        """The seeds it was trained with; what was made elsewhere is there once."""
        return (0,) if detector in self.given else self.train.seeds

    def seen(self, detector: str, trained_on: str, generator: str) -> bool | None:
        """Whether a training on `trained_on` saw images of a generator; None: not known."""
        if detector in self.given:
            names = self.given[detector].seen
            return None if names is None else generator in names
        return generator in self.sources[trained_on]

    @property
    def sources(self) -> dict[str, tuple[str, ...]]:
        """What detectors are trained on: a generator, a set or a sample -> the generators in it."""
        return {**{name: (name,) for name in self.train.generators}, **self.pooled}

    @property
    def pooled(self) -> dict[str, tuple[str, ...]]:
        """What is trained on by way of a pool (tasks/pool.py): sets and samples -> the generators in them."""
        return {**self.train.sets, **self.samples}

    @property
    def samples(self) -> dict[str, tuple[str, ...]]:
        """Samples -> the generators that they are taken from, in the order of `generators`."""
        return {
            name: tuple(
                generator
                for generator, spec in self.generators.items()
                if (generator in sample.of if sample.of else published_by(spec.released, sample.until or ""))
            )
            for name, sample in self.train.samples.items()
        }

    @property
    def conditions(self) -> dict[str, str]:
        """Every condition that is evaluated, the clean one first: name -> recipe in words ('' for clean)."""
        return {CLEAN: "", **{name: str(recipe) for name, recipe in self.degrade.items()}}

    @property
    def degradations(self) -> tuple[str, ...]:
        """Conditions that make images worse, and that a mean over degradations is over: all but the twins."""
        return tuple(name for name in self.degrade if name not in self.report.twins)

    def recipe(self, condition: str, label: int) -> str:
        """What is done to a test image of this label (0 real, 1 generated) under a condition."""
        found = "" if condition == CLEAN else self.degrade[condition]
        return found if isinstance(found, str) else (found.real, found.generated)[label]


def published_by(released: str, until: str) -> bool:
    """Whether a date, YYYY-MM or YYYY-MM-DD, lies no later than another; a month reaches to its end."""
    return released <= until or released.startswith(until)


def _any(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"


def load_params(path: Path = PARAMS) -> Params:
    """Read and check a parameter file.

    Raises:
        AssayError: not there, not YAML.
        ParamsError: an unknown key (the nearest known one is named), a value out of range, a name that
            nothing defines.
    """
    return parse_params(read_yaml(path), str(path))


def parse_params(document: dict[str, Any], where: str) -> Params:
    """Check a parameter document that is already in memory; `where` begins the error messages."""
    try:
        return Params.model_validate(document)
    except ValidationError as error:
        raise ParamsError("\n".join(explain(item, where, Params) for item in error.errors())) from None
