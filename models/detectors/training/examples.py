"""The images that a detector learns from and is judged on."""

from dataclasses import dataclass

from assets.images.loader import Pictures


@dataclass(frozen=True)
class Examples:
    """Usable images by side; classes are numbered 0 for real, 1 + i for generator i."""

    pictures: Pictures
    generators: tuple[str, ...]
    """What the classes from 1 on are."""
    train: dict[str, int]
    """Image id -> class, sorted by id."""
    val: dict[str, int]

    def sources(self, reals: bool = True) -> tuple[list[str], ...]:
        """Training images by class; none are real where real images take no part."""
        found: tuple[list[str], ...] = tuple([] for _ in (None, *self.generators))
        for image, number in self.train.items():
            if number or reals:
                found[number].append(image)
        return found
