"""The sections of params.yaml about detectors: what one sees, where it starts from, how it is trained."""

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from assets.section import Section

NONE = "none"
TIMM = "timm"
SCORES = "scores"
"""The kind of a `given` detector that is not there, but what it said is."""


class View(Section):
    """How a picture becomes the square of side `crop` that a network sees. It is part of what a cell is.

    By default nothing is ever made smaller, for that would remove the traces that detectors look for.
    """

    resize: int | None = Field(None, ge=16)
    """Bring the shorter side to so many pixels before cropping (smaller or larger); null: no resizing."""
    squash: bool = False
    """With `resize`: both sides become `resize`, whatever the aspect was."""
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"] = "bicubic"
    """Of every resizing here; with antialiasing, as Pillow does it."""
    small: Literal["enlarge", "reflect", "tile"] = "enlarge"
    """A picture with a side shorter than the crop: scale it up, mirror it outwards, or repeat it."""
    training: Literal["crop", "resized-crop", "centre"] = "crop"
    """Where a training crop lies: at random; at random with a random area and aspect, resized to the crop
    (torchvision's RandomResizedCrop, of the picture before `resize`); or the centre, as in evaluation."""
    area: tuple[float, float] = (0.08, 1.0)
    """For `resized-crop`: the share of the picture's area."""
    aspect: tuple[float, float] = (0.75, 4 / 3)
    """For `resized-crop`: width over height."""
    flip: float = Field(0.5, ge=0, le=1)
    """Probability that a training picture is mirrored left to right."""
    flip_vertical: float = Field(0.0, ge=0, le=1)
    """Probability that it is mirrored top to bottom."""
    rotate: float = Field(0.0, ge=0, le=1)
    """Probability that it is turned by 90, 180 or 270 degrees."""
    scaled_decode: bool = False
    """Let JPEGs be decoded at 1/2, 1/4 or 1/8 where `resize` or a resized crop shrinks further anyway, and
    torch resize in place of Pillow: faster, not the same to the last bit."""
    normalise: Literal["imagenet", "clip", "half", "none"] | None = None
    """Mean and deviation that pixels in [0, 1] are brought to; null: what the model was made for."""

    @model_validator(mode="after")
    def _agree(self) -> "View":
        if self.resize is None and (self.squash or self.scaled_decode):
            raise ValueError("'squash' and 'scaled_decode' go with 'resize'")
        for name in ("area", "aspect"):
            low, high = getattr(self, name)
            if not 0 < low <= high or (name == "area" and high > 1):
                raise ValueError(f"'{name}' must be a range LOW, HIGH with 0 < LOW <= HIGH")
        return self


class Recipe(Section):
    """How a detector is trained, beyond epochs, batch, learning rate and weight decay."""

    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    momentum: float = Field(0.9, ge=0, lt=1)
    """For `sgd`."""
    dampening: float = Field(0.0, ge=0, le=1)
    """For `sgd`."""
    nesterov: bool = False
    """For `sgd`."""
    betas: tuple[float, float] = (0.9, 0.999)
    """For `adam` and `adamw`."""
    schedule: Literal["cosine", "constant", "plateau"] = "cosine"
    """Of the learning rate after warm-up: half a cosine, none, or divided by ten when val gets no better."""
    warmup: float = Field(0.1, ge=0)
    """Over which the rate rises linearly: below 1 a share of all steps, from 1 on a number of epochs."""
    floor: float = Field(0.0, ge=0)
    """The learning rate that the schedule ends at; a plateau that would go below it ends the training."""
    patience: int = Field(5, ge=1)
    """For `plateau` and `stop`: epochs without a better val."""
    stop: bool = False
    """End the training after `patience` epochs without a better val, and keep the best epoch's weights."""
    monitor: Literal["auroc", "accuracy", "loss"] = "auroc"
    """What `plateau` and `stop` look at, on val."""
    accumulate: int = Field(1, ge=1)
    """Batches whose gradients are added up before a step."""
    clip: float | None = Field(None, gt=0)
    """Largest norm of a step's gradient."""
    ema: float | None = Field(None, gt=0, lt=1)
    """Decay of the running average of the weights that is kept in place of the last ones."""
    mixed: Literal["auto", "no", "bf16", "fp16"] = "auto"
    """Mixed precision; `auto`: bf16 on a GPU that has it, else none. The CPU computes in float32."""
    smoothing: float = Field(0.0, ge=0, lt=1)
    """Label smoothing."""
    mixup: float = Field(0.0, ge=0)
    """Alpha of mixup; 0: none."""
    cutmix: float = Field(0.0, ge=0)
    """Alpha of cutmix; with mixup, each batch gets one of the two."""
    randaugment: str | None = None
    """RandAugment in timm's notation, e.g. `rand-m9-mstd0.5-inc1`."""
    erase: float = Field(0.0, ge=0, le=1)
    """Probability that a rectangle of a training picture is replaced by noise (random erasing)."""
    repeats: int = Field(1, ge=1)
    """Repeated augmentation: so many differently augmented copies of an image; an epoch stays as long."""
    splits: int = Field(1, ge=1, le=5)
    """Augmentation splits: every image once plain and `splits` - 1 times augmented, with the Jensen-Shannon
    loss between them and batch norm statistics for each (AugMix, as timm does it)."""

    @model_validator(mode="after")
    def _agree(self) -> "Recipe":
        if self.splits > 1 and (self.mixup or self.cutmix or self.repeats > 1):
            raise ValueError("'splits' cannot be combined with mixup, cutmix or repeats")
        if self.nesterov and (self.momentum == 0 or self.dampening):
            raise ValueError("'nesterov' needs momentum and no dampening")
        return self


