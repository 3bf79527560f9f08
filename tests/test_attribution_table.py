"""The table of attributors: its numbers against counting pairs, its files, and what does not add up."""

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest

from assets.attributions import UNKNOWN, AttributionsError
from assets.params import Params
from assets.report.results import Results
from assets.seeds import rng
from assets.statistics.attributed import (
    DEFINITIONS,
    GENERATOR,
    KNOWN,
    OUTSIDE,
    Attributed,
    Row,
    tabulate_attributions,
)
from assets.statistics.tabulate import Tabulated
from assets.tables.attribution import chapter
from assets.tables.table import Table
from assets.tables.write import FORMATS
from tests.samples import params

MEMBERS = ("b", "a", "c")
LIMIT = 0.5


def settings(**sections: Any) -> Params:
    about = {"family": "gan", "released": "2020-01"}
    return params(
        **{
            "generators": {name: {"from": f"data/{name}", **about} for name in ("a", "b", "c", "new")},
            "attributors": {"namer": {"model": "resnet10t", "crop": 32}},
            "train": {"generators": [], "sets": {"three": MEMBERS}, "samples": {}, "seeds": [0, 3]},
            "degrade": {"jpeg50": "jpeg(50)"},
            "report": {"resamples": 200},
            **sections,
        }
    )


def answers(generator: str, seed: int, condition: str, count: int = 24) -> pd.DataFrame:
    """Rows of one generator: its class is likelier, most of all without a degradation; two in a group."""
    random = rng("answers", generator, seed, condition)
    logits = random.normal(0, 1, (count, 3)).astype(np.float32)
    if generator in MEMBERS:
        logits[:, MEMBERS.index(generator)] += 1.5 if condition == "clean" else 0.5
    score = logits.max(1)
    named = np.array(MEMBERS, object)[logits.argmax(1)]
    return pd.DataFrame(
        {
            "id": [f"{generator}{number:02d}" for number in range(count)],
            "label": 1,
            "generator": generator,
            "group": [f"{generator}-{number // 2}" for number in range(count)],
            "class_name": None,
            "content": "photo",
            "condition": condition,
            "detector": "namer",
            "seed": seed,
            "trained_on": "three",
            "tested_on": generator,
            "weights": f"w{seed}",
            "classes": [list(MEMBERS)] * count,
            "logits": pd.Series(list(logits), dtype=object),
            "score": score,
            "unknown_below": LIMIT,
            "answer": np.where(score < LIMIT, UNKNOWN, named),
            "status": "ok",
        }
    )


def files(count: int = 24) -> dict[str, pd.DataFrame]:
    return {
        generator: pd.concat(
            [
                answers(generator, seed, condition, count)
                for seed in (0, 3)
                for condition in ("clean", "jpeg50")
            ],
            ignore_index=True,
        )
        for generator in ("a", "b", "c", "new")
    }


def tabulated(frames: dict[str, pd.DataFrame], params_: Params | None = None) -> Attributed:
    return tabulate_attributions(params_ or settings(), lambda trained_on, name, generator: frames[generator])


def row(rows: list[Row], kind: str, tested_on: str, condition: str = "clean", seed: str = "0") -> Row:
    (found,) = [
        row
        for row in rows
        if (row.kind, row.tested_on, row.condition, row.seed) == (kind, tested_on, condition, seed)
    ]
    return found


def value(found: Row, metric: str) -> float | None:
    return found.metrics[metric].value


def pairs(lower: np.ndarray, higher: np.ndarray) -> float:
    """The AUROC by counting."""
    return float(np.mean([(h > w) + (h == w) / 2 for h in higher for w in lower]))


def test_numbers_of_a_known_generator() -> None:
    frames = files()
    found = row(tabulated(frames).per_seed, GENERATOR, "a")
    mine = answers("a", 0, "clean")
    logits = np.stack(mine["logits"].to_list())
    assert value(found, "recall") == pytest.approx(np.mean(logits.argmax(1) == 1))
    assert value(found, "right") == pytest.approx(np.mean(mine["answer"] == "a"))
    assert value(found, "unknown") == pytest.approx(np.mean(mine["answer"] == UNKNOWN))

    def chance(generator: str) -> np.ndarray:
        odds = np.exp(np.stack(answers(generator, 0, "clean")["logits"].to_list()).astype(float))
        return odds[:, 1] / odds.sum(1)

    others = np.concatenate([chance("b"), chance("c")])
    assert value(found, "auroc") == pytest.approx(pairs(others, chance("a")))
    assert (found.n, found.n_unreadable, found.groups) == (24, 0, 12)


def test_numbers_of_a_generator_that_is_not_in_the_set() -> None:
    found = row(tabulated(files()).per_seed, GENERATOR, "new", "jpeg50", "3")
    mine = answers("new", 3, "jpeg50")
    assert value(found, "recall") is None
    assert value(found, "right") == value(found, "unknown") == pytest.approx(np.mean(mine["score"] < LIMIT))
    known = np.concatenate([answers(name, 3, "jpeg50")["score"] for name in MEMBERS])
    assert value(found, "auroc") == pytest.approx(pairs(-known, -mine["score"].to_numpy()))


