"""The class-conditional transformer of VQ-Diffusion (arXiv 2111.14822, section 4.2), with its authors' names.

Tokens attend to each other; time scales and shifts what goes into the attention, and the class what goes into
the convolutions that follow it.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Transformer(nn.Module):
    """Tokens (B, L), a time below `times` and classes (B,) to logits (B, K, L) of the clean codes."""

    def __init__(
        self,
        codes: int,
        side: int,
        positions: int,
        width: int,
        depth: int,
        heads: int,
        expansion: int,
        times: int,
        classes: int,
    ) -> None:
        """Build one.

        Args:
            codes: K; token K is the mask.
            side: of the map of tokens, L = side * side, in rows.
            positions: rows and columns that have an embedding. The released model has 32 for 16 x 16 tokens
                and was trained to find token n at row n // 32 and column n % 32.
            expansion: channels between the two convolutions, in units of `width`.
            classes: embeddings; a class beyond them stands for no class, by the mean of all.
        """
        super().__init__()
        self.side, self.positions = side, positions
        self.content_emb = nn.ModuleDict(
            {
                "emb": nn.Embedding(codes + 1, width),
                "height_emb": nn.Embedding(positions, width),
                "width_emb": nn.Embedding(positions, width),
            }
        )
        self.blocks = nn.ModuleList(
            Block(side, width, heads, expansion, times, classes) for _ in range(depth)
        )
        self.to_logits = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, codes))

    def forward(self, tokens: Tensor, time: int, classes: Tensor) -> Tensor:
        places = torch.arange(self.side**2, device=tokens.device)
        rows = self.content_emb["height_emb"](places // self.positions)
        columns = self.content_emb["width_emb"](places % self.positions)
        x = self.content_emb["emb"](tokens) + (rows + columns)
        times = torch.full_like(classes, time)
        for block in self.blocks:
            x = block(x, times, classes)
        return self.to_logits(x).transpose(1, 2)


class Block(nn.Module):
    """Attention and convolutions, each added to what came in: (B, L, W) to the same shape."""

    def __init__(self, side: int, width: int, heads: int, expansion: int, times: int, classes: int) -> None:
        super().__init__()
        self.side = side
        self.ln1, self.ln2 = AdaptiveNorm(times, width), AdaptiveNorm(classes, width)
        self.attn = Attention(width, heads)
        self.mlp = nn.ModuleDict(
            {
                "conv1": nn.Conv2d(width, expansion * width, 3, padding=1),
                "conv2": nn.Conv2d(expansion * width, width, 3, padding=1),
            }
        )

    def forward(self, x: Tensor, times: Tensor, classes: Tensor) -> Tensor:
        x = x + self.attn(self.ln1(x, times))
        h = self.mlp["conv1"](self.ln2(x, classes).transpose(1, 2).unflatten(2, (self.side, self.side)))
        h = self.mlp["conv2"](h * torch.sigmoid(1.702 * h))  # close to GELU, and what it was trained with
        return x + h.flatten(2).transpose(1, 2)


class AdaptiveNorm(nn.Module):
    """Layer normalisation whose gain (around 1) and bias come from an embedding."""

    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        self.emb = nn.Embedding(count, width)
        self.linear = nn.Linear(width, 2 * width)

    def forward(self, x: Tensor, index: Tensor) -> Tensor:
        """`x` (B, L, W) by `index` (B,); the one after the last stands for their mean."""
        table = torch.cat([self.emb.weight, self.emb.weight.mean(0, keepdim=True)])
        scale, shift = self.linear(F.silu(F.embedding(index, table)))[:, None].chunk(2, dim=2)
        return F.layer_norm(x, x.shape[-1:]) * (1 + scale) + shift


class Attention(nn.Module):
    """Attention of all tokens to each other."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.key, self.query, self.value, self.proj = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (
            part(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        return self.proj(F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))
