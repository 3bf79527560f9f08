"""Chapters of studies, from cells with known numbers."""

import re

import numpy as np
import pandas as pd
import pytest

from assets.params import REAL
from assets.report.results import Results
from assets.statistics.averages import averaged
from assets.statistics.cells import ALL, CELL, CLASSES, CONTENT, GROUP, Cell, Estimate
from assets.statistics.correlation import correlate
from assets.statistics.means import CROSS_GENERATOR, IN_DOMAIN
from assets.statistics.metrics import METRICS
from assets.statistics.studies import aligned_trainings, chronologies, scales
from assets.statistics.tabulate import Tabulated, tabulate
from assets.tables import chronological, classes, contents, correlation, groups, scale, twins
from assets.tables.table import Chapter, Table
from tests.made_up import rows
from tests.samples import params

RELEASED = {
    "old": "2018-09",
    "middle": "2021-05",
    "new": "2022-08-22",
    "newer": "2022-08",
    "last": "2023-03",
    "newest": "2024-01",
}
DRAWS = 40


def generators(*names: str) -> dict:
    return {
        name: {"from": f"data/{name}", "family": "gan", "released": RELEASED.get(name, "2020-01")}
        for name in names
    }


def trained(generators_=(), sets=None, samples=None, seeds=(0,)) -> dict:
    return {
        "generators": list(generators_),
        "sets": sets or {},
        "samples": samples or {},
        "seeds": list(seeds),
    }


def cell(
    kind, trained_on, tested_on, condition="clean", *, detector="small", seen=None, spread=0.01, **known
):
    """A cell whose metrics have these values; their draws lie around them, the same way for all cells."""
    around = spread * np.linspace(-1, 1, DRAWS)
    metrics = {name: Estimate(None) for name in METRICS}
    for name, value in known.items():
        metrics[name] = Estimate(value, value + around)
    return Cell(kind, detector, trained_on, tested_on, condition, "0", 1, 1, metrics, None, seen)


def results(parameters, cells) -> Results:
    tabulated = Tabulated(per_seed=[], cells=list(cells), means=[], num_images={})
    return Results(parameters, tabulated, {}, [], "l" * 64, "r" * 64)


def table(chapter: Chapter | None, name: str) -> Table:
    assert chapter is not None
    check(chapter)
    return {table.name: table for table in chapter.tables}[name]


def check(chapter: Chapter) -> None:
    """What every format relies on."""
    assert re.fullmatch(r"[a-z0-9_]+", chapter.name)
    assert len({table.name for table in chapter.tables}) == len(chapter.tables)
    for one in chapter.tables:
        assert re.fullmatch(r"[a-z0-9_]+", one.name) and one.caption.endswith(".")
        for line in one.lines:
            assert len(line.heads) == len(one.heads) and len(line.values) == len(one.columns)


def numbers(one: Table, *heads: str) -> list[float | None]:
    (line,) = (line for line in one.lines if line.heads == heads)
    return [None if value is None else value.value and round(value.value, 6) for value in line.values]


# --- raw and aligned ----------------------------------------------------------------------------------------

ALIGN = {"both": "jpeg(96)", "generated_only": {"real": "", "generated": "jpeg(96)"}}


def twin_results():
    parameters = params(
        generators=generators("old", "new"),
        degrade=ALIGN,
        train=trained(
            ["old"],
            samples={
                "plain_few": {"of": ["old"], "images": 10},
                "alike": {"of": ["old"], "prepare": "jpeg(96)", "real_sides": [450, 550], "balance": True},
                "alike_few": {"of": ["old"], "images": 10, "real_quality": 96},
                "alike_other": {"of": ["new"], "prepare": "jpeg(96)"},
                "balanced": {"of": ["old"], "balance": True},
            },
        ),
        report={"twins": ["both", "generated_only"]},
    )
    cells = []
    for source, loss in {"old": 0.3, "alike": 0.0}.items():
        for condition, times in {"clean": 0, "both": 1, "generated_only": 2}.items():
            for kind, start in {IN_DOMAIN: 0.99, CROSS_GENERATOR: 0.8}.items():
                auroc = start - loss * times / 2
                cells.append(cell(kind, source, ALL, condition, auroc=auroc, accuracy=auroc - 0.1))
    cells.append(cell(CELL, "old", "new", auroc=0.8, accuracy=0.7))
    cells.append(cell(CELL, "old", "new", "both", auroc=0.6, accuracy=0.75))
    return results(parameters, cells)


