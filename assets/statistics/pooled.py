"""Cells over the test images of several generators together: a group, a content, classes seen or not."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from assets.params import CONTENTS, Params
from assets.statistics.cells import CLASSES, CONTENT, GROUP, SEEN, UNSEEN, Cell, GroupDraws, Part, cells_of
from assets.statistics.scores import Scores

Chosen = Callable[[Scores], NDArray[np.bool_]]
"""Which of a set's images count, (N,)."""


def pooled_cells(
    real: Scores,
    generated: Mapping[str, Scores],
    draws: GroupDraws,
    params: Params,
    answered: Mapping[str, frozenset[str]] = {},
    seen_classes: Mapping[str, frozenset[str]] = {},
    seen_contents: Mapping[str, frozenset[str]] = {},
) -> list[Cell]:
    """All pooled cells (`assets.statistics.cells.POOLED`) of what was trained on one source, one a seed.

    Args:
        generated: generator -> what was said of its images.
        answered: generator -> the real images that count for it; all, if it is not there.
        seen_classes, seen_contents: trained_on -> what its training images show.
    """
    trained_on = real.trained_on

    def cells(
        kind: str, name: str, generators: Sequence[str], chosen: Chosen, seen: Callable[[str], bool | None]
    ) -> list[Cell]:
        parts = [Part(generated[generator], chosen(generated[generator])) for generator in generators]
        against = Part(real, _answering(real, generators, answered) & chosen(real))
        return cells_of((kind, name), against, parts, draws, seen)

    out: list[Cell] = []
    for name, members in params.report.groups.items():
        out += cells(GROUP, name, members, _everything, _any_seen(params, trained_on, members))
    every = tuple(generated)
    contents = [name for name in CONTENTS if any((one.contents == name).any() for one in generated.values())]
    for name in contents if len(contents) > 1 else ():
        known = seen_contents.get(trained_on)
        seen = None if known is None else name in known
        out += cells(CONTENT, name, every, _shows(name), _always(seen))
    if (classes := seen_classes.get(trained_on)) is not None:
        trained = [name for name in params.sources.get(trained_on, ()) if name in generated]
        for name in (SEEN, UNSEEN):
            out += cells(CLASSES, name, trained, _of_classes(classes, name == SEEN), _always(name == SEEN))
    return out


def _answering(
    real: Scores, generators: Sequence[str], answered: Mapping[str, frozenset[str]]
) -> NDArray[np.bool_]:
    """(N,) the real images that count for any of these generators."""
    if any(name not in answered for name in generators):
        return real.which(None)
    return real.which(frozenset().union(*(answered[name] for name in generators)))


def _any_seen(params: Params, trained_on: str, members: Sequence[str]) -> Callable[[str], bool | None]:
    def seen(detector: str) -> bool | None:
        each = [params.seen(detector, trained_on, name) for name in members]
        return None if None in each else any(each)

    return seen


def _always(seen: bool | None) -> Callable[[str], bool | None]:
    return lambda detector: seen


def _everything(scores: Scores) -> NDArray[np.bool_]:
    return scores.which(None)


def _shows(content: str) -> Chosen:
    return lambda scores: np.asarray(scores.contents == content, bool)


def _of_classes(classes: frozenset[str], among: bool) -> Chosen:
    """Images whose class is known and among these; or is not."""

    def chosen(scores: Scores) -> NDArray[np.bool_]:
        here = np.array(
            [name is not None and (name in classes) is among for name in scores.class_names], bool
        )
        return here

    return chosen
