"""Groups that several generators share: images asked for with the same words belong together."""

import hashlib

SHARED = "prompt:"
"""Groups whose names begin so occur in several generators and need a side of the split that all agree on."""


def prompt_group(text: str) -> str:
    """The group of all images that were asked for with this text, whatever drew them."""
    return SHARED + hashlib.blake2b(text.encode("utf-8", "backslashreplace"), digest_size=8).hexdigest()
