"""Choosing the images of a training sample: fewer of them, of fewer classes, or alike in both classes.

Choices are nested: what is taken first is the same whether few or many are taken, and adding a generator
changes nothing among the images of the others.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from assets.detection import Sample
from assets.errors import AssayError
from assets.images.loader import read_side
from assets.params import REAL, Params
from assets.seeds import derive_seed

SIDES = ("train", "val")
UNKNOWN = "unknown"
"""A class or a content that no manifest names."""


class Step(NamedTuple):
    """What was left after one choice."""

    what: str
    """In words."""
    images: dict[str, dict[str, int]]
    """Side -> item (`real` or a generator) -> images."""


def choose(
    rows: pd.DataFrame, sample: Sample, generators: Sequence[str], seed: int, where: str
) -> tuple[pd.DataFrame, list[Step]]:
    """The images of a sample, in the order of `rows`, and how many every choice left.

    `contents`, `classes`, `real_sides`, `real_quality` and `balance` hold for train and val; `images` and
    `per_class` for train alone, with as many real images as generated ones of every content, or of every
    class. Where there are fewer than are asked for, all of them are taken.

    Args:
        rows: candidates, train and val, with `id`, `generator` (`real` or a name), `side`, `content`,
            `class_name`, `width`, `height` and `jpeg_quality`.
        seed: of the benchmark; where: the sample's place in the parameters, for messages.
    Raises:
        AssayError: more classes are asked for than there are; nothing is left of an item that is needed.
    """
    items = (REAL, *generators)
    left = rows.assign(
        class_name=rows["class_name"].fillna(UNKNOWN),
        content=rows["content"].fillna(UNKNOWN),
        real=rows["generator"] == REAL,
    )
    steps = [Step("in the splits", _counts(left, items))]
    for what, rule in _rules(sample, seed, where):
        left = left[rule(left)]
        steps.append(Step(what, _counts(left, items)))
    _refuse_empty(steps, items, where)
    return rows.loc[left.index], steps


def shortfalls(sample: Sample, steps: Sequence[Step]) -> list[str]:
    """Where fewer training images were found than were asked for, a sentence each."""
    there = dict(steps[-1].images["train"])
    real, generated = there.pop(REAL), sum(there.values())
    lines = []
    if sample.images is not None and generated < sample.images:
        lines.append(f"{sample.images:,} generated images are asked for, and there are {generated:,}")
    if (sample.images is not None or sample.per_class is not None) and real < generated:
        lines.append(f"beside {generated:,} generated images there are {real:,} real ones")
    return lines


def summary(rows: pd.DataFrame, generators: Sequence[str], steps: Sequence[Step] = ()) -> dict[str, Any]:
    """What a pool holds: `images` by side and item, `contents` and `classes` by side, name and label.

    With `steps`, what every choice left. A class or content that no manifest names is `unknown`.
    """
    items = [*([REAL] if (rows["generator"] == REAL).any() else []), *generators]
    return {
        "generators": list(generators),
        "images": _counts(rows, items),
        "contents": _tally(rows, "content"),
        "classes": _tally(rows, "class_name"),
        "steps": [step._asdict() for step in steps],
    }


def seen_classes(root: Path, params: Params, name: str) -> frozenset[str]:
    """Names of the classes that a sample with `classes` takes, from the splits alone."""
    sample = params.train.samples[name]
    assert sample.classes is not None
    rows = pd.concat([_split_rows(root, item) for item in (REAL, *params.pooled[name])], ignore_index=True)
    if params.split.reals != "all" and not sample.balance:
        rows = rows[(rows["generator"] != REAL) | rows["id"].isin(rows["pair_id"])]
    if sample.contents is not None:
        rows = rows[rows["content"].isin(sample.contents)]
    rows = rows.assign(class_name=rows["class_name"].fillna(UNKNOWN), real=rows["generator"] == REAL)
    return frozenset(_first(rows, sample.classes, params.seed, f"train.samples.{name}"))


def seen_contents(root: Path, params: Params, name: str) -> frozenset[str]:
    """What the generated training images of a generator, a set or a sample show, from the splits alone."""
    sample = params.train.samples.get(name)
    rows = pd.concat(
        [read_side(root / "artifacts" / "split" / item, "train") for item in params.sources[name]]
    )
    found = frozenset(rows["content"].dropna())
    return found if sample is None or sample.contents is None else found & {*sample.contents}


def _split_rows(root: Path, item: str) -> pd.DataFrame:
    """Train and val rows of the split of an item."""
    folder = root / "artifacts" / "split" / item
    rows = pd.concat([read_side(folder, side) for side in SIDES], ignore_index=True)
    return rows.assign(generator=item)


def _rules(sample: Sample, seed: int, where: str) -> Iterator[tuple[str, Any]]:
    """The choices that a sample asks for, in order: words, and rows -> which of them are kept."""
    if sample.contents is not None:
        contents = sample.contents
        yield f"of content {' or '.join(contents)}", lambda rows: rows["content"].isin(contents)
    if sample.classes is not None:
        count = sample.classes
        words = f"of {count} class{'es' if count > 1 else ''}"
        yield words, lambda rows: rows["class_name"].isin(_first(rows, count, seed, where))
    if sample.real_sides is not None:
        low, high = sample.real_sides
        words = f"with real sides of {low} to {high} pixels"
        yield words, lambda rows: ~rows["real"] | _both_between(rows, low, high)
    if sample.real_quality is not None:
        quality = sample.real_quality
        yield f"with a real JPEG quality of {quality}", lambda rows: ~rows["real"] | _is(rows, quality)
    if sample.balance:
        yield "in balance class by class", lambda rows: _balanced(rows, seed)
    if sample.images is not None:
        images = sample.images
        yield f"with {images} generated for training", lambda rows: _so_many(rows, images, seed)
    if sample.per_class is not None:
        each = sample.per_class
        yield f"with {each} a class and generator for training", lambda rows: _of_each(rows, each, seed)


def _first(rows: pd.DataFrame, count: int, seed: int, where: str) -> list[str]:
    """The first so many names of classes, in hash order, that have real and generated training images."""
    train = rows[rows["side"] == "train"]
    both = set(train.loc[train["real"], "class_name"]) & set(train.loc[~train["real"], "class_name"])
    names = sorted(both - {UNKNOWN}, key=lambda name: derive_seed(seed, "sample", "class", name))
    if len(names) < count:
        raise AssayError(
            f"{where}.classes is {count}, and {len(names)} classes have a name and both real and generated "
            "training images: ask for no more, or import images with their classes"
        )
    return names[:count]


def _balanced(rows: pd.DataFrame, seed: int) -> pd.Series:
    """Of every class on a side as many real images as generated ones; these evenly over generators."""
    place = _places(rows, seed, ["side", "class_name", "real"], ["generator"])
    there = rows.groupby(["side", "class_name", "real"]).size().unstack(fill_value=0)
    least = there.reindex(columns=[False, True], fill_value=0).min(axis=1)
    wanted = rows[["side", "class_name"]].join(least.rename("least"), on=["side", "class_name"])["least"]
    return place < wanted


def _so_many(rows: pd.DataFrame, images: int, seed: int) -> pd.Series:
    """So many generated training images, evenly over generators, contents and classes; reals by content."""
    train = rows[rows["side"] == "train"]
    generated = train[~train["real"]]
    place = _places(generated, seed, ["side"], ["generator", "content", "class_name"])
    taken = generated[place < images]
    real = _beside(train, taken, "content", ["class_name"], seed)
    return (rows["side"] != "train") | rows.index.isin(taken.index) | rows.index.isin(real.index)


def _of_each(rows: pd.DataFrame, each: int, seed: int) -> pd.Series:
    """So many training images of every class of every generator; of every class as many real ones."""
    train = rows[rows["side"] == "train"]
    generated = train[~train["real"]]
    taken = generated[_places(generated, seed, ["generator", "class_name"], []) < each]
    real = _beside(train, taken, "class_name", [], seed)
    return (rows["side"] != "train") | rows.index.isin(taken.index) | rows.index.isin(real.index)


def _beside(train: pd.DataFrame, taken: pd.DataFrame, kind: str, over: list[str], seed: int) -> pd.DataFrame:
    """As many real images as generated ones were taken, of every value of the column `kind`.

    Where it is not known of a generated image what kind it is of, any real ones, as many as all together.
    """
    reals = train[train["real"]]
    if (taken[kind] == UNKNOWN).any():
        return reals[_places(reals, seed, ["side"], [kind, *over]) < len(taken)]
    wanted = reals[kind].map(taken[kind].value_counts()).astype(float).fillna(0)
    return reals[_places(reals, seed, [kind], over) < wanted]


def _places(rows: pd.DataFrame, seed: int, within: list[str], over: list[str]) -> pd.Series:
    """The place of every row, from 0, in the order in which images are taken.

    Args:
        within: columns; rows that agree in them are one line.
        over: columns; a line goes round the values of the first in turn, among the images of one value
            round those of the second, and so on. Images that agree in all come in the order of a hash.
    """
    line = rows[list(dict.fromkeys(["id", *within, *over]))].assign(
        key=[derive_seed(seed, "sample", image) for image in rows["id"].tolist()], place=0
    )
    for depth in range(len(over), -1, -1):
        line = line.sort_values(["place", "key", "id"])
        line["place"] = line.groupby([*within, *over[:depth]]).cumcount()
    return line["place"].reindex(rows.index)


def _both_between(rows: pd.DataFrame, low: int, high: int) -> pd.Series:
    """Whether both sides are so long; of an image that could not be read, nothing is known."""
    fit = [rows[side].between(low, high).fillna(False).astype(bool) for side in ("width", "height")]
    return fit[0] & fit[1]


def _is(rows: pd.DataFrame, quality: int) -> pd.Series:
    """Whether a file is a JPEG of this quality."""
    return (rows["jpeg_quality"] == quality).fillna(False).astype(bool)


def _counts(rows: pd.DataFrame, items: Sequence[str]) -> dict[str, dict[str, int]]:
    there: Mapping[Any, int] = rows.groupby(["side", "generator"]).size().to_dict()
    return {side: {item: int(there.get((side, item), 0)) for item in items} for side in SIDES}


def _tally(rows: pd.DataFrame, column: str) -> dict[str, dict[str, dict[str, int]]]:
    """Side -> value -> `real` and `generated` -> images."""
    label = (rows["generator"] == REAL).map({True: "real", False: "generated"})
    there = rows.groupby([rows["side"], rows[column].fillna(UNKNOWN), label]).size().rename("count")
    found: dict[str, dict[str, dict[str, int]]] = {side: {} for side in SIDES}
    for side, value, what, count in there.reset_index().itertuples(index=False):
        found[side].setdefault(value, {"real": 0, "generated": 0})[what] = int(count)
    return found


def _refuse_empty(steps: Sequence[Step], items: Sequence[str], where: str) -> None:
    """Refuse a sample without real or generated images on a side, or without training images of a member."""
    last = steps[-1].images
    generators = items[1:]
    wanted: list[tuple[str, str, tuple[str, ...]]] = []
    wanted += [("train", f"image of {item}", (item,)) for item in generators]
    for side in SIDES:
        wanted += [(side, "real image", (REAL,)), (side, "generated image", tuple(generators))]
    for side, what, some in wanted:
        if not sum(last[side][item] for item in some):
            path = ", ".join(
                f"{sum(step.images[side][item] for item in some):,} {step.what}" for step in steps
            )
            hint = ", or take it out of 'of'" if len(some) < len(generators) and REAL not in some else ""
            raise AssayError(f"{where}: no {what} is left for {side}: {path}. Ask for less{hint}")