def test_twins_are_raw_aligned_and_their_difference():
    one = table(twins.chapter(twin_results()), "both_auroc")
    assert [column.name for column in one.columns[:3]] == [
        "in_domain, raw",
        "in_domain, both",
        "in_domain, difference",
    ]
    assert numbers(one, "small", "old") == [0.99, 0.84, -0.15, 0.8, 0.65, -0.15]
    assert one.columns[2].unit == "points"


def test_a_difference_has_the_paired_interval():
    """The draws of both move together, so their difference does not move at all."""
    one = table(twins.chapter(twin_results()), "both_auroc")
    (line,) = (line for line in one.lines if line.heads == ("small", "old"))
    assert line.values[0].high - line.values[0].low > 0.01
    assert line.values[2].low == pytest.approx(-0.15) == line.values[2].high
    assert line.values[2].shade < 0


def test_both_numbers_come_from_the_same_resamples():
    """From predictions: a condition that changes nothing has no difference, and no doubt about it."""
    parameters = params(degrade={"nothing": ""}, report={"twins": ["nothing"], "resamples": 100})

    def read(trained_on: str, tested_on: str) -> pd.DataFrame:
        logits = np.random.default_rng(len(tested_on)).normal(size=30) + (tested_on != REAL)
        names = [
            rows(trained_on, tested_on, logits, detector="small", condition=c) for c in parameters.conditions
        ]
        return pd.concat(names, ignore_index=True)

    found = Results(parameters, tabulate(parameters, read), {}, [], "l" * 64, "r" * 64)
    one = table(twins.chapter(found), "nothing_auroc")
    (line,) = one.lines
    raw, _, change = line.values
    assert raw.high - raw.low > 0.05 and (change.value, change.low, change.high) == (0, 0, 0)
    # nothing is tested on a generator that was not trained on, so there are no such columns
    assert [column.name for column in one.columns] == [
        "in_domain, raw",
        "in_domain, nothing",
        "in_domain, difference",
    ]


def test_twins_of_every_generator_are_folded():
    one = table(twins.chapter(twin_results()), "both_generators")
    assert one.folded
    assert numbers(one, "small", "old", "new") == [0.8, 0.6, -0.2, 0.7, 0.75, 0.05]
    assert len(one.lines) == 1  # what was not tested under it is left out


def test_twins_say_which_class_is_changed():
    chapter = twins.chapter(twin_results())
    both, generated = table(chapter, "both_auroc"), table(chapter, "generated_only_auroc")
    assert "(both classes)" in both.title and "both classes alike: jpeg(96)" in both.caption
    assert "(generated images only)" in generated.title and "Real ones stay as they are" in generated.caption
    assert "real images only" in twins.what_it_does(
        params(degrade={"odd": {"real": "flip", "generated": ""}}), "odd"
    )


def test_aligned_training_stands_beside_the_same_without_it():
    found = twin_results()
    assert aligned_trainings(found.params) == [("old", "alike"), ("plain_few", "alike_few")]
    one = table(twins.chapter(found), "training_auroc")
    assert numbers(one, "small", "old", "alike", "clean") == [0.99, 0.99, 0.0, 0.8, 0.8, 0.0]
    assert numbers(one, "small", "old", "alike", "both") == [0.84, 0.99, 0.15, 0.65, 0.8, 0.15]


def test_no_twins_no_chapter():
    assert twins.chapter(results(params(), [])) is None


# --- groups and contents ------------------------------------------------------------------------------------


def group_results():
    parameters = params(
        generators=generators("a", "b", "c"),
        train=trained(sets={"both": ["a", "c"]}),
        degrade={"social": "jpeg(60)"},
        report={"groups": {"gan": ["a", "b"], "sd": ["c"]}},
    )
    cells = [
        cell(GROUP, "both", name, condition, seen=True, auroc=auroc, balanced_accuracy=auroc - 0.1)
        for condition, name, auroc in (
            ("clean", "gan", 0.9),
            ("clean", "sd", 0.8),
            ("social", "gan", 0.7),
            ("social", "sd", 0.5),
        )
    ]
    cells[0].metrics.update(accuracy_real=Estimate(0.6), accuracy_generated=Estimate(0.9))
    cells[1].metrics.update(accuracy_real=Estimate(0.5))
    return results(parameters, cells)