def test_means_weigh_generators_alike() -> None:
    frames = files()
    frames["a"] = frames["a"][frames["a"]["id"] < "a10"].reset_index(drop=True)
    rows = tabulated(frames).per_seed
    known, outside = row(rows, KNOWN, ""), row(rows, OUTSIDE, "")
    for metric in ("recall", "right", "unknown", "auroc"):
        each = [value(row(rows, GENERATOR, name), metric) for name in MEMBERS]
        assert value(known, metric) == pytest.approx(np.mean([found for found in each if found is not None]))
        assert value(outside, metric) == value(row(rows, GENERATOR, "new"), metric)
    assert known.n is None


def test_mean_and_deviation_over_seeds() -> None:
    found = tabulated(files())
    mean = row(found.rows, KNOWN, "", seed="mean")
    each = [value(row(found.per_seed, KNOWN, "", seed=seed), "recall") for seed in ("0", "3")]
    assert value(mean, "recall") == pytest.approx(np.mean(each))
    assert mean.metrics["recall"].sd == pytest.approx(np.std(each, ddof=1)) and mean.num_seeds == 2
    one = tabulated(
        files(), settings(train={"generators": [], "sets": {"three": MEMBERS}, "samples": {}, "seeds": [3]})
    )
    assert one.rows == one.per_seed and {found.seed for found in one.rows} == {"3"}


def test_intervals_are_of_groups() -> None:
    """All images of a group are the same picture: as many independent ones as there are groups."""
    frames = files()
    draws = row(tabulated(frames).per_seed, GENERATOR, "a").metrics["recall"].draws
    assert draws is not None and draws.shape == (200,)
    share = np.mean(np.stack(answers("a", 0, "clean")["logits"].to_list()).argmax(1) == 1)
    assert abs(draws.mean() - share) < 0.03 and 0.04 < draws.std() < 0.16
    for frame in frames.values():
        frame["group"] = "all"
    alone = row(tabulated(frames).per_seed, GENERATOR, "a")
    assert all(estimate.draws is None for estimate in alone.metrics.values())


def test_who_is_taken_for_whom() -> None:
    found = tabulated(files())
    (clean,) = [confusion for confusion in found.confusions if confusion.condition == "clean"]
    assert clean.answers == (*MEMBERS, UNKNOWN) and list(clean.shares) == ["a", "b", "c", "new"]
    both = [answers("c", seed, "clean")["answer"] for seed in (0, 3)]
    expected = [np.mean([np.mean(of == answer) for of in both]) for answer in clean.answers]
    assert clean.shares["c"] == pytest.approx(expected)
    assert all(sum(row) == pytest.approx(1) for row in clean.shares.values())  # type: ignore[arg-type]


def without_an_answer(frame: pd.DataFrame, which: Any) -> pd.DataFrame:
    frame = frame.copy()
    frame.loc[which, "status"] = "damaged"
    frame.loc[which, ["score", "answer"]] = [np.nan, None]
    frame["logits"] = frame["logits"].where(~which, None)
    return frame


def test_images_without_an_answer_are_left_out_and_counted() -> None:
    frames = files()
    frames["a"] = without_an_answer(frames["a"], frames["a"]["id"] < "a04")
    found = row(tabulated(frames).per_seed, GENERATOR, "a")
    assert (found.n, found.n_unreadable, found.groups) == (20, 4, 10)
    rest = answers("a", 0, "clean").iloc[4:]
    assert value(found, "right") == pytest.approx(np.mean(rest["answer"] == "a"))
    frames["a"] = without_an_answer(frames["a"], frames["a"]["id"] < "b")
    rows = tabulated(frames).per_seed
    none = row(rows, GENERATOR, "a")
    assert none.n == 0 and all(value(none, metric) is None for metric in ("recall", "right", "auroc"))
    assert value(row(rows, KNOWN, ""), "recall") is not None, "the mean of those with data"
    (clean, _) = tabulated(frames).confusions
    assert clean.shares["a"] == [None] * 4


def results(found: Attributed, **sections: Any) -> Results:
    return Results(settings(**sections), Tabulated([], [], [], {}), {}, [], "abc", "def", found)


def table(found: Attributed, name: str, **sections: Any) -> Table:
    """A table of the chapter, written in every format on the way."""
    gathered = results(found, **sections)
    made = chapter(gathered)
    assert made is not None
    assert all("abc" in text(made, gathered) for text in FORMATS.values())
    (one,) = [table for table in made.tables if table.name == name]
    return one


def shown(of: Table, *heads: str) -> list[float | None]:
    (one,) = [line for line in of.lines if line.heads == heads]
    return [None if value is None else value.value for value in one.values]


