"""What `fit.NAME.options` may hold for each kind of generator; the defaults suit the mini benchmark.

The defaults are made for about 900 crops of 64 x 64 pixels and 45 seconds of one core.
"""

from pydantic import BaseModel, ConfigDict, Field


class _Options(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


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
    "pretrained": PretrainedOptions,
}
"""The kinds of generator, and what each can be told."""
