"""The decoder of VQGAN (Esser et al. 2021, arXiv 2012.09841): codes to pictures, with its authors' names."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class CodeDecoder(nn.Module):
    """Codes (B, H, W), numbers of entries of the codebook, to pictures (B, 3, S, S), about in [-1, 1]."""

    def __init__(
        self,
        codebook: int,
        embed: int,
        latent: int,
        channels: int,
        multipliers: Sequence[int],
        blocks: int,
        attention: Sequence[int],
        side: int,
    ) -> None:
        """Build one.

        Args:
            codebook: entries, each of length `embed`.
            latent: channels that entries are projected to.
            channels, multipliers: the width of level i, the finest first, is channels * multipliers[i].
            blocks: residual blocks a level, besides the one that changes the width.
            attention: sides of the feature maps that attend to themselves.
            side: of the map of codes.
        """
        super().__init__()
        self.quantize = nn.ModuleDict({"embedding": nn.Embedding(codebook, embed)})
        self.post_quant_conv = nn.Conv2d(embed, latent, 1)
        widths = [channels * multiplier for multiplier in multipliers]
        self.decoder = Decoder(latent, widths, blocks, attention, side)

    def forward(self, codes: Tensor) -> Tensor:
        entries = self.quantize["embedding"](codes).permute(0, 3, 1, 2)
        return self.decoder(self.post_quant_conv(entries))


class Decoder(nn.Module):
    """Latents (B, C, H, W) to pictures, twice as large from level to level, the coarsest level first."""

    def __init__(
        self, latent: int, widths: Sequence[int], blocks: int, attention: Sequence[int], side: int
    ) -> None:
        super().__init__()
        width = widths[-1]
        self.conv_in = nn.Conv2d(latent, width, 3, padding=1)
        self.mid = nn.ModuleDict(
            {"block_1": Residual(width, width), "attn_1": Attention(width), "block_2": Residual(width, width)}
        )
        levels: list[nn.Module] = []
        for level in reversed(range(len(widths))):
            levels.insert(0, Level(width, widths[level], blocks + 1, side in attention, doubles=level > 0))
            width, side = widths[level], side * 2
        self.up = nn.ModuleList(levels)
        self.norm_out = _norm(width)
        self.conv_out = nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_in(x)
        for part in self.mid.values():
            x = part(x)
        for level in reversed(self.up):
            x = level(x)
        return self.conv_out(F.silu(self.norm_out(x)))


class Level(nn.Module):
    """Residual blocks at one side, each with attention behind it or none; then twice the side, or not."""

    def __init__(self, width: int, out: int, blocks: int, attends: bool, doubles: bool) -> None:
        super().__init__()
        self.block = nn.ModuleList(Residual(out if index else width, out) for index in range(blocks))
        self.attn = nn.ModuleList(Attention(out) for _ in range(blocks if attends else 0))
        self.doubles = doubles
        if doubles:
            self.upsample = nn.ModuleDict({"conv": nn.Conv2d(out, out, 3, padding=1)})

    def forward(self, x: Tensor) -> Tensor:
        for index, block in enumerate(self.block):
            x = block(x)
            if len(self.attn):
                x = self.attn[index](x)
        return self.upsample["conv"](F.interpolate(x, scale_factor=2.0)) if self.doubles else x


class Residual(nn.Module):
    """Two convolutions, added to what came in."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = _norm(width), _norm(out)
        self.conv1, self.conv2 = nn.Conv2d(width, out, 3, padding=1), nn.Conv2d(out, out, 3, padding=1)
        self.changes = width != out
        if self.changes:
            self.nin_shortcut = nn.Conv2d(width, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.norm2(h)))
        return h + (self.nin_shortcut(x) if self.changes else x)


class Attention(nn.Module):
    """Attention of all places of a map to each other, with one head, added to what came in."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = _norm(width)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(width, width, 1) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        normed = self.norm(x)
        query, key, value = (part(normed).flatten(2).transpose(1, 2) for part in (self.q, self.k, self.v))
        found = F.scaled_dot_product_attention(query[:, None], key[:, None], value[:, None])[:, 0]
        return x + self.proj_out(found.transpose(1, 2).unflatten(2, x.shape[2:]))


def first_of_each(numbers: Tensor, count: int) -> Tensor:
    """The first place in `numbers` (N,) of each of 0 to `count` - 1; N for one that is not there."""
    places = torch.arange(len(numbers))
    return torch.full((count,), len(numbers)).scatter_reduce(0, numbers, places, "amin")


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(32, channels, eps=1e-6)
