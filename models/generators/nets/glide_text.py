"""A U-Net that reads a prompt first, with the transformer of GLIDE (Nichol et al. 2021, arXiv 2112.10741).

Its last state, where the text's end is padded to, joins the time embedding; all its states are attended over
by every attention block. No mask: places without text hold learnt embeddings of their own.
"""

import torch
from torch import Tensor, nn

from models.generators.nets.unet import UNet, attended, split_heads
from models.generators.options import GlideOptions, UNetShape


class LayerNorm(nn.LayerNorm):
    """Layer normalisation, in float32 whatever comes in."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.float()).to(x.dtype)


class SelfAttention(nn.Module):
    """States (B, T, C) look at each other."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.c_qkv = nn.Linear(width, 3 * width)
        self.c_proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        joint = self.c_qkv(x).transpose(1, 2)
        return self.c_proj(attended(*split_heads(joint, 3, self.heads)).transpose(1, 2))


class Feed(nn.Module):
    """Each state by itself, through a layer four times as wide."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.c_fc = nn.Linear(width, 4 * width)
        self.gelu = nn.GELU()
        self.c_proj = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.c_proj(self.gelu(self.c_fc(x)))


class TextBlock(nn.Module):
    """Attention, then feed-forward, each added to what came in."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attn, self.ln_1 = SelfAttention(width, heads), LayerNorm(width)
        self.mlp, self.ln_2 = Feed(width), LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class TextUNet(UNet):
    """The U-Net, with `read` for the prompts that it is called with."""

    def __init__(self, shape: UNetShape, options: GlideOptions, vocabulary: int, inputs: int = 3) -> None:
        width = options.text_width
        super().__init__(shape, inputs, context=width)
        blocks = [TextBlock(width, options.text_heads) for _ in range(options.text_depth)]
        self.transformer = nn.ModuleDict({"resblocks": nn.Sequential(*blocks)})
        self.final_ln = LayerNorm(width)
        self.token_embedding = nn.Embedding(vocabulary, width)
        self.positional_embedding = nn.Parameter(torch.zeros(options.context, width))
        self.padding_embedding = nn.Parameter(torch.zeros(options.context, width))
        self.transformer_proj = nn.Linear(width, self.embedded)

    def read(self, tokens: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens (B, T), and where they are a text's own, to its summary (B, E) and states (B, width, T)."""
        embedded = self.token_embedding(tokens) + self.positional_embedding
        embedded = torch.where(own[..., None], embedded, self.padding_embedding)
        states = self.final_ln(self.transformer["resblocks"](embedded.to(self.dtype)))
        return self.transformer_proj(states[:, -1]), states.transpose(1, 2)

    def trunk_to(self, dtype: torch.dtype) -> None:
        """Compute convolutions and the transformer in another precision."""
        super().trunk_to(dtype)
        for layer in (*self.transformer.modules(), self.transformer_proj, self.token_embedding):
            if isinstance(layer, nn.Linear | nn.Embedding):
                layer.to(dtype)