class Judge(Section):
    """What can score a picture: a network, or something made elsewhere that stands for one."""

    kind: str = TIMM
    """A file of models/detectors/kinds: `timm`, `npr`, ...; `assay detectors` lists them."""
    model: str | None = None
    """The timm model id of the network or of its backbone; null: the kind's own."""
    weights: str = NONE
    """Where it starts from: `none` at random; `timm` the model id's pretrained weights; or a file."""
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")
    """Of that file, so that another file is another benchmark."""
    crop: int = Field(224, ge=16)
    """Side in pixels of what the network sees: a random crop in training, the centre in evaluation."""
    view: View = View()
    options: dict[str, Any] = Field(default_factory=dict)
    """What its kind can be told: the class `Options` of that file."""

    @model_validator(mode="after")
    def _hash_of_a_file(self) -> "Judge":
        if self.sha256 is not None and self.weights in (NONE, TIMM):
            raise ValueError("'sha256' is that of a file: it goes with `weights: FILE`")
        return self


class Detector(Judge):
    """Real or generated: trained here, on each of `train.generators` and each of `train.sets`."""

    augment: str = ""
    """Recipe applied to training pictures, e.g. `blur(0,3)@0.5|jpeg(30,100)@0.5`
    (assets/images/degradations.py)."""
    epochs: int = Field(10, ge=1)
    batch: int = Field(32, ge=2)
    """Training batch; it changes the result, unlike the batch of an evaluation."""
    lr: float = Field(1e-3, gt=0)
    weight_decay: float = Field(1e-2, ge=0)
    recipe: Recipe = Recipe()


class Attributor(Detector):
    """Which generator: trained here on each of `train.sets`, whose members are its classes."""

    unknown: float = Field(0.05, ge=0, lt=1)
    """Share of val images of known generators that may be called unknown: it sets the score below which
    an answer is `unknown`; 0: never."""


class Given(Judge):
    """Made elsewhere and not trained here: weights, an ONNX file, a Python factory, or a table of scores.

    It stands in the tables as trained on `elsewhere`.
    """

    trained_on: str = ""
    """In words: what its makers trained it on."""
    seen: tuple[str, ...] | None = None
    """The generators of this benchmark that it was trained on; null: not known, and so neither in-domain nor
    cross-generator."""
    threshold: Literal["half", "val"] = "val"
    """P = 0.5; or the best balanced accuracy on val: the real images and those of the generators that are
    trained on here (of all generators, if nothing is trained here)."""


class Sample(Section):
    """A part of the training images: fewer of them, fewer classes or contents, or alike in both classes.

    Choices are nested: a sample of more images, or of more classes, holds every smaller one.
    """

    of: tuple[str, ...] | None = None
    """The generators whose images are taken."""
    until: str | None = Field(None, pattern=r"^\d{4}-\d{2}(-\d{2})?$")
    """Instead of `of`: every generator published up to then, YYYY-MM or 'YYYY-MM-DD' in quotes."""
    images: int | None = Field(None, ge=2)
    """Generated training images in all, spread evenly over generators and classes, and as many real ones."""
    classes: int | None = Field(None, ge=1)
    """Only images of so many classes."""
    per_class: int | None = Field(None, ge=1)
    """Generated training images of every class and generator, and as many real ones of every class."""
    contents: tuple[str, ...] | None = Field(None, min_length=1)
    """Only images that show these: photo, painting, face, other."""
    real_sides: tuple[int, int] | None = None
    """Only real images with both sides in this range of pixels."""
    real_quality: int | None = Field(None, ge=1, le=100)
    """Only real JPEGs of this quality."""
    balance: bool = False
    """Of each class as many real images as generated ones."""
    prepare: "str | Recipes" = ""
    """Recipe by which images, of train and val, are brought into one form before they are learnt from."""

    @model_validator(mode="after")
    def _agree(self) -> "Sample":
        if (self.of is None) == (self.until is None):
            raise ValueError("give either 'of', the generators, or 'until', a date")
        if self.of is not None and (not self.of or len(set(self.of)) < len(self.of)):
            raise ValueError("'of' must name at least one generator, and none twice")
        if self.images is not None and self.per_class is not None:
            raise ValueError("'images' and 'per_class' both say how many: give one of them")
        if self.real_sides is not None and self.real_sides[0] > self.real_sides[1]:
            raise ValueError("'real_sides' must be LOW, HIGH with LOW <= HIGH")
        return self


class Recipes(Section):
    """One recipe for real images, another for generated ones; an empty one leaves them as they are."""

    real: str = ""
    generated: str = ""

    def __str__(self) -> str:
        return f"real: {self.real or 'as they are'}; generated: {self.generated or 'as they are'}"


class Train(Section):
    """What detectors are trained on, and with which seeds."""

    generators: tuple[str, ...]
    """One at a time."""
    sets: dict[str, tuple[str, ...]]
    """Several together: name -> generators."""
    samples: dict[str, Sample]
    """Parts of the images of one or several: name -> which."""
    seeds: tuple[int, ...] = Field(min_length=1)

    @field_validator("generators", "seeds")
    @classmethod
    def _no_repeats(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        if len(set(value)) < len(value):
            raise ValueError("must not name anything twice")
        return value

    @field_validator("sets")
    @classmethod
    def _sets_of_several(cls, value: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for name, members in value.items():
            if not members or len(set(members)) < len(members):
                raise ValueError(f"the set '{name}' must name at least one generator, and none twice")
        return value
