"""The U-Net of guided diffusion (Dhariwal & Nichol 2021, arXiv 2105.05233), which ADM and GLIDE share.

The time scales and shifts the second norm of every residual block; blocks halve and double the side;
attention looks at the map's own pixels and, in GLIDE (Nichol et al. 2021, arXiv 2112.10741), at a text's
states too. Parameters have the names of the released checkpoints, all of which are built this way. The trunk
may be of half precision; time embedding, norms and the last layer stay in float32, as the authors have it.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.generators.options import UNetShape

GROUPS = 32
"""Of every norm: each width is a multiple of it."""


class Norm(nn.GroupNorm):
    """Group normalisation, in float32 whatever comes in."""

    def __init__(self, channels: int) -> None:
        super().__init__(GROUPS, channels)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.float()).to(x.dtype)


class ResBlock(nn.Module):
    """Maps (B, C, H, W) and time (B, E) to maps (B, D, H, W); `scale` 2 doubles the side, 0.5 halves it."""

    def __init__(self, before: int, after: int, embedded: int, scale: float = 1) -> None:
        super().__init__()
        self.scale = scale
        self.in_layers = nn.Sequential(Norm(before), nn.SiLU(), nn.Conv2d(before, after, 3, padding=1))
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(embedded, 2 * after))
        self.out_layers = nn.Sequential(
            Norm(after),
            nn.SiLU(),
            nn.Identity(),  # dropout, in training
            nn.Conv2d(after, after, 3, padding=1),
        )
        self.skip_connection = nn.Identity() if before == after else nn.Conv2d(before, after, 1)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        norm, activation, convolution = self.in_layers
        hidden = convolution(self._resampled(activation(norm(x))))
        scale, shift = self.emb_layers(time).to(hidden.dtype)[:, :, None, None].chunk(2, dim=1)
        norm, *rest = self.out_layers
        hidden = norm(hidden) * (1 + scale) + shift
        for layer in rest:
            hidden = layer(hidden)
        return self.skip_connection(self._resampled(x)) + hidden

    def _resampled(self, x: Tensor) -> Tensor:
        if self.scale > 1:
            return F.interpolate(x, scale_factor=2, mode="nearest")
        return F.avg_pool2d(x, 2) if self.scale < 1 else x


class Attention(nn.Module):
    """Pixels of maps (B, C, H, W) look at each other and at states (B, context, T) of something else."""

    def __init__(self, channels: int, shape: UNetShape, context: int | None = None) -> None:
        super().__init__()
        self.heads = heads_of(channels, shape)
        self.qkv_first = shape.qkv_first
        self.norm = Norm(channels)
        self.qkv = nn.Conv1d(channels, 3 * channels, 1)
        self.proj_out = nn.Conv1d(channels, channels, 1)
        if context is not None:
            self.encoder_kv = nn.Conv1d(context, 2 * channels, 1)

    def forward(self, x: Tensor, states: Tensor | None = None) -> Tensor:
        query, key, value = split_heads(self.qkv(self.norm(x.flatten(2))), 3, self.heads, self.qkv_first)
        if states is not None:
            other_key, other_value = split_heads(self.encoder_kv(states), 2, self.heads)
            key, value = torch.cat([other_key, key], -1), torch.cat([other_value, value], -1)
        return x + self.proj_out(attended(query, key, value)).view_as(x)


class AttentionPool(nn.Module):
    """Maps (B, C, S, S) to (B, classes): what their mean sees in them (Radford et al. 2021, 2103.00020)."""

    def __init__(self, channels: int, side: int, shape: UNetShape, classes: int) -> None:
        super().__init__()
        self.heads = heads_of(channels, shape)
        self.positional_embedding = nn.Parameter(torch.zeros(channels, side**2 + 1))
        self.qkv_proj = nn.Conv1d(channels, 3 * channels, 1)
        self.c_proj = nn.Conv1d(channels, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(2)
        x = torch.cat([x.mean(-1, keepdim=True), x], -1) + self.positional_embedding
        pooled = attended(*split_heads(self.qkv_proj(x), 3, self.heads, qkv_first=True))
        return self.c_proj(pooled)[:, :, 0]


class Block(nn.ModuleList):
    """Layers in a row, each given what it takes of time and states."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__(layers)

    def forward(self, x: Tensor, time: Tensor, states: Tensor | None = None) -> Tensor:
        for layer in self:
            if isinstance(layer, ResBlock):
                x = layer(x, time)
            else:
                x = layer(x, states) if isinstance(layer, Attention) else layer(x)
        return x


