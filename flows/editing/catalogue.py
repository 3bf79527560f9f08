"""`assay add NAME`: the card of a generator or of a detector, whichever has that name."""

from pathlib import Path

from assets.errors import AssayError, did_you_mean
from models.detectors import card as detectors
from models.generators import card as generators


def add(
    root: Path,
    name: str,
    count: int | None = None,
    train: bool = False,
    revision: str | None = None,
    quick: bool = False,
    as_: str | None = None,
) -> list[str]:
    """Add what the card says to params.yaml; returns lines for the user.

    Raises:
        AssayError: no such card, an option that is for the other kind of card; see `flows.editing.adding` and
            `flows.editing.adding_detectors`. params.yaml is then as it was.
    """
    if name in generators.known_cards():
        from flows.editing.adding import add as add_generator

        if quick:
            raise AssayError(f"--quick is for detectors, and {name} is a generator")
        return add_generator(root, name, count, train, revision, as_)
    if name in detectors.known_cards():
        from flows.editing.adding_detectors import add_detector

        given = {"--count": count is not None, "--train": train, "--revision": revision is not None}
        if wrong := [option for option, is_given in given.items() if is_given]:
            raise AssayError(f"{wrong[0]} is for generators, and {name} is a detector")
        return add_detector(root, name, quick, as_)
    known = [*generators.known_cards(), *detectors.known_cards()]
    raise AssayError(f"there is no card '{name}'; {did_you_mean(name, known)}")
