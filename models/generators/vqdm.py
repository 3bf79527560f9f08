"""wip"""
import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import DiffusionPipeline, ImagePipelineOutput, SchedulerMixin, VQModel
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from assets.progress import counter
from models.generators.autoencoder import blocks, sharp_loss, spectrum_loss
from models.generators.training import Average, Batches, initialised_from, one_cycle


class ResBlock(nn.Module):
    """Two 3 x 3 convolutions around a shortcut; (B, C, H, W) in and out."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.GroupNorm(1, channels), nn.SiLU(), nn.Conv2d(channels, channels, 3, padding=1),
            nn.GroupNorm(1, channels), nn.SiLU(), nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class TransformerBlock(nn.Module):
    """Pre-norm self-attention and MLP; (B, T, D) in and out."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        b, t, d = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(b, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        x = x + self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, t, d))
        return x + self.mlp(self.norm2(x))


class TokenTransformer(ModelMixin, ConfigMixin):
    """Masked tokens (B, S, S) -> logits (B, S, S, K)"""

    @register_to_config
    def __init__(self, num_codes: int = 256, grid: int = 16, channels: int = 64, width: int = 128, depth: int = 3, heads: int = 4) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_codes + 1, channels)
        self.place = nn.Parameter(0.02 * torch.randn(1, channels, grid, grid))
        self.before = ResBlock(channels)
        self.down = nn.Conv2d(channels, width, 2, stride=2)
        self.blocks = nn.ModuleList([TransformerBlock(width, heads) for _ in range(depth)])
        self.up = nn.ConvTranspose2d(width, channels, 2, stride=2)
        self.after = nn.Sequential(ResBlock(channels), ResBlock(channels), nn.GroupNorm(1, channels), nn.SiLU())
        self.logits = nn.Conv2d(channels, num_codes, 1)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.before(self.embedding(tokens).permute(0, 3, 1, 2) + self.place)
        y = self.down(x)
        b, d, h, w = y.shape
        y = y.flatten(2).transpose(1, 2)
        for block in self.blocks:
            y = block(y)
        y = self.up(y.transpose(1, 2).reshape(b, d, h, w))
        return self.logits(self.after(x + y)).permute(0, 2, 3, 1)


class MaskScheduler(SchedulerMixin, ConfigMixin):
    """Parallel decoding of MaskGIT (Chang et al. 2022, arXiv 2202.04200, section 3.2)"""

    order = 1

    @register_to_config
    def __init__(self, num_codes: int = 256, temperature: float = 1.0, choice: float = 4.0) -> None:
        self.timesteps = torch.zeros(0)

    def set_timesteps(self, steps: int) -> None:
        self.timesteps = torch.arange(1, steps + 1) / steps

    def step(self, logits: Tensor, done: float, tokens: Tensor, generators) -> Tensor:
        """One round: sample all masked tokens, keep the surest"""
        b, h, w, k = logits.shape
        mask = tokens == self.config.num_codes
        noise = torch.stack([torch.rand(2, h, w, generator=g) for g in generators]).to(logits.device)
        logs = (logits.float() / self.config.temperature).log_softmax(-1)
        sums = logs.exp().cumsum(-1)
        drawn = torch.searchsorted(sums, (noise[:, 0] * sums[..., -1])[..., None]).squeeze(-1).clamp(max=k - 1)
        drawn = torch.where(mask, drawn, tokens)
        gumbel = -torch.log(-torch.log(noise[:, 1].clamp(1e-6, 1 - 1e-6)))
        sure = logs.gather(-1, drawn.clamp(max=k - 1)[..., None]).squeeze(-1) + self.config.choice * (1 - done) * gumbel
        sure = sure.masked_fill(~mask, float("inf")).flatten(1)
        hidden = int(h * w * math.cos(math.pi / 2 * done))
        if hidden == 0:
            return drawn
        least = sure.topk(hidden, dim=1, largest=False).indices
        return drawn.flatten(1).scatter(1, least, self.config.num_codes).view(b, h, w)


class TokenPipeline(DiffusionPipeline):
    def __init__(self, vqvae: VQModel, transformer: TokenTransformer, scheduler: MaskScheduler) -> None:
        super().__init__()
        self.register_modules(vqvae=vqvae, transformer=transformer, scheduler=scheduler)

    @torch.no_grad()
    def __call__(self, batch_size: int = 1, generator=None, num_inference_steps: int = 12, output_type: str = "pil", return_dict: bool = True):
        grid, mask = self.transformer.config.grid, self.transformer.config.num_codes
        tokens = torch.full((batch_size, grid, grid), mask, device=self._execution_device)
        self.scheduler.set_timesteps(num_inference_steps)
        for done in self.progress_bar(self.scheduler.timesteps.tolist()):
            tokens = self.scheduler.step(self.transformer(tokens), done, tokens, generator)
        width = self.vqvae.config.vq_embed_dim
        pixels = self.vqvae.decode(tokens, force_not_quantize=True, shape=(batch_size, grid, grid, width)).sample
        images = (pixels / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).float().cpu().numpy()
        return ImagePipelineOutput(images=self.numpy_to_pil(images) if output_type == "pil" else images)


