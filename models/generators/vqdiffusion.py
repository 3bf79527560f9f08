"""VQ-Diffusion (Gu et al. 2021, arXiv 2111.14822) with its class-conditional ImageNet weights.

A transformer guesses the codes of a picture from partly masked ones, step by step (models.generators.
token_diffusion); a VQGAN's decoder makes the picture of them. Guidance (Tang et al. 2022, arXiv 2205.16007)
is 1 unless the sampler says otherwise. The official code runs all 100 steps; fewer follow the paper's
section 4.3.
"""

from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from assets.errors import AssayError
from assets.machine import make_repeatable
from assets.params import Sampler
from models.checkpoint import load_strictly, pinned_path, plain_state, read_whole
from models.generators import Drawn, Request
from models.generators.batches import HalvingBatches
from models.generators.nets.token_diffusion import (
    LEAST,
    Schedule,
    drawn,
    earlier_chances,
    guided,
    truncated,
)
from models.generators.nets.vqdiffusion_transformer import Transformer
from models.generators.nets.vqgan_decoder import CodeDecoder, first_of_each
from models.generators.options import VqdiffusionOptions
from models.generators.released import classes_of, only_takes, pinned, recorded, shown

NOT_LOADED = ("transformer.Lt_", "transformer.empty_text_embed", "content_codec.enc.")
"""What a checkpoint has for training alone: the history of losses, text without words, the encoder."""

NOT_LOADED_OF_VQGAN = ("encoder.", "quant_conv.", "loss.")
"""The same of a VQGAN's own file."""

NOISE_THREADS = 4

DECODER = "content_codec.dec."
"""Where a checkpoint keeps its copy of the decoder."""


class Diffusion(nn.Module):
    """The transformer and the tables of its noise, with the authors' names."""

    def __init__(self, options: VqdiffusionOptions) -> None:
        super().__init__()
        for name, table in Schedule(options.timesteps, options.tokens).tables().items():
            self.register_buffer(name, torch.zeros(table.shape))
        self.transformer = Transformer(
            codes=options.tokens,
            side=options.side,
            positions=options.positions,
            width=options.width,
            depth=options.depth,
            heads=options.heads,
            expansion=options.expansion,
            times=options.timesteps,
            classes=options.classes + options.empty_class,
        )

    def forward(self, tokens: Tensor, time: int, classes: Tensor) -> Tensor:
        """Log-probabilities (B, K, L) of the clean codes, in float32."""
        return self.transformer(tokens, time, classes).float().log_softmax(1).clamp(LEAST, 0.0)


def fit(images: np.ndarray, out: Path, options: VqdiffusionOptions, seed: int, device: str) -> dict[str, Any]:
    """Nothing is trained: note which weights they are, once they have been seen to fit.

    Raises:
        AssayError: a file is not there, damaged, or not of a model with these options.
    """
    paths = {"checkpoint": options.checkpoint, "codes": options.codes}
    found = pinned(paths if options.decoder is None else {**paths, "decoder": options.decoder})
    _load(options, found)
    return found


class VqdiffusionDrawer:
    """Draws from the released model, a class an image; it has no scheduler and no prompt."""

    def __init__(self, folder: Path, model: dict[str, Any], sampler: Sampler, device: str) -> None:
        make_repeatable()
        only_takes(sampler, "VQ-Diffusion", ("steps", "guidance"))
        options = self.options = VqdiffusionOptions.model_validate(model["options"])
        self.schedule = Schedule(options.timesteps, options.tokens)
        self.steps = options.timesteps if sampler.steps is None else sampler.steps
        if self.steps > options.timesteps:
            raise AssayError(
                f"sampler.steps is {self.steps}: VQ-Diffusion has 1 to {options.timesteps} steps"
            )
        self.guidance = 1.0 if sampler.guidance is None else sampler.guidance
        self.device, self.dtype = device, getattr(torch, sampler.dtype)
        self.batches = HalvingBatches(sampler.batch, "VQ-Diffusion")
        diffusion, decoder, entries = _load(options, model)
        self.diffusion = diffusion.to(device, self.dtype).to(memory_format=torch.channels_last)
        self.decoder = decoder.to(device, self.dtype).to(memory_format=torch.channels_last)
        self.entries = entries.to(device)
        self.record = recorded(folder, model, sampler, steps=self.steps, guidance=self.guidance)

    def draw(self, requests: Sequence[Request]) -> list[Drawn]:
        """One uint8 (S, S, 3) image per request: of its class, from noise of its own seed.

        Raises:
            AssayError: a request without a class, or with one that the weights do not know.
        """
        classes_of(requests, self.options.classes, "VQ-Diffusion")
        return self.batches.draw(requests, self._draw)

    @torch.no_grad()
    def _draw(self, requests: list[Request]) -> list[Drawn]:
        codes = self.entries[self._tokens(requests)].unflatten(1, (self.options.side, self.options.side))
        return shown(self.decoder(codes).float(), rounded=False)  # cut off, as the authors store them

    def _tokens(self, requests: list[Request]) -> Tensor:
        """(B, L) numbers below K, every image's drawn by numbers from its own generator."""
        options = self.options
        generators = [torch.Generator().manual_seed(request.seed) for request in requests]
        classes = torch.tensor(classes_of(requests, options.classes, "VQ-Diffusion"), device=self.device)
        tokens = torch.full((len(requests), options.side**2), options.tokens, device=self.device)
        shape = (options.tokens + 1, options.side**2)
        with closing(_uniform(shape, generators)) as noise:
            for later, earlier in pairwise(self.schedule.times(self.steps)):
                clean = self._clean(tokens, later, classes)
                chances = earlier_chances(self.schedule, clean, tokens, later, earlier)
                tokens = drawn(chances, next(noise).to(self.device))
        return tokens

    def _clean(self, tokens: Tensor, time: int, classes: Tensor) -> Tensor:
        """The guess (B, K, L) at the clean codes, with guidance and truncation."""
        if abs(self.guidance - 1) < 1e-3:  # as near as the authors have it
            guess = self.diffusion(tokens, time - 1, classes)
        else:
            both = torch.cat([classes, torch.full_like(classes, self.options.classes)])  # and of no class
            with_class, without = self.diffusion(tokens.repeat(2, 1), time - 1, both).chunk(2)
            guess = guided(with_class, without, self.guidance)
        return truncated(guess, self.options.truncation)


