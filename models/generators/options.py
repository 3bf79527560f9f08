"""What `fit.NAME.options` may hold for each kind of generator; the defaults suit the mini benchmark.

The defaults are made for about 900 crops of 64 x 64 pixels and 45 seconds of one core.
"""

from pydantic import BaseModel, ConfigDict, Field


class _Options(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DcganOptions(_Options):
    """`dcgan`: transposed convolutions against a spectrally normalised critic."""

    steps: int = Field(900, ge=1)
    """Training steps of the generator, each with one of the critic."""
    batch: int = Field(32, ge=2)
    """Images a step."""
    lr: float = Field(5e-4, gt=0)
    """Adam's learning rate, of both networks."""
    latent: int = Field(64, ge=1)
    """Length of the noise vector."""
    channels: int = Field(24, ge=1)
    """Channels of the layer below the picture; each coarser layer has twice as many."""
    average: int = Field(100, ge=1)
    """Steps over which the generator's weights are averaged."""
