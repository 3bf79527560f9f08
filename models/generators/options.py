"""What `fit.NAME.options` may hold for each kind of generator; the defaults suit the mini benchmark.

The defaults are made for about 900 crops of 64 x 64 pixels and 45 seconds of one core.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class _Options(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


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

    id: str = Field(min_length=1)
    """Hub id (`owner/name`) or the path of a folder in the layout of `save_pretrained`."""
    revision: str | None = Field(None, pattern=r"^[0-9a-f]{40}$")
    """Commit of the hub's repository, 40 hex digits: a branch or a tag can move. Not for a folder."""
    variant: str | None = None
    """Which of several sets of weights, e.g. `fp16`."""


OPTIONS: dict[str, type[BaseModel]] = {
    "dcgan": DcganOptions,
    "ddpm": DdpmOptions,
    "ldm": LdmOptions,
    "vqdm": VqdmOptions,
    "pretrained": PretrainedOptions,
}
"""The kinds of generator, and what each can be told."""