def open_drawer(folder: Path, model: dict[str, Any], sampler: Sampler, device: str) -> VqdiffusionDrawer:
    """Open the weights that `fit` noted."""
    return VqdiffusionDrawer(folder, model, sampler, device)


def _load(options: VqdiffusionOptions, noted: dict[str, Any]) -> tuple[Diffusion, CodeDecoder, Tensor]:
    """The model, its decoder, and the entry (K,) of the decoder's codebook that each token is."""
    path = pinned_path(noted, "checkpoint")
    state = _named(read_whole(path), path)
    diffusion, decoder = _built(options)
    own = {name: tensor for name, tensor in state.items() if not name.startswith((*NOT_LOADED, DECODER))}
    own = {name.removeprefix("transformer."): tensor for name, tensor in own.items()}
    load_strictly(diffusion, own, path, "VQ-Diffusion's class-conditional model")
    _check_tables(diffusion, options, path)
    if options.decoder is None:
        parts = {name.removeprefix(DECODER): state[name] for name in state if name.startswith(DECODER)}
        if not parts:
            raise AssayError(f"{path} has no copy of the decoder; name the VQGAN's own file as 'decoder'")
        load_strictly(decoder, parts, path, "VQ-Diffusion's decoder")
    else:
        place = pinned_path(noted, "decoder")
        whole = read_whole(place)
        parts = plain_state(whole.get("state_dict", whole) if isinstance(whole, Mapping) else whole, place)
        parts = {name: parts[name] for name in parts if not name.startswith(NOT_LOADED_OF_VQGAN)}
        load_strictly(decoder, parts, place, "a VQGAN")
    for network in (diffusion, decoder):
        network.eval().requires_grad_(False)
    return diffusion, decoder, _entries(options, pinned_path(noted, "codes"))


def _uniform(shape: tuple[int, ...], generators: list[torch.Generator]) -> Generator[Tensor, None, None]:
    """Numbers in [0, 1), (B, *shape), over and over; the next ones are drawn while the device computes.

    A step of 32 images takes eight million, which one thread of a CPU draws more slowly than a GPU uses them.
    """

    def one(generator: torch.Generator) -> Tensor:
        return torch.rand(shape, generator=generator)

    with ThreadPoolExecutor(NOISE_THREADS) as threads:
        ahead = threads.map(one, generators)
        while True:
            now = torch.stack(list(ahead))
            ahead = threads.map(one, generators)
            yield now


def _built(options: VqdiffusionOptions) -> tuple[Diffusion, CodeDecoder]:
    with torch.device("meta"):  # without drawing first weights
        diffusion = Diffusion(options)
        decoder = CodeDecoder(
            codebook=options.codebook,
            embed=options.embed,
            latent=options.latent,
            channels=options.channels,
            multipliers=options.multipliers,
            blocks=options.blocks,
            attention=options.attention,
            side=options.side,
        )
    return diffusion.to_empty(device="cpu"), decoder.to_empty(device="cpu")


def _named(whole: Any, path: Path) -> dict[str, Tensor]:
    """The state dict of the whole model: a training checkpoint's, with averaged weights where it has them."""
    if not isinstance(whole, Mapping) or not isinstance(whole.get("model"), Mapping):
        return plain_state(whole, path)
    average = plain_state(whole.get("ema", {}), path)
    return {**plain_state(whole["model"], path), **{f"transformer.{name}": average[name] for name in average}}


def _check_tables(diffusion: Diffusion, options: VqdiffusionOptions, path: Path) -> None:
    """Refuse weights that were trained with another schedule of noise than the one that is followed here."""
    stored = diffusion.state_dict()
    for name, table in Schedule(options.timesteps, options.tokens).tables().items():
        if not torch.allclose(stored[name], table, rtol=1e-3, atol=1e-6):
            raise AssayError(f"{path} has another schedule of noise than VQ-Diffusion's: see its {name}")


def _entries(options: VqdiffusionOptions, path: Path) -> Tensor:
    """The first entry of the codebook that stands for each token, as the authors decode it."""
    numbers = read_whole(path)
    good = isinstance(numbers, Tensor) and numbers.dtype == torch.int64
    if (
        not good
        or numbers.shape != (options.codebook,)
        or numbers.min() < 0
        or numbers.max() >= options.tokens
    ):
        raise AssayError(
            f"{path} does not say which token each of {options.codebook} codes is: expected as many whole "
            f"numbers from 0 to {options.tokens - 1}, as in taming_vqvae_974.pt"
        )
    entries = first_of_each(numbers, options.tokens)
    if (absent := (entries == len(numbers)).nonzero()).numel():
        raise AssayError(f"{path} has no code for token {absent[0].item()}")
    return entries