def test_groups_end_in_the_mean_that_imaginet_prints():
    one = table(groups.chapter(group_results()), "auroc")
    assert [column.name for column in one.columns] == ["gan", "sd", "Mean"]
    assert numbers(one, "small", "both") == [0.9, 0.8, 0.85]
    degraded = table(groups.chapter(group_results()), "auroc_conditions")
    assert numbers(degraded, "social", "small", "both") == [0.7, 0.5, 0.6]
    assert one.lines[0].values[0].seen and one.lines[0].values[0].cell[0] == GROUP
    assert "gan = a + b; sd = c" in one.caption


def test_balanced_accuracy_at_half_is_the_mean_over_classes():
    one = table(groups.chapter(group_results()), "balanced_accuracy_at_half")
    assert numbers(one, "small", "both") == [0.75, None, 0.75]  # no data is not zero
    assert groups.chapter(results(params(), [])) is None


def content_results():
    parameters = params(
        generators=generators("a"),
        train=trained(["a"], samples={"no_faces": {"of": ["a"], "contents": ["photo", "painting"]}}),
        degrade={"social": "jpeg(60)"},
    )
    cells = [
        cell(CONTENT, source, content, condition, auroc=auroc, balanced_accuracy=auroc)
        for condition in ("clean", "social")
        for source, aurocs in {"a": (0.9, 0.8, 0.7), "no_faces": (0.9, 0.7, 0.5)}.items()
        for content, auroc in zip(("photo", "painting", "face"), aurocs, strict=True)
    ]
    return results(parameters, cells)


def test_contents_have_a_column_each_and_a_mean():
    chapter = contents.chapter(content_results())
    one = table(chapter, "auroc")
    assert [column.name for column in one.columns] == ["photo", "painting", "face", "Mean"]
    assert numbers(one, "small", "a") == [0.9, 0.8, 0.7, 0.8]
    assert table(chapter, "auroc_conditions").folded
    assert numbers(table(chapter, "auroc_conditions"), "social", "small", "a") == [0.9, 0.8, 0.7, 0.8]


def test_leaving_a_content_out_shows_seen_unseen_and_the_drop():
    one = table(contents.chapter(content_results()), "left_out_auroc")
    assert [column.name for column in one.columns[3:]] == ["seen", "unseen", "difference"]
    assert numbers(one, "small", "no_faces") == [0.9, 0.7, 0.5, 0.8, 0.5, -0.3]
    assert [value.seen for value in one.lines[0].values[:3]] == [True, True, False]
    drop = one.lines[0].values[5]
    assert drop.low == pytest.approx(-0.3) == drop.high


def test_one_content_is_no_chapter():
    lone = [cell(CONTENT, "fake", "photo", auroc=0.9)]
    assert contents.chapter(results(params(), lone)) is None


# --- classes and sizes --------------------------------------------------------------------------------------


def test_classes_unseen_beside_seen():
    parameters = params(train=trained(["fake"], samples={"ten": {"of": ["fake"], "classes": 10}}))
    cells = [
        cell(CLASSES, "ten", name, auroc=auroc, accuracy=0.5, balanced_accuracy=0.5)
        for name, auroc in {"seen": 0.9, "unseen": 0.6}.items()
    ]
    one = table(classes.chapter(results(parameters, cells)), "clean")
    assert numbers(one, "small", "ten", "10")[:3] == [0.9, 0.6, -0.3]
    assert classes.chapter(results(params(), [])) is None


def scale_params():
    return params(
        generators=generators("a", "b"),
        train=trained(
            ["a"],
            samples={
                "m1000": {"of": ["a"], "images": 1000},
                "m100": {"of": ["a"], "images": 100},
                "of_b": {"of": ["b"], "images": 100},
                "m100_aligned": {"of": ["a"], "images": 100, "prepare": "jpeg(96)"},
                "c10_5": {"of": ["a"], "classes": 10, "per_class": 5},
                "c20_5": {"of": ["a"], "classes": 20, "per_class": 5},
                "c20_9": {"of": ["a"], "classes": 20, "per_class": 9},
            },
        ),
        degrade={"jpeg": "jpeg(30)"},
    )