class Encoder(nn.Module):
    """The descending half and the middle: what the U-Net and the classifier of noisy pictures share."""

    def __init__(self, shape: UNetShape, inputs: int, context: int | None = None) -> None:
        super().__init__()
        self.shape = shape
        self.dtype = torch.float32
        self.embedded = 4 * shape.channels
        self.time_embed = nn.Sequential(
            nn.Linear(shape.channels, self.embedded), nn.SiLU(), nn.Linear(self.embedded, self.embedded)
        )
        widths = widths_of(shape)
        width, side = widths[0], shape.side
        self.input_blocks = nn.ModuleList([Block(nn.Conv2d(inputs, width, 3, padding=1))])
        self.left = [width]  # channels of the maps that the ascending half picks up
        for level, wanted in enumerate(widths):
            if level:
                self.input_blocks.append(Block(ResBlock(width, width, self.embedded, scale=0.5)))
                self.left.append(width)
                side //= 2
            for _ in range(shape.depth):
                self.input_blocks.append(self._block(width, wanted, side, context))
                width = wanted
                self.left.append(width)
        self.middle_block = Block(
            ResBlock(width, width, self.embedded),
            Attention(width, shape, context),
            ResBlock(width, width, self.embedded),
        )
        self.lowest = side

    def _block(self, before: int, after: int, side: int, context: int | None) -> Block:
        block = Block(ResBlock(before, after, self.embedded))
        if side in self.shape.attention:
            block.append(Attention(after, self.shape, context))
        return block

    def embed(self, steps: Tensor) -> Tensor:
        """Steps (B,) of the diffusion to (B, E) float32."""
        return self.time_embed(sinusoids(steps, self.shape.channels))

    def descend(self, x: Tensor, time: Tensor, states: Tensor | None) -> tuple[Tensor, list[Tensor]]:
        """The map in the middle, and those passed on the way."""
        x, passed = x.to(self.dtype), []
        for block in self.input_blocks:
            x = block(x, time, states)
            passed.append(x)
        return self.middle_block(x, time, states), passed

    def trunk_to(self, dtype: torch.dtype) -> None:
        """Compute the blocks' convolutions, most of the work, in another precision."""
        self.dtype = dtype
        for name, layer in self.named_modules():
            if "_block" in name and isinstance(layer, nn.Conv1d | nn.Conv2d):
                layer.to(dtype)


class UNet(Encoder):
    """Noisy pictures (B, inputs, S, S) to their noise and its variance's place, (B, 6, S, S) float32."""

    def __init__(
        self, shape: UNetShape, inputs: int = 3, classes: int | None = None, context: int | None = None
    ) -> None:
        super().__init__(shape, inputs, context)
        if classes is not None:
            self.label_emb = nn.Embedding(classes, self.embedded)
        widths = widths_of(shape)
        left, width, side = list(self.left), widths[-1], self.lowest
        self.output_blocks = nn.ModuleList()
        for level, wanted in reversed(list(enumerate(widths))):
            for _ in range(shape.depth + 1):
                self.output_blocks.append(block := self._block(width + left.pop(), wanted, side, context))
                width = wanted
            if level:
                block.append(ResBlock(width, width, self.embedded, scale=2))
                side *= 2
        self.out = nn.Sequential(Norm(width), nn.SiLU(), nn.Conv2d(width, 6, 3, padding=1))

    def forward(
        self, x: Tensor, steps: Tensor, added: Tensor | None = None, states: Tensor | None = None
    ) -> Tensor:
        """Args: added: (B, E), joins the time: a class, a text's summary. states: (B, context, T)."""
        time = self.embed(steps)
        if added is not None:
            time = time + added.to(time)
        hidden, passed = self.descend(x, time, states)
        for block in self.output_blocks:
            hidden = block(torch.cat([hidden, passed.pop()], dim=1), time, states)
        return self.out(hidden.to(x.dtype))


class Classifier(Encoder):
    """Noisy pictures (B, 3, S, S) to logits (B, classes)."""

    def __init__(self, shape: UNetShape, classes: int) -> None:
        super().__init__(shape, inputs=3)
        width = widths_of(shape)[-1]
        self.out = nn.Sequential(Norm(width), nn.SiLU(), AttentionPool(width, self.lowest, shape, classes))

    def forward(self, x: Tensor, steps: Tensor) -> Tensor:
        hidden, _ = self.descend(x, self.embed(steps), None)
        return self.out(hidden.to(x.dtype))


def widths_of(shape: UNetShape) -> list[int]:
    """Channels of every level."""
    return [int(shape.channels * multiplier) for multiplier in shape.multipliers]


def heads_of(channels: int, shape: UNetShape) -> int:
    """Number of heads that attend over maps of so many channels."""
    return shape.heads if shape.head_channels is None else channels // shape.head_channels


def split_heads(joint: Tensor, parts: int, heads: int, qkv_first: bool = False) -> tuple[Tensor, ...]:
    """(B, parts * C, T) to `parts` tensors (B, heads, C / heads, T).

    Checkpoints differ in which comes first along the channels: the heads, or query, key and value.
    """
    count, _, length = joint.shape
    if qkv_first:
        return joint.reshape(count, parts, heads, -1, length).unbind(1)
    return joint.reshape(count, heads, parts, -1, length).unbind(2)


def attended(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention over (B, heads, C, T), joined to (B, heads * C, T)."""
    query, key, value = (
        x.transpose(2, 3).contiguous() for x in (query, key, value)
    )  # for torch's fast kernels
    found = F.scaled_dot_product_attention(query, key, value)
    return found.transpose(2, 3).flatten(1, 2)


def sinusoids(steps: Tensor, size: int) -> Tensor:
    """Steps (B,) to (B, size): cosines, then sines, of wavelengths from 2 pi to 20,000 pi."""
    half = size // 2
    rates = torch.exp(-math.log(10_000) * torch.arange(half, dtype=torch.float32) / half)
    angles = steps[:, None].float() * rates.to(steps.device)
    return torch.cat([angles.cos(), angles.sin()], dim=-1)
