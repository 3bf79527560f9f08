"""Vector-quantised diffusion: an autoencoder with a codebook, and discrete diffusion on its tokens.

The autoencoder is a VQ-VAE (van den Oord et al. 2017, arXiv 1711.00937). Its tokens are masked and unmasked
as in VQ-Diffusion (Gu et al. 2021, arXiv 2111.14822) with an absorbing mask only, many at a time as in
MaskGIT (Chang et al. 2022, arXiv 2202.04200).

The folder is a diffusers pipeline of our own class: VQModel, TokenTransformer, MaskScheduler.
"""

# diffusers loads its classes lazily, which hides their bases from mypy.
# mypy: disable-error-code="attr-defined,misc,operator"

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import DiffusionPipeline, ImagePipelineOutput, SchedulerMixin, VQModel
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from assets.machine import make_repeatable
from assets.progress import counter
from models.generators.fitting.autoencoder import picture_loss, shape_of
from models.generators.fitting.training import (
    Average,
    Batches,
    check_images,
    descend,
    initialised_from,
    mirrored_pairs,
    one_cycle,
)
from models.generators.options import VqdmOptions

HEADS = 4
UNQUANTISED = 0.25
"""Share of the autoencoder's steps before the codebook is made from its latents."""
FORGET = 0.05
"""Share of the codebook's running means that each batch replaces."""
DEAD = 0.1
"""A code that is used less than this share of the average is put where latents are."""


class ResBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut; (B, C, H, W) in and out."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.GroupNorm(1, channels),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.GroupNorm(1, channels),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class AttentionBlock(nn.Module):
    """Self-attention and a perceptron, each normalised before; (B, T, D) in and out."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        heads = self.qkv(self.norm1(x)).view(batch, length, 3, HEADS, width // HEADS)
        query, key, value = heads.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value).transpose(1, 2)
        x = x + self.out(mixed.reshape(batch, length, width))
        return x + self.mlp(self.norm2(x))


class TokenTransformer(ModelMixin, ConfigMixin):
    """Tokens (B, S, S), some of them masked (number K), to logits (B, S, S, K) of what they are.

    Attention at half the resolution between convolutions at the full one, as in U-ViT (Hoogeboom et al. 2023,
    arXiv 2301.11093): most of what a token is, its neighbours say.
    """

    @register_to_config
    def __init__(
        self, codes: int = 256, side: int = 16, channels: int = 64, width: int = 128, depth: int = 2
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(codes + 1, channels)
        self.place = nn.Parameter(torch.zeros(1, channels, side, side))
        self.before = ResBlock(channels)
        self.down = nn.Conv2d(channels, width, 2, stride=2)
        self.blocks = nn.ModuleList(AttentionBlock(width) for _ in range(depth))
        self.up = nn.ConvTranspose2d(width, channels, 2, stride=2)
        self.after = nn.Sequential(ResBlock(channels), ResBlock(channels), nn.GroupNorm(1, channels))
        self.logits = nn.Conv2d(channels, codes, 1)

    def forward(self, tokens: Tensor) -> Tensor:
        fine = self.before(self.embedding(tokens).permute(0, 3, 1, 2) + self.place)
        coarse = self.down(fine)
        sequence = coarse.flatten(2).transpose(1, 2)
        for block in self.blocks:
            sequence = block(sequence)
        coarse = sequence.transpose(1, 2).reshape(coarse.shape)
        return self.logits(self.after(fine + self.up(coarse))).permute(0, 2, 3, 1)

    @torch.no_grad()
    def start_from(self, codebook: Tensor) -> None:
        """Let codes (K, D) that are near each other in the codebook begin alike, going in and coming out."""
        standard = (codebook - codebook.mean(0)) / codebook.std(0)
        channels = self.embedding.weight.shape[1]
        spread = torch.randn(codebook.shape[1], channels) / codebook.shape[1] ** 0.5
        mapped = standard @ spread.to(codebook)
        self.embedding.weight[:-1] = mapped
        self.logits.weight.copy_(mapped[:, :, None, None] / channels**0.5)


class MaskScheduler(SchedulerMixin, ConfigMixin):
    """Which tokens stay masked after a round (Chang et al. 2022, section 3.2); its times are shares done."""

    order = 1

    @register_to_config
    def __init__(self, codes: int = 256, temperature: float = 4.0) -> None:
        self.timesteps = torch.zeros(0)

    def set_timesteps(self, num_inference_steps: int) -> None:
        """Set the rounds of a sampling."""
        self.timesteps = torch.arange(1, num_inference_steps + 1) / num_inference_steps

    def step(
        self, logits: Tensor, done: float, tokens: Tensor, generators: Sequence[torch.Generator]
    ) -> Tensor:
        """Draw every masked token, keep the surest ones; (B, S, S, K), (B, S, S) to (B, S, S).

        Sureness has Gumbel noise added, less with every round: without it all images would begin alike.
        """
        batch, side, _, codes = logits.shape
        noise = torch.stack([torch.rand(2, side, side, generator=g) for g in generators]).to(logits.device)
        chances = logits.float().softmax(-1)
        sums = chances.cumsum(-1)
        threshold = (noise[:, 0] * sums[..., -1])[..., None]
        drawn = torch.searchsorted(sums, threshold).clamp(max=codes - 1)
        sure = chances.gather(-1, drawn).clamp(min=1e-9).log().squeeze(-1)
        gumbel = -torch.log(-torch.log(noise[:, 1].clamp(1e-6, 1 - 1e-6)))
        masked = tokens == codes
        sure = (sure + self.config.temperature * (1 - done) * gumbel).masked_fill(~masked, math.inf)
        filled = torch.where(masked, drawn.squeeze(-1), tokens)
        stay = int(side * side * math.cos(math.pi / 2 * done))  # 0 in the last round, where done is 1
        least = sure.flatten(1).topk(stay, largest=False).indices
        return filled.flatten(1).scatter(1, least, codes).view(batch, side, side)


class TokenPipeline(DiffusionPipeline):
    """Unconditional sampling of tokens, then the decoder."""

    def __init__(self, vqvae: VQModel, transformer: TokenTransformer, scheduler: MaskScheduler) -> None:
        super().__init__()
        self.register_modules(vqvae=vqvae, transformer=transformer, scheduler=scheduler)

    @torch.no_grad()
    def __call__(
        self,
        batch_size: int = 1,
        generator: Sequence[torch.Generator] | None = None,
        num_inference_steps: int = 12,
        output_type: str = "pil",
    ) -> ImagePipelineOutput:
        """Draw `batch_size` images, each from its own CPU generator; `output_type` is `pil` or `np`."""
        generators = generator or [torch.Generator() for _ in range(batch_size)]
        side, codes = self.transformer.config.side, self.transformer.config.codes
        tokens = torch.full((batch_size, side, side), codes, device=self._execution_device)
        self.scheduler.set_timesteps(num_inference_steps)
        for done in self.progress_bar(self.scheduler.timesteps.tolist()):
            tokens = self.scheduler.step(self.transformer(tokens), done, tokens, generators)
        shape = (batch_size, side, side, self.vqvae.config.vq_embed_dim)
        pictures = self.vqvae.decode(tokens, force_not_quantize=True, shape=shape).sample
        images = (pictures / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).float().cpu().numpy()
        return ImagePipelineOutput(images=self.numpy_to_pil(images) if output_type == "pil" else images)


class Codebook:
    """Codes as running means of the latents nearest to them (van den Oord et al. 2017, appendix A.1)."""

    def __init__(self, codes: Tensor) -> None:
        """Take the codes (K, D) to keep up to date, in place."""
        self.codes = codes
        self.used = torch.ones(len(codes), device=codes.device)
        self.sums = codes.clone()

    def place(self, latents: Tensor, batches: Batches) -> None:
        """Begin with codes where latents (T, D) are."""
        self.codes.copy_(_some(latents, len(self.codes), batches))
        self.sums = self.codes.clone()

    def update(self, latents: Tensor, tokens: Tensor, batches: Batches) -> None:
        """Move codes to the latents (T, D) that chose them (tokens (T,)), idle codes to where latents are."""
        chosen = F.one_hot(tokens, len(self.codes)).to(latents.dtype)
        self.used.lerp_(chosen.sum(0), FORGET)
        self.sums.lerp_(chosen.T @ latents, FORGET)
        dead = self.used < DEAD * self.used.mean()
        self.sums[dead] = _some(latents, len(self.codes), batches)[dead]
        self.used[dead] = 1.0
        self.codes.copy_(self.sums / self.used[:, None])


def fit(images: np.ndarray, out: Path, options: VqdmOptions, seed: int, device: str) -> dict[str, Any]:
    """Train both parts on uint8 (N, S, S, 3) and write a TokenPipeline."""
    make_repeatable()
    side = check_images(images, multiple_of=max(16, 2 ** len(options.vae_channels)))
    batches = Batches(images, seed, device)
    autoencoder = _train_autoencoder(side, options, batches, seed)
    codebook = autoencoder.quantize.embedding.weight.detach()
    tokens = torch.cat([_tokens(autoencoder, part) for part in mirrored_pairs(images, device)])
    with initialised_from(seed, "vqdm", "transformer"):
        model = TokenTransformer(
            options.codes, tokens.shape[-1], options.channels, options.width, options.depth
        )
        model.start_from(codebook.cpu())
    model = _train_transformer(model.to(device), tokens, options, batches)
    scheduler = MaskScheduler(options.codes, options.temperature)
    TokenPipeline(autoencoder, model, scheduler).save_pretrained(out)
    return {}


def _train_autoencoder(side: int, options: VqdmOptions, batches: Batches, seed: int) -> Any:
    with initialised_from(seed, "vqdm", "autoencoder"):
        model = VQModel(
            latent_channels=options.embed,
            vq_embed_dim=options.embed,
            sample_size=side,
            num_vq_embeddings=options.codes,
            scaling_factor=1.0,
            lookup_from_codebook=True,
            **shape_of(options.vae_channels),
        ).to(batches.device, memory_format=torch.channels_last)
    model.quantize.requires_grad_(False)
    book = Codebook(model.quantize.embedding.weight)
    optimizer = torch.optim.AdamW(model.parameters(), options.vae_lr, betas=(0.9, 0.99))
    quantised_from = int(UNQUANTISED * options.vae_steps)
    with counter("fit vqdm: autoencoder", options.vae_steps, "steps") as bar:
        for step in range(options.vae_steps):
            one_cycle(optimizer, options.vae_lr, step, options.vae_steps)
            real = batches.draw(options.vae_batch, side // 2)
            latents = model.encode(real).latents
            if step == quantised_from:
                book.place(_flat(latents), batches)
            distance = latents.new_zeros(())
            if step >= quantised_from:
                latents, distance = _quantised(latents, book, batches)
            made = model.decoder(model.post_quant_conv(latents))
            descend(optimizer, model, picture_loss(made, real) + 0.25 * distance)
            bar.update()
    return model.eval()


def _quantised(latents: Tensor, book: Codebook, batches: Batches) -> tuple[Tensor, Tensor]:
    """The codes nearest to latents (B, D, H, W), with the latents' gradient, and their squared distance."""
    tokens = _nearest(latents.detach(), book.codes)
    codes = F.embedding(tokens, book.codes).permute(0, 3, 1, 2)
    book.update(_flat(latents), tokens.flatten(), batches)
    return latents + (codes - latents).detach(), (latents - codes).square().mean()


