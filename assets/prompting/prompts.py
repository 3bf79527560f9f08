"""What generated images are to show: classes, captions, grammars; the same asks for the same seed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, overload

from assets.params import CLASS_SLOT, Prompts
from assets.prompting.captions import ordered_prompts
from assets.prompting.grammars import (
    FACE_NEGATIVE,
    PAINTING_NEGATIVE,
    PHOTO_NEGATIVE,
    PHOTO_SUFFIX,
    face,
    painting,
)
from assets.prompting.imagenet import CLASSES, class_name
from assets.seeds import derive_seed
from assets.splitting.groups import prompt_group


class Ask(NamedTuple):
    """What one image is to show."""

    prompt: str | None = None
    negative_prompt: str | None = None
    class_index: int | None = None
    class_name: str | None = None
    group: str | None = None
    """`prompt:...` where images of several generators share it (see assets/splitting/groups.py); None: its
    own."""


def asks(prompts: Prompts | None, count: int, seed: int, root: Path) -> Sequence[Ask]:
    """What the first `count` images of a generator are to show; a larger count only adds some.

    `imagenet`: classes in turn, so that the first images of any number are balanced; a class is called
    by the first of its synonyms (GenImage does not say which it took). `captions`, `lines` and
    `imaginet-photos` go through the file in an order of their own (`assets.prompting.captions`), and then
    again. `imaginet-paintings` and `imaginet-faces` fill in the paper's sentence
    (`assets.prompting.grammars`) by a hash of the image's number. Every generator of a benchmark is asked for
    the same in the same order.

    Raises:
        AssayError: a file that is not there, has another hash, or holds no prompts.
    """
    if prompts is None:
        return _Asks(count, _Turn((Ask(),)))
    match prompts.of:
        case "imagenet":
            listed = prompts.classes if prompts.classes is not None else range(CLASSES)
            return _Asks(count, _Turn(tuple(_class(index, prompts.template) for index in listed)))
        case "captions" | "lines":
            return _Asks(count, _Texts(ordered_prompts(prompts, seed, root)))
        case "imaginet-photos":
            captions = ordered_prompts(prompts, seed, root)
            return _Asks(count, _Texts(captions, f" {PHOTO_SUFFIX}", PHOTO_NEGATIVE))
        case "imaginet-paintings":
            return _Asks(count, _Grammar(painting, PAINTING_NEGATIVE, (seed, "prompts", "paintings")))
        case "imaginet-faces":
            return _Asks(count, _Grammar(face, FACE_NEGATIVE, (seed, "prompts", "faces")))
    raise AssertionError(f"a kind of prompts without a rule: {prompts.of}")


@dataclass(frozen=True)
class _Asks(Sequence[Ask]):
    """Asks that are made when they are looked at: a million take no memory."""

    length: int
    of: Callable[[int], Ask]

    def __len__(self) -> int:
        return self.length

    @overload
    def __getitem__(self, index: int) -> Ask: ...

    @overload
    def __getitem__(self, index: slice) -> list[Ask]: ...

    def __getitem__(self, index: int | slice) -> Ask | list[Ask]:
        if isinstance(index, slice):
            return [self.of(number) for number in range(self.length)[index]]
        return self.of(range(self.length)[index])


@dataclass(frozen=True)
class _Turn:
    """A few asks, in turn."""

    asks: tuple[Ask, ...]

    def __call__(self, number: int) -> Ask:
        return self.asks[number % len(self.asks)]


@dataclass(frozen=True)
class _Texts:
    """Texts in turn; the group is the text's, without what every prompt has in common."""

    texts: tuple[str, ...]
    suffix: str = ""
    negative: str | None = None

    def __call__(self, number: int) -> Ask:
        text = self.texts[number % len(self.texts)]
        return Ask(text + self.suffix, self.negative, group=prompt_group(text))


@dataclass(frozen=True)
class _Grammar:
    """Sentences by a hash of the image's number."""

    sentence: Callable[[int], str]
    negative: str
    origin: tuple[str | int, ...]

    def __call__(self, number: int) -> Ask:
        text = self.sentence(derive_seed(*self.origin, number))
        return Ask(text, self.negative, group=prompt_group(text))


def _class(index: int, template: str) -> Ask:
    name = class_name(index)
    return Ask(template.replace(CLASS_SLOT, name), None, index, name)
