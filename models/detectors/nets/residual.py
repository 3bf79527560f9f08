"""What is left of a picture when the nearest neighbour has been taken away."""

from torch import Tensor


def residual(values: Tensor) -> Tensor:
    """x - up(down(x)), both by nearest neighbour and a factor of 2: what is left of (B, C, H, W).

    An odd last row or column has no partner and is cut off.
    """
    even = values[..., : values.shape[-2] // 2 * 2, : values.shape[-1] // 2 * 2]
    corner = even[..., ::2, ::2]
    return even - corner.repeat_interleave(2, -2).repeat_interleave(2, -1)
