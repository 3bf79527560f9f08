"""The invisible watermarks that Stable Diffusion's own scripts write into the pixels.

The method is invisible-watermark's `dwtDct` (github.com/ShieldMnt/invisible-watermark at 580b0fb,
imwatermark/maxDct.py), read here with NumPy alone: in the half-size blue-difference plane, the largest value
of every 4 x 4 block but its first is brought to a quarter or to three quarters of a step of 36, which is one
bit; the bits repeat from block to block. Compression, resizing and cropping destroy it.
"""

import numpy as np

_STEP = 36.0
_LEAST_PIXELS = 256 * 256
"""Smaller pictures never get one."""
_FOUND = {"StableDiffusionV1": 0.75, "SDXL": 0.85}
"""Share of bits that must agree. Random bits do so in one of 400 and of 3 million pictures."""


def _bits_of(text: bytes) -> np.ndarray:
    return np.unpackbits(np.frombuffer(text, np.uint8)).astype(bool)


MARKS = {
    "StableDiffusionV1": _bits_of(b"StableDiffusionV1"),
    "SDXL": _bits_of((0b101100111110110010010000011110111011000110011110).to_bytes(6, "big")),
}
"""Name -> bits: CompVis/stable-diffusion scripts/txt2img.py; Stability-AI/generative-models, and diffusers'
StableDiffusionXLWatermarker."""


def watermark(pixels: np.ndarray) -> str | None:
    """The name of the watermark in (H, W, 3) uint8 RGB pixels; None if there is none that is known."""
    if pixels.shape[0] * pixels.shape[1] < _LEAST_PIXELS:
        return None
    blocks = _block_bits(pixels)
    for name, bits in MARKS.items():
        if agreement(blocks, bits) >= _FOUND[name]:
            return name
    return None


def agreement(blocks: np.ndarray, bits: np.ndarray) -> float:
    """Share of `bits` that a majority of the blocks which should bear them do; (N,) and (B,) bool."""
    turn = np.arange(len(blocks)) % len(bits)
    votes = np.bincount(turn, blocks, minlength=len(bits)) / np.bincount(turn, minlength=len(bits))
    return float(((votes * 255 > 127) == bits).mean())


def _block_bits(pixels: np.ndarray) -> np.ndarray:
    """(N,) bool: the bit of every 4 x 4 block, row by row."""
    height, width = (side // 4 * 4 for side in pixels.shape[:2])
    red, green, blue = (pixels[:height, :width, band].astype(np.float32) for band in range(3))
    luma = np.rint(0.299 * red + 0.587 * green + 0.114 * blue)
    plane = np.rint(0.492 * (blue - luma) + 128).clip(0, 255)
    half = (plane[0::2, 0::2] + plane[0::2, 1::2] + plane[1::2, 0::2] + plane[1::2, 1::2]) / 2
    rows, columns = half.shape[0] // 4, half.shape[1] // 4
    blocks = half[: rows * 4, : columns * 4].reshape(rows, 4, columns, 4).swapaxes(1, 2).reshape(-1, 16)
    largest = np.abs(blocks[:, 1:]).max(axis=1)
    bits: np.ndarray = largest % _STEP > _STEP / 2
    return bits
