"""Random numbers that depend on what is drawn, never on order, worker or batch."""

import hashlib

import numpy as np


def derive_seed(*parts: str | int) -> int:
    """A 63-bit seed for one random choice, e.g. `derive_seed(benchmark_seed, "collect", image_id)`.

    Equal parts give equal seeds on every machine; parts are kept apart, so ("ab", "c") and
    ("a", "bc") differ.
    """
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def rng(*parts: str | int) -> np.random.Generator:
    """A NumPy generator seeded with `derive_seed(*parts)`."""
    return np.random.default_rng(derive_seed(*parts))