def test_every_generator_has_a_line_those_of_the_set_first() -> None:
    found = tabulated(files())
    clean = table(found, "generators_namer_three_clean")
    assert [line.heads[0] for line in clean.lines] == [
        *("b", "a", "c", "new"),
        "mean of the set",
        "mean of the others",
    ]
    assert [column.name for column in clean.columns][:2] == ["images", "recall, %"]
    mine = row(found.rows, GENERATOR, "a", seed="mean").metrics
    assert shown(clean, "a", "in the set") == [24, *(mine[name].value for name in DEFINITIONS)]
    mean = row(found.rows, KNOWN, "", seed="mean").metrics["recall"]
    value = clean.lines[4].values[1]
    assert value is not None and (value.value, value.sd) == (mean.value, mean.sd) and clean.lines[4].mean
    assert clean.lines[3].values[1] is None, "a recall is nothing to ask of a generator outside the set"
    assert clean.notes == ()
    assert not clean.folded and table(found, "generators_namer_three_jpeg50").folded


def test_totals_are_those_of_track_two() -> None:
    frames = files()
    frames["a"] = frames["a"][frames["a"]["id"] < "a06"].reset_index(drop=True)
    found = tabulated(frames)
    totals = table(found, "totals")
    assert [line.heads for line in totals.lines] == [("namer", "three", name) for name in ("clean", "jpeg50")]
    each = {name: row(found.rows, GENERATOR, name, seed="mean").metrics for name in MEMBERS}
    recall = [each[name]["recall"].value or 0 for name in MEMBERS]
    accuracy, balanced, auroc, inside, outside = shown(totals, "namer", "three", "clean")
    assert accuracy == pytest.approx(np.dot(recall, (24, 6, 24)) / 54)
    assert balanced == pytest.approx(np.mean(recall)) and accuracy != balanced
    assert auroc == pytest.approx(np.mean([each[name]["auroc"].value or 0 for name in MEMBERS]))
    assert inside == pytest.approx(np.mean([each[name]["unknown"].value or 0 for name in MEMBERS]))
    assert outside == row(found.rows, GENERATOR, "new", seed="mean").metrics["unknown"].value


def test_the_accuracy_has_an_interval_and_a_spread_of_its_own() -> None:
    found = tabulated(files())
    value = table(found, "totals").lines[0].values[0]
    assert value is not None and value.low is not None and value.high is not None and value.value is not None
    assert value.low < value.value < value.high and value.sd is not None and value.sd > 0


def test_recall_of_a_group_is_the_mean_over_its_generators() -> None:
    found = tabulated(files())
    report = {"resamples": 200, "groups": {"ab": ["a", "b"], "rest": ["new", "c"], "out": ["new"]}}
    groups = table(found, "groups", report=report)
    recall = {name: row(found.rows, GENERATOR, name, seed="mean").metrics["recall"].value for name in MEMBERS}
    first = shown(groups, "namer", "three", "clean", "ab")
    assert first[0] == pytest.approx(((recall["a"] or 0) + (recall["b"] or 0)) / 2)
    (clean, _) = found.confusions
    named = [share for name in "ab" for share in clean.shares[name][:2]]  # answers: b, a, c, unknown
    assert first[1] == pytest.approx(sum(share or 0 for share in named) / 2)
    assert shown(groups, "namer", "three", "clean", "rest")[0] == recall["c"], "new is not in the set"
    assert shown(groups, "namer", "three", "clean", "out") == [None, None]
    value = groups.lines[0].values[0]
    assert value is not None and value.sd is not None and value.low is not None
    assert [note.partition(":")[0] for note in groups.notes] == ["no data"]


def test_who_is_taken_for_whom_is_a_table_a_condition() -> None:
    found = tabulated(files())
    confusion = table(found, "confusion_namer_three_clean")
    assert [column.name for column in confusion.columns] == [*MEMBERS, UNKNOWN]
    assert shown(confusion, "c") == found.confusions[0].shares["c"]
    assert sum(value or 0 for value in shown(confusion, "new")) == pytest.approx(1)
    signs = {
        line.heads[0]: [np.sign(value.shade or 0) for value in line.values if value]
        for line in confusion.lines
    }
    assert signs["b"][0] == 1 and max(signs["b"][1:]) <= 0 and signs["new"][3] >= 0 > signs["new"][0]


def test_without_attributors_there_is_no_chapter() -> None:
    gathered = results(tabulated(files()))
    assert chapter(dataclasses.replace(gathered, attributed=None)) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[rows["id"] != "a05"], "23 images, others 24|24 images, others 23"),
        (lambda rows: rows[rows["seed"] == 0], "seed 3, clean: it was shown 0 images, others 24"),
        (lambda rows: rows[rows["condition"] == "clean"], "seed 0, jpeg50: it was shown 0 images"),
        (lambda rows: rows.assign(group=[*rows["group"][:-1], "x"]), "or these are in other groups"),
        (lambda rows: rows.assign(detector="other"), "a row has detector other"),
        (lambda rows: rows.assign(tested_on="b"), "a row has tested_on b"),
        (lambda rows: rows.assign(classes=[["a", "b", "c"]] * len(rows)), "it knows a, b, c, not the"),
    ],
)
def test_what_does_not_add_up(change: Any, message: str) -> None:
    frames = files()
    odd = change(frames["a"]).reset_index(drop=True)
    if "23" in message:  # only under one condition
        odd = frames["a"].drop(frames["a"].index[5])
    with pytest.raises(AttributionsError, match=message):
        tabulated({**frames, "a": odd})