def nearest(z, codes):
    """(B,D,H,W) -> (B,H,W)"""
    flat = z.permute(0, 2, 3, 1)
    d = codes.square().sum(1) - 2 * flat @ codes.T
    return d.argmin(-1)

def fit_vq(images, o, seed, device, log=None):
    b = Batches(images, seed, device)
    K, D = o['codes'], o['embed']
    with initialised_from(seed, "vq"):
        vq = VQModel(latent_channels=D, vq_embed_dim=D, sample_size=images.shape[1], num_vq_embeddings=K, scaling_factor=1.0, lookup_from_codebook=True, **blocks(o['vae_channels'])).to(device, memory_format=torch.channels_last)
    book = vq.quantize.embedding.weight.data
    opt = torch.optim.AdamW(vq.parameters(), o['vae_lr'], betas=(0.9, 0.99))
    S = o['vae_steps']; run = 0; warm = int(S * 0.25)
    counts = torch.ones(K); sums = None
    for step in range(S):
        one_cycle(opt, o['vae_lr'], step, S)
        x = b.draw(o['vae_batch'], 32)
        z = vq.encode(x).latents
        if step == warm:
            flat = z.detach().permute(0, 2, 3, 1).reshape(-1, D)
            book.copy_(flat[torch.randperm(len(flat), generator=b.generator)[:K]]); sums = book.clone()
        commit = 0.0
        q = z
        if step >= warm:
            idx = nearest(z.detach(), book)
            flat = z.detach().permute(0, 2, 3, 1).reshape(-1, D)
            one = F.one_hot(idx.flatten(), K).float()
            counts.mul_(0.95).add_(one.sum(0), alpha=0.05); sums.mul_(0.95).add_(one.T @ flat, alpha=0.05)
            book.copy_(sums / counts.clamp(min=1e-3)[:, None])
            dead = counts < 0.1 * counts.mean()
            n = int(dead.sum())
            if n and step < 0.8 * S:
                book[dead] = flat[torch.randperm(len(flat), generator=b.generator)[:n]]; counts[dead] = counts.mean() ; sums[dead] = book[dead] * counts.mean()
            e = F.embedding(idx, book).permute(0, 3, 1, 2)
            commit = (z - e).square().mean()
            q = z + (e - z).detach()
        y = vq.decode(q, force_not_quantize=True).sample if False else vq.decoder(vq.post_quant_conv(q))
        loss = sharp_loss(y, x) + o.get('spec', 1.0) * spectrum_loss(y, x) + o.get('commit',0.25) * commit
        opt.zero_grad(); loss.backward(); vq.quantize.embedding.weight.grad = None
        torch.nn.utils.clip_grad_norm_(vq.parameters(), 1.0); opt.step()
        run = 0.95 * run + 0.05 * loss.item() if step else loss.item()
        if log and (step % 50 == 0 or step == S - 1): log('vq', step, run, (y - x).abs().mean().item(), 'used', int((counts > 0.1 * counts.mean()).sum()))
    return vq

def fit(images, o, seed, device, log=None):
    vq = fit_vq(images, o, seed, device, log).eval()
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        tok = torch.cat([nearest(vq.encode(c.contiguous(memory_format=torch.channels_last)).latents, vq.quantize.embedding.weight) for y in (x, x.flip(3)) for c in y.split(32)])
    if log: log('tokens', tok.shape, 'used', len(tok.unique()))
    b = Batches(images, seed + 1, device); K = o['codes']
    with initialised_from(seed, "tokens"):
        net = TokenTransformer(K, tok.shape[-1], o['channels'], o['width'], o['depth'])
    avg = Average(net, 100)
    opt = torch.optim.AdamW(net.parameters(), o['lr'], betas=(0.9, 0.98), weight_decay=0.01)
    S = o['steps']; run = 0
    for step in range(S):
        one_cycle(opt, o['lr'], step, S)
        t = tok[b.integers(len(tok), o['batch'])]
        ratio = torch.cos(math.pi / 2 * (torch.arange(len(t)) + b.uniform(len(t))) / len(t))
        mask = b.uniform(*t.shape) < ratio[:, None, None].clamp(min=0.02)
        logits = net(t.masked_fill(mask, K))
        loss = F.cross_entropy(logits[mask], t[mask], label_smoothing=0.0)
        opt.zero_grad(); loss.backward(); torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0); opt.step(); avg.update(net)
        run = 0.98 * run + 0.02 * loss.item() if step else loss.item()
        if log and step % 50 == 0: log('tok', step, run)
    return TokenPipeline(vq, avg.model, MaskScheduler(K, choice=o.get('choice', 4.0))), tok