def _train_transformer(model: Any, tokens: Tensor, options: VqdmOptions, batches: Batches) -> Any:
    """Teach it to fill in masked tokens, from few to nearly all of them."""
    average = Average(model, options.average)
    optimizer = torch.optim.AdamW(model.parameters(), options.lr, betas=(0.9, 0.98), weight_decay=0.01)
    with counter("fit vqdm: transformer", options.steps, "steps") as bar:
        for step in range(options.steps):
            one_cycle(optimizer, options.lr, step, options.steps)
            target = tokens[batches.integers(len(tokens), options.batch).to(tokens.device)]
            shares = torch.cos(math.pi / 2 * batches.uniform(len(target), 1, 1))
            hidden = batches.uniform(*target.shape) < shares.clamp(min=0.02)
            hidden[:, 0, 0] |= ~hidden.flatten(1).any(1)  # the mean over no tokens is no number
            logits = model(target.masked_fill(hidden, options.codes))
            descend(optimizer, model, F.cross_entropy(logits[hidden], target[hidden]))
            average.update(model)
            bar.update()
    return average.model


@torch.no_grad()
def _tokens(autoencoder: Any, pictures: Tensor) -> Tensor:
    """Tokens (B, H, W) of pictures (B, 3, S, S)."""
    return _nearest(autoencoder.encode(pictures).latents, autoencoder.quantize.embedding.weight)


def _nearest(latents: Tensor, codes: Tensor) -> Tensor:
    """Numbers (B, H, W) of the codes (K, D) nearest to latents (B, D, H, W)."""
    distances = codes.square().sum(1) - 2 * latents.permute(0, 2, 3, 1) @ codes.T
    return distances.argmin(-1)


def _flat(latents: Tensor) -> Tensor:
    """(B, D, H, W) to (B * H * W, D), without gradient."""
    return latents.detach().permute(0, 2, 3, 1).flatten(0, 2)


def _some(latents: Tensor, count: int, batches: Batches) -> Tensor:
    """`count` of the latents (T, D), drawn with repeats."""
    return latents[batches.integers(len(latents), count).to(latents.device)]