def test_a_scale_study_varies_one_thing():
    found = {study.varied: [] for study in scales(scale_params())}
    for study in scales(scale_params()):
        found[study.varied].append(study.steps)
    assert found == {
        "images": [((100, "m100"), (1000, "m1000"), (None, "a"))],
        "classes": [((10, "c10_5"), (20, "c20_5"))],
        "per_class": [((5, "c20_5"), (9, "c20_9"))],
    }


def test_a_scale_table_ends_in_the_full_training():
    cells = [
        cell(kind, source, ALL, condition, auroc=auroc, accuracy=auroc)
        for source, auroc in {"m100": 0.6, "m1000": 0.7, "a": 0.8}.items()
        for kind in (IN_DOMAIN, CROSS_GENERATOR)
        for condition in ("clean", ALL)
    ]
    one = table(scale.chapter(results(scale_params(), cells)), "images_1_auroc")
    assert [line.heads[1] for line in one.lines] == ["m100", "m1000", "a"]
    assert numbers(one, "small", "m100") == [100, 0.6, 0.6, 0.6, 0.6]
    assert one.lines[2].values[0].text == "all"
    assert one.columns[3].name == "in_domain, degraded mean"
    assert scale.chapter(results(params(), [])) is None


# --- in order of release ------------------------------------------------------------------------------------


def chronological_params(*names: str, **train):
    return params(generators=generators(*names), train=trained(**train))


def test_steps_are_trainings_on_all_that_had_been_released():
    parameters = chronological_params(
        "new",
        "newer",
        "last",
        "old",
        "middle",
        generators_=["old", "middle"],
        sets={"gap": ["old", "new"], "two": ["old", "middle"]},
        samples={"august": {"until": "2022-08"}},
    )
    (chain,) = chronologies(parameters)
    assert [step.source for step in chain.steps] == ["old", "two", "august"]
    assert chain.windows == (("old",), ("middle",), ("newer", "new"), ("last",))


def test_samples_limited_alike_make_a_chain_of_their_own():
    few = {"images": 10}
    parameters = chronological_params(
        "old",
        "new",
        samples={
            "until_2019": {"until": "2019-01", **few},
            "until_2023": {"until": "2023-01", **few},
            "all_until_2023": {"until": "2023-01"},
        },
    )
    (chain,) = chronologies(parameters)
    assert [step.source for step in chain.steps] == ["until_2019", "until_2023"]
    assert chain.later == ()


def chronology_results(with_later: bool) -> Results:
    names = ["old", "middle", "last", *(["newest"] if with_later else [])]
    parameters = chronological_params(
        *names,
        generators_=["old"],
        sets={"two": ["old", "middle"], "three": ["old", "middle", "last"]},
    )
    aurocs = {
        "old": {"old": 1.0, "middle": 0.8, "last": 0.6, "newest": 0.5},
        "two": {"old": 0.9, "middle": 1.0, "last": 0.7, "newest": 0.6},
        "three": {"old": 0.9, "middle": 0.9, "last": 0.9, "newest": 0.4},
    }
    cells = [
        cell(CELL, source, name, auroc=auroc, balanced_accuracy=auroc)
        for source, row in aurocs.items()
        for name, auroc in row.items()
        if name in names
    ]
    return results(parameters, cells)


def test_the_last_window_is_not_counted_twice():
    """Its code puts the last window, which was trained on, in place of a next one; here it has none."""
    one = table(chronological.chapter(chronology_results(False)), "chain_1_auroc")
    assert [column.name for column in one.columns] == [
        "window 1",
        "window 2",
        "window 3",
        "next period",
        "past",
    ]
    assert numbers(one, "small", "old") == [1.0, 0.8, 0.6, 0.8, 1.0]
    assert numbers(one, "small", "two") == [0.9, 1.0, 0.7, 0.7, 0.95]
    assert numbers(one, "small", "three") == [0.9, 0.9, 0.9, None, 0.9]
    assert numbers(one, "small", "mean over time") == [None, None, None, 0.75, 0.95]
    assert [value.seen for value in one.lines[1].values[:3]] == [True, True, False]
    assert one.lines[3].mean and one.lines[3].values[3].low < 0.75 < one.lines[3].values[3].high


def test_what_came_after_the_last_training_is_its_next_period():
    one = table(chronological.chapter(chronology_results(True)), "chain_1_auroc")
    assert numbers(one, "small", "three")[-2] == 0.4
    assert numbers(one, "small", "mean over time")[-2] == round((0.8 + 0.7 + 0.4) / 3, 6)


