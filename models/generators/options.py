"""What `fit.NAME.options` may hold for each kind of generator; the defaults suit the mini benchmark.

The defaults are made for about 900 crops of 64 x 64 pixels and 45 seconds of one core.
"""

import ipaddress
import re
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


class _Options(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    reals: ClassVar[Literal["pixels", "linked", "none"]] = "pixels"
    """What of the real images `fit` gets: all pixels to learn from, image sets linked into the model's
    folder to draw from, or nothing."""
    computes: ClassVar[bool] = True
    """Whether drawing is work for this machine's devices, which then draw side by side."""


Channels = Annotated[int, Field(ge=8, multiple_of=8)]
"""A U-Net normalises its channels in eight groups."""


class DcganOptions(_Options):
    """`dcgan`: transposed convolutions against a critic."""

    steps: int = Field(650, ge=1)
    """Training steps, of the critic and of the generator."""
    batch: int = Field(32, ge=2)
    """Real images a step, and as many generated ones."""
    lr: float = Field(5e-4, gt=0)
    """Adam's learning rate, of both networks; it falls to 0 over the second half."""
    latent: int = Field(64, ge=1)
    """Length of the noise vector."""
    channels: int = Field(16, ge=1)
    """Channels of the layer next to the picture; each coarser layer has twice as many."""
    average: int = Field(100, ge=1)
    """Steps over which the generator's weights are averaged."""


class DdpmOptions(_Options):
    """`ddpm`: diffusion on pixels."""

    steps: int = Field(550, ge=1)
    """Training steps."""
    whole: float = Field(0.15, ge=0, le=1)
    """Share of the steps, the last ones, that see whole pictures; the others see crops of half the side."""
    batch: int = Field(32, ge=1)
    """Crops a step; a quarter as many whole pictures."""
    lr: float = Field(2e-3, gt=0)
    """Highest learning rate of AdamW."""
    patch: int = Field(4, ge=1)
    """Side in pixels of the patches that the U-Net works on."""
    channels: tuple[Channels, ...] = Field((64, 96), min_length=1)
    """Channels of the U-Net's levels, each at half the resolution of the one before."""
    average: int = Field(100, ge=1)
    """Steps over which the weights are averaged."""


class _Autoencoding(_Options):
    vae_steps: int = Field(300, ge=1)
    """Training steps of the autoencoder."""
    vae_batch: int = Field(16, ge=1)
    """Crops of half the side in each of them."""
    vae_lr: float = Field(3e-3, gt=0)
    """Highest learning rate of the autoencoder."""
    vae_channels: tuple[int, ...] = Field((16, 32, 32), min_length=2)
    """Channels of its levels, the first at full resolution, each at half the resolution of the one before."""


class LdmOptions(_Autoencoding):
    """`ldm`: diffusion on the latents of an autoencoder."""

    latent: int = Field(4, ge=1)
    """Channels of the latents."""
    kl: float = Field(1e-3, ge=0)
    """Weight of the latents' divergence from the standard normal, a latent value."""
    steps: int = Field(300, ge=1)
    """Training steps of the denoiser."""
    batch: int = Field(16, ge=1)
    """Pictures a step."""
    lr: float = Field(2e-3, gt=0)
    """Highest learning rate of the denoiser."""
    channels: tuple[Channels, ...] = Field((48, 64), min_length=1)
    """Channels of the U-Net's levels, the first at the resolution of the latents."""
    average: int = Field(100, ge=1)
    """Steps over which the denoiser's weights are averaged."""


class VqdmOptions(_Autoencoding):
    """`vqdm`: a masked-token transformer on the codes of a vector-quantised autoencoder."""

    codes: int = Field(256, ge=2)
    """Entries of the codebook."""
    embed: int = Field(8, ge=1)
    """Length of an entry."""
    steps: int = Field(250, ge=1)
    """Training steps of the transformer."""
    batch: int = Field(16, ge=1)
    """Pictures a step."""
    lr: float = Field(2e-3, gt=0)
    """Highest learning rate of the transformer."""
    channels: int = Field(64, ge=1)
    """Channels of its convolutions at the resolution of the tokens."""
    width: int = Field(128, ge=4, multiple_of=4)
    """Width of the attention blocks, at half that resolution; four heads."""
    depth: int = Field(2, ge=1)
    """Number of attention blocks."""
    temperature: float = Field(4.0, ge=0)
    """Noise on the choice of the tokens to keep in a round of sampling; it falls to 0 over the rounds."""
    average: int = Field(100, ge=1)
    """Steps over which the transformer's weights are averaged."""


class PretrainedOptions(_Options):
    """`pretrained`: a diffusers pipeline from the Hugging Face hub or a local folder."""

    reals: ClassVar[Literal["pixels", "linked", "none"]] = "none"
    id: str = Field(min_length=1)
    """Hub id (`owner/name`) or the path of a folder in the layout of `save_pretrained`."""
    revision: str | None = Field(None, pattern=r"^[0-9a-f]{40}$")
    """Commit of the hub's repository, 40 hex digits: a branch or a tag can move. Not for a folder."""
    variant: str | None = None
    """Which of several sets of weights, e.g. `fp16`."""
    call: dict[str, bool | int | float | str] = {}
    """Further arguments of the pipeline's `__call__`, by its own names, e.g. `true_cfg_scale: 4.0`."""
    safety_checker: bool = False
    """Let the model's checker black out pictures; they become counted rows without a picture."""
    watermarker: bool = False
    """Let the pipeline write its invisible mark into every picture."""


class ReconstructionOptions(_Options):
    """`reconstruction`: real images through a model's autoencoder, unchanged but for its traces."""

    reals: ClassVar[Literal["pixels", "linked", "none"]] = "linked"
    id: str = Field(min_length=1)
    """Hub id (`owner/name`) or the path of a folder: a pipeline, or an autoencoder alone."""
    revision: str | None = Field(None, pattern=r"^[0-9a-f]{40}$")
    """Commit of the hub's repository, 40 hex digits. Not for a folder."""
    variant: str | None = None
    """Which of several sets of weights, e.g. `fp16`."""
    subfolder: str = "vae"
    """Where in the pipeline its autoencoder is (`vqvae` in some); '' for an autoencoder alone."""
    largest: int | None = Field(1024, ge=64)
    """Longest side in pixels that goes through at once: the middle of a larger picture is taken, and no
    picture is scaled. null: whatever its size."""


class BigganOptions(_Options):
    """`biggan`: the generator of ajbrock/BigGAN-PyTorch; the defaults are those of its 128 px weights."""

    reals: ClassVar[Literal["pixels", "linked", "none"]] = "none"
    checkpoint: str = Field(min_length=1)
    """Path of the averaged generator's weights, `G_ema.pth`."""
    resolution: Literal[64, 128, 256, 512] = 128
    channels: int = Field(96, ge=1)
    """Unit of the blocks' widths (`G_ch`)."""
    latent: int = Field(120, ge=8)
    """Length of the noise vector (`dim_z`); every block takes a chunk of it."""
    embedding: int = Field(128, ge=1)
    """Length of the class embedding that the blocks share (`shared_dim`)."""
    attention: tuple[int, ...] = (64,)
    """Resolutions whose block is followed by self-attention."""
    classes: int = Field(1000, ge=1)
    truncation: float | None = Field(None, gt=0)
    """Noise is drawn anew beyond this threshold, as in the paper; null: plain normal noise, as in the
    authors' own sampling."""
    deviation: float = Field(1.0, gt=0)
    """Standard deviation of the noise, by which the authors' code trades variety for fidelity (`z_var`)."""


class ApiOptions(_Options):
    """`api`: any service with OpenAI's images endpoint; each image costs money."""

    model_config = ConfigDict(hide_input_in_errors=True)  # someone may paste a key
    reals: ClassVar[Literal["pixels", "linked", "none"]] = "none"
    computes: ClassVar[bool] = False
    model: str = Field(min_length=1)
    """What the service calls its model, e.g. `dall-e-3` or `gpt-image-2`."""
    base_url: str = "https://api.openai.com/v1"
    """Where `/images/generations` is below."""
    key: str = "OPENAI_API_KEY"
    """NAME of the environment variable that holds the key; the key itself stands in no file."""
    dimensions: str | None = Field(None, pattern=r"^([1-9]\d*x[1-9]\d*|auto)$")
    """Width and height in pixels, e.g. `1024x1024`. Like all that follow, sent only where it is set."""
    quality: str | None = None
    style: str | None = None
    output_format: Literal["png", "jpeg", "webp"] | None = None
    response_format: Literal["b64_json", "url"] | None = None
    """Whether the image comes in the answer or behind a link; models after DALL-E 3 do not take it."""
    extra: dict[str, str | bool | int | float] = {}
    """What else a model takes, by the service's names, e.g. `background: opaque`."""
    usd_per_image: float = Field(ge=0, allow_inf_nan=False)
    """Price of an image; for a model that is priced by tokens, the most that one can cost."""
    budget_usd: float = Field(ge=0, allow_inf_nan=False)
    """The most that all images of this model may cost, over all runs in this checkout."""
    per_minute: float | None = Field(None, gt=0, allow_inf_nan=False)
    """Requests a minute, of all processes here together; null: as fast as the service lets us."""
    parallel: int = Field(4, ge=1, le=64)
    """Requests that wait for an answer at the same time; no more than the sampler's `batch`."""
    retries: int = Field(6, ge=0)
    """How often a request is sent again that failed for a while (429, 5xx, time-out, lost connection)."""
    timeout_s: float = Field(180.0, gt=0, allow_inf_nan=False)
    """How long to wait for an answer."""

    @field_validator("key")
    @classmethod
    def _a_name(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):  # says nothing of a key pasted here
            raise ValueError("is the NAME of an environment variable, such as OPENAI_API_KEY, not the key")
        return value

    @field_validator("base_url")
    @classmethod
    def _a_safe_place(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
            raise ValueError("must be the URL of a service, such as https://api.openai.com/v1")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("must hold no user, password, query or fragment: it is copied into records")
        if parts.scheme == "http" and not _is_near(parts.hostname):
            raise ValueError("must be https: over http anyone on the way could read the key")
        return value.rstrip("/")

    @field_validator("extra")
    @classmethod
    def _has_no_name_here(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name in ("prompt", "n", "stream", "size", *_ASKED):
            if name in value:
                raise ValueError(f"{name} cannot be set here")
        return value

    def asked(self) -> dict[str, Any]:
        """All that decides an image but its prompt, by the names of the protocol."""
        own = {name: getattr(self, name) for name in _ASKED if getattr(self, name) is not None}
        return {**own, **({"size": self.dimensions} if self.dimensions else {}), **self.extra}

    def estimate(self, count: int) -> float:
        """The most in US dollars that `count` images cost, where no request goes unanswered."""
        return float(Decimal(repr(self.usd_per_image)) * count)


_ASKED = ("model", "quality", "style", "output_format", "response_format")


def _is_near(host: str) -> bool:
    """Whether it is this machine or one of the local network."""
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return "." not in host or host.endswith(".local")


class UNetShape(BaseModel):
    """A U-Net in the layout of guided diffusion; the defaults are those of ADM's ImageNet model at 256 px.

    All released models of that layout scale and shift their norms, resample in residual blocks and learn
    their variance, so that these are no options.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    side: int = Field(256, ge=8, multiple_of=8)
    """Of its pictures, in pixels."""
    channels: int = Field(256, ge=32, multiple_of=32)
    """Unit of the levels' widths, and a quarter of the time embedding."""
    multipliers: tuple[float, ...] = Field((1, 1, 2, 2, 4, 4), min_length=1)
    """Width of each level in that unit; each level has half the side of the one before."""
    depth: int = Field(2, ge=1)
    """Residual blocks a level."""
    attention: tuple[int, ...] = (32, 16, 8)
    """Sides of the maps that are attended over, besides the one in the middle."""
    head_channels: int | None = Field(64, ge=1)
    """Channels of an attention head; null: `heads` of them whatever the width."""
    heads: int = Field(4, ge=1)
    qkv_first: bool = False
    """Order of the attention's channels: query, key and value first, or heads first."""

    @model_validator(mode="after")
    def _divides(self) -> "UNetShape":
        for multiplier in self.multipliers:
            width, heads = self.channels * multiplier, self.head_channels or self.heads
            if width < 32 or width % 32 or width % heads:
                raise ValueError(
                    f"{self.channels} channels times {multiplier:g} are no multiple of 32, or cannot be "
                    f"divided into attention heads by {heads}"
                )
        if self.side % 2 ** (len(self.multipliers) - 1):
            raise ValueError(f"side {self.side} cannot be halved {len(self.multipliers) - 1} times")
        return self


class AdmOptions(_Options):
    """`adm`: guided diffusion with its released weights; defaults: ImageNet at 256 px."""

    reals: ClassVar[Literal["pixels", "linked", "none"]] = "none"
    checkpoint: str = Field(min_length=1)
    """Path of the diffusion model's weights, e.g. `256x256_diffusion.pt`."""
    classifier: str | None = Field(None, min_length=1)
    """Path of weights of the classifier that guides it, e.g. `256x256_classifier.pt`; null: no guidance."""
    shape: UNetShape = UNetShape()
    """Of the diffusion model."""
    classifier_shape: UNetShape = UNetShape(channels=128)
    """Of the classifier, which is the descending half of such a U-Net."""
    conditional: bool = True
    """Whether the diffusion model itself is told the class."""
    classes: int = Field(1000, ge=1)
    schedule: Literal["linear", "cosine"] = "linear"

    @model_validator(mode="after")
    def _one_side(self) -> "AdmOptions":
        if self.classifier and self.shape.side != self.classifier_shape.side:
            raise ValueError(
                "the classifier sees the pictures as they are: classifier_shape.side must be shape.side, "
                f"{self.shape.side}, not {self.classifier_shape.side}"
            )
        return self


class GlideOptions(_Options):
    """`glide`: the released 64 px text-to-image model and its upsampler to 256 px."""

    reals: ClassVar[Literal["pixels", "linked", "none"]] = "none"
    base: str = Field(min_length=1)
    """Path of the 64 px model's weights, `base.pt`."""
    upsampler: str = Field(min_length=1)
    """Path of the upsampler's weights, `upsample.pt`."""
    merges: str = Field(min_length=1)
    """Path of the byte-pair merges, which are GPT-2's: `merges.txt`, also called `vocab.bpe`."""
    base_shape: UNetShape = UNetShape(side=64, channels=192, multipliers=(1, 2, 3, 4), depth=3)
    upsampler_shape: UNetShape = UNetShape(channels=192)
    context: int = Field(128, ge=1)
    """Tokens of a prompt; a longer one is cut off."""
    text_width: int = Field(512, ge=1)
    """Of the transformer that reads the prompt; each of the two models has its own."""
    text_depth: int = Field(16, ge=1)
    text_heads: int = Field(8, ge=1)
    upsampler_steps: Literal["fast27"] | Annotated[int, Field(ge=2, le=1000)] = "fast27"
    """Steps of the upsampler: so many, evenly, or the 27 that its authors chose."""
    temperature: float = Field(0.997, ge=0)
    """Deviation of the upsampler's noise: 1 is sharper, but can be grainy."""

    @model_validator(mode="after")
    def _heads_divide(self) -> "GlideOptions":
        if self.text_width % self.text_heads:
            raise ValueError(
                f"text_width {self.text_width} cannot be divided by text_heads {self.text_heads}"
            )
        return self


class VqdiffusionOptions(_Options):
    """`vqdiffusion`: microsoft/VQ-Diffusion's ImageNet model, by class; the defaults are its shapes."""

    reals: ClassVar[Literal["pixels", "linked", "none"]] = "none"
    checkpoint: str = Field(min_length=1)
    """Path of its training checkpoint, `imagenet_pretrained.pth` or `imagenet_learnable.pth`."""
    codes: str = Field(min_length=1)
    """Path of `taming_vqvae_974.pt`, from the help_folder of its repository: the codes that it uses."""
    decoder: str | None = None
    """Path of the decoder, `vqgan_imagenet_f16_16384.pth`; null takes the copy in the checkpoint."""
    empty_class: bool = False
    """Whether it has learnt what no class is, for guidance: true for `imagenet_learnable.pth`. Else
    guidance takes the mean of all class embeddings for it."""
    truncation: float = Field(0.86, gt=0, le=1)
    """Share of the likeliest codes that are drawn from; the authors take 0.94 with guidance 1.5."""
    classes: int = Field(1000, ge=1)
    tokens: int = Field(974, ge=2)
    """Codes that it uses, of all in the codebook."""
    side: int = Field(16, ge=1)
    """Rows and columns of tokens in a picture."""
    positions: int = Field(32, ge=1)
    """Rows and columns that have an embedding."""
    timesteps: int = Field(100, ge=2)
    """Steps that it was trained with."""
    width: int = Field(512, ge=1)
    depth: int = Field(24, ge=1)
    heads: int = Field(16, ge=1)
    expansion: int = Field(4, ge=1)
    codebook: int = Field(16384, ge=1)
    """Entries of the decoder's codebook."""
    embed: int = Field(256, ge=1)
    """Length of an entry."""
    latent: int = Field(256, ge=1)
    """Channels that the decoder starts from."""
    channels: Annotated[int, Field(ge=32, multiple_of=32)] = 128
    """Unit of the decoder's widths."""
    multipliers: tuple[int, ...] = Field((1, 1, 2, 2, 4), min_length=1)
    """Widths of the decoder's levels in that unit, the finest first; twice the side from one to the next."""
    blocks: int = Field(2, ge=1)
    """Residual blocks in a level of its encoder; its decoder has one more."""
    attention: tuple[int, ...] = (16,)
    """Sides of the decoder's feature maps that attend to themselves."""


OPTIONS: dict[str, type[_Options]] = {
    "dcgan": DcganOptions,
    "ddpm": DdpmOptions,
    "ldm": LdmOptions,
    "vqdm": VqdmOptions,
    "pretrained": PretrainedOptions,
    "reconstruction": ReconstructionOptions,
    "biggan": BigganOptions,
    "api": ApiOptions,
    "adm": AdmOptions,
    "glide": GlideOptions,
    "vqdiffusion": VqdiffusionOptions,
}
"""The kinds of generator, and what each can be told."""
