"""GPT-2's byte pairs (Radford et al. 2019), which GLIDE reads prompts in, from the file of merges alone.

The vocabulary follows from the merges: the 256 bytes in GPT-2's order, what each merge makes, and an end
token.
"""

import gzip
from pathlib import Path

from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel

from assets.errors import AssayError


class BytePairs:
    """Text in lower case to tokens."""

    def __init__(self, path: Path) -> None:
        """Read `merges.txt` (`vocab.bpe`), plain or gzipped.

        Raises:
            AssayError: it is no list of merges.
        """
        merges = _merges(path)
        words = [*_letters(), *(first + second for first, second in merges)]
        vocabulary = {word: index for index, word in enumerate(words)}
        try:
            self.tokenizer = Tokenizer(BPE(vocab=vocabulary, merges=merges))
        except Exception as error:  # the library has no class of its own for it
            raise AssayError(f"{path} is no list of byte-pair merges: {error}") from None
        self.tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)  # type: ignore[assignment]
        self.end = len(words)
        self.count = len(words) + 1

    def encode(self, text: str, length: int) -> tuple[list[int], list[bool]]:
        """The first `length` tokens of a text, filled up with end tokens, and which of them are its own."""
        tokens = self.tokenizer.encode(text.lower(), add_special_tokens=False).ids[:length]
        missing = length - len(tokens)
        return tokens + [self.end] * missing, [True] * len(tokens) + [False] * missing


def _letters() -> list[str]:
    """How GPT-2 writes each of the 256 bytes: the printable ones first, the others as letters from 256 on."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), 256)]
    return [chr(byte) for byte in printable] + [chr(256 + number) for number in range(256 - len(printable))]


def _merges(path: Path) -> list[tuple[str, str]]:
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise AssayError(f"{path} cannot be read as a list of byte-pair merges: {error}") from None
    lines = text.removesuffix("\n").split("\n")
    merges = []
    for number, line in enumerate(lines, start=1):
        if number == 1 and line.startswith("#version"):
            continue
        first, blank, second = line.partition(" ")
        if not (first and blank and second) or " " in second:
            raise AssayError(f"{path}, line {number}: {line[:40]!r} is no merge: two parts, a blank between")
        merges.append((first, second))
    return merges