def test_one_training_is_no_chronology():
    assert chronological.chapter(results(params(), [])) is None


# --- which generators are alike -----------------------------------------------------------------------------

TRANSFER = {"a": (1.0, 0.9, 0.5, 0.6), "b": (0.8, 1.0, 0.5, 0.5), "c": (0.5, 0.6, 1.0, 0.7), "d": (0.5,) * 4}


def transfer_results(missing=()) -> Results:
    names = [*TRANSFER]
    parameters = params(generators=generators(*names), train=trained(names))
    cells = [
        cell(CELL, i, j, auroc=auroc)
        for i, row in TRANSFER.items()
        for j, auroc in zip(names, row, strict=True)
        if (i, j) not in missing
    ]
    return results(parameters, cells)


def test_distance_is_one_less_the_mean_transfer():
    found = correlate(transfer_results().tabulated, transfer_results().params)
    assert (found.distance == found.distance.T).all()
    expected = [
        [0.0, 0.15, 0.5, 0.45],
        [0.15, 0.0, 0.45, 0.5],
        [0.5, 0.45, 0.0, 0.4],
        [0.45, 0.5, 0.4, 0.0],
    ]
    assert np.allclose(found.distance, expected)


def test_average_linkage_by_hand():
    """a, b join at 0.15; c, d at 0.40; then both at (0.5 + 0.45 + 0.45 + 0.5) / 4."""
    found = correlate(transfer_results().tabulated, transfer_results().params)
    merges = [({*one}, {*other}, round(height, 6)) for one, other, height in found.merges]
    assert merges == [({"a"}, {"b"}, 0.15), ({"c"}, {"d"}, 0.4), ({"a", "b"}, {"c", "d"}, 0.475)]
    assert sorted(found.order) == ["a", "b", "c", "d"]
    assert abs(found.order.index("a") - found.order.index("b")) == 1
    assert abs(found.order.index("c") - found.order.index("d")) == 1


def test_the_nearest_generator_and_how_sure_it_is():
    one = table(correlation.chapter(transfer_results()), "nearest")
    assert [line.heads for line in one.lines] == [("a", "b"), ("b", "a"), ("c", "d"), ("d", "c")]
    assert numbers(one, "a", "b") == [0.15, 1.0, 0.9, 0.8]


def test_a_near_tie_is_not_sure():
    found = transfer_results()
    cells = [one for one in found.tabulated.cells if {one.trained_on, one.tested_on} != {"a", "c"}]
    swinging = np.linspace(-0.2, 0.2, DRAWS) + 0.36
    for pair in (("a", "c"), ("c", "a")):
        made = cell(CELL, *pair, auroc=0.5)
        made.metrics["auroc"] = Estimate(0.5, 0.5 + swinging)
        cells.append(made)
    (nearest, *_) = correlate(results(found.params, cells).tabulated, found.params).nearest
    assert nearest.nearest == "b" and 0.3 < nearest.sure < 0.7


def test_generators_without_data_are_left_out_and_named():
    found = transfer_results(missing=[("d", "a"), ("a", "d")])
    made = correlate(found.tabulated, found.params)
    assert made.left_out == ("a",) and made.generators == ("b", "c", "d")
    assert "Left out, for want of data: a." in correlation.chapter(found).intro[0]
    two = transfer_results(missing=[("d", "a"), ("b", "c")])
    assert correlate(two.tabulated, two.params) is None
    assert correlation.chapter(results(params(), [])) is None


def test_transfer_stands_in_the_order_of_the_tree():
    found = transfer_results()
    one = table(correlation.chapter(found), "transfer")
    order = list(correlate(found.tabulated, found.params).order)
    assert [column.name for column in one.columns] == order == [line.heads[0] for line in one.lines]
    assert all(line.values[at].seen for at, line in enumerate(one.lines))


def test_a_mean_leaves_out_what_has_no_data():
    assert averaged([]).value is None
    mean = averaged(
        [Estimate(0.2, np.array([0.1, 0.3])), Estimate(None), Estimate(0.4, np.array([0.5, 0.5]))]
    )
    assert mean.value == pytest.approx(0.3) and mean.draws.tolist() == pytest.approx([0.3, 0.4])
    assert averaged([Estimate(0.2, np.array([0.2])), Estimate(0.4)]).draws is None
