"""What every chapter of the tables says, on benchmarks with known answers."""

import csv
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jsonschema
import numpy as np
import pandas as pd
import pytest

from assets.inventory import SIDES, Holding
from assets.params import CLEAN, REAL, Params, SetAside
from assets.report.findings import findings
from assets.report.headline import headline
from assets.report.results import Results
from assets.statistics.cells import CELL, Estimate
from assets.statistics.means import CROSS_GENERATOR, IN_DOMAIN, MEANS, PLAIN_MEAN
from assets.statistics.metrics import METRICS
from assets.statistics.tabulate import tabulate
from assets.tables import (
    calibration,
    cell_table,
    cross_generator,
    degraded,
    images,
    over_trainings,
    train_on_one,
)
from assets.tables.chapters import all_chapters
from assets.tables.long_table import COLUMNS, as_csv, as_json, records
from assets.tables.table import Line, Table, Value
from assets.tables.write import FORMATS
from tests.imports import ROOT
from tests.made_up import benchmark_params, rows

FOUND = {
    "dcgan": {"dcgan": 10, "ldm": 4},
    "ldm": {"dcgan": 2, "ldm": 8},
    "both": {"dcgan": 9, "ldm": 7},
    "elsewhere": {"dcgan": 6, "ldm": 3},
}
"""trained on -> tested on -> images found of ten: AUROC is a tenth of it, accuracy (10 + it) / 20."""
Logits = Callable[[str, str, str, int], Sequence[float]]


def hits(count: int) -> list[float]:
    """Ten generated images of which `count` score above every real one, the others below."""
    return [1.0] * count + [-3.0] * (10 - count)


def found(trained_on: str, tested_on: str, condition: str, seed: int) -> list[float]:
    return hits(max(0, FOUND[trained_on][tested_on] - 2 * (condition != CLEAN)))


def results(params: Params, logits: Logits = found, n_real: int = 10, **more: Any) -> Results:
    """Tabulated from `logits(trained_on, tested_on, condition, seed)` of the generated images."""

    def read(source: str, tested_on: str) -> pd.DataFrame:
        trained_on, _, given = source.partition("/")
        parts = []
        for detector in [given] if given else params.detectors:
            for seed in params.seeds_of(detector):
                for condition in params.conditions:
                    said = (
                        [-1.0] * n_real
                        if tested_on == REAL
                        else logits(trained_on, tested_on, condition, seed)
                    )
                    # a tiny shift for each detector: two weights never agree on every row
                    shift = 0.01 * list(FOUND).index(trained_on) + 0.001 * params.scorers.index(detector)
                    shifted = np.array(said) + shift + 0.0001 * seed
                    names: dict[str, Any] = {"detector": detector, "condition": condition, "seed": seed}
                    parts.append(rows(trained_on, tested_on, shifted, **names))
        return pd.concat(parts, ignore_index=True)

    holdings = [
        Holding(
            item,
            40,
            34,
            1,
            {"exact-copy": 5, "unreadable": 1},
            dict.fromkeys(SIDES, 10),
            dict.fromkeys(SIDES, 3),
        )
        for item in (REAL, *params.generators)
    ]
    audit = {"verdict": "clean", "n_real": 10, "n_generated": 10, "features": {}, "advice": ["none"]}
    audits = {name: {"generator": name, **audit} for name in params.generators}
    return Results(params, tabulate(params, read), audits, holdings, "ab" * 32, "cd" * 32, **more)


def two(
    detectors: Sequence[str] = ("resnet18",),
    conditions: Sequence[str] = (),
    degrade: Mapping[str, Any] = {},
    **more: Any,
) -> Params:
    params = benchmark_params(("dcgan", "ldm"), detectors, conditions, **more)
    return params.model_copy(update={"degrade": {**params.degrade, **degrade}})


def table(chapter: Any, name: str) -> Table:
    (one,) = [table for table in chapter.tables if table.name == name]
    return one


def line(of: Table, *heads: str) -> dict[str, Value | None]:
    """Column -> value, of the line with these heads."""
    (one,) = [line for line in of.lines if line.heads == heads]
    return {column.name: value for column, value in zip(of.columns, one.values, strict=True)}


def numbers(of: Table, *heads: str) -> list[float | None]:
    return [None if value is None else value.value for value in line(of, *heads).values()]


# ---- the matrix


def test_the_matrix_holds_every_pair_and_every_mean_under_its_name() -> None:
    chapter = cross_generator.chapter(results(two()))
    auroc = table(chapter, "auroc")
    assert [column.name for column in auroc.columns] == ["dcgan", "ldm", *MEANS]
    assert [column.name for column in auroc.columns if column.mean] == list(MEANS)
    assert [line.heads for line in auroc.lines] == [
        ("resnet18", "dcgan"),
        ("resnet18", "ldm"),
        ("resnet18", "mean (plain)"),
        ("resnet18", "mean (cross)"),
    ]
    first = line(auroc, "resnet18", "dcgan")
    values = {name: value and value.value for name, value in first.items()}
    assert values == pytest.approx(
        {
            "dcgan": 1.0,
            "ldm": 0.4,
            "in_domain": 1.0,
            "cross_generator": 0.4,
            "cross_family": 0.4,
            "plain_mean": 0.7,
            "worst_generator": 0.4,
        }
    )
    assert [value.seen for value in list(first.values())[:2] if value] == [True, False]
    assert numbers(auroc, "resnet18", "mean (plain)")[:2] == pytest.approx([0.6, 0.6])
    assert numbers(auroc, "resnet18", "mean (cross)")[:2] == pytest.approx([0.2, 0.4])
    cross = line(auroc, "resnet18", "mean (cross)")
    assert cross[CROSS_GENERATOR] is not None and cross[IN_DOMAIN] is None


def test_the_matrix_is_told_by_every_metric_and_the_less_asked_for_are_folded() -> None:
    chapter = cross_generator.chapter(results(two()))
    assert [one.name for one in chapter.tables[:2]] == ["auroc", "accuracy"]
    assert {one.name for one in chapter.tables} == set(METRICS)
    assert {one.name for one in chapter.tables if not one.folded} == set(cross_generator.FIRST[:2])
    for one in chapter.tables:
        assert all(f"{kind}: {text}" in one.caption for kind, text in MEANS.items())
    accuracy = table(chapter, "accuracy")
    assert accuracy.columns[0].unit == "percent" and accuracy.title.endswith(", %")
    assert line(accuracy, "resnet18", "dcgan")["ldm"].value == pytest.approx(0.7)


def test_every_number_knows_its_row_of_the_long_table() -> None:
    found_ = results(two())
    keys = {cell.key for cell in found_.tabulated.rows}
    auroc = table(cross_generator.chapter(found_), "auroc")
    cells = [value.cell for one in auroc.lines for value in one.values if value]
    assert len(cells) > 20 and set(cells) <= keys
    assert line(auroc, "resnet18", "dcgan")["ldm"].cell == (CELL, "resnet18", "dcgan", "ldm", CLEAN)


def test_sets_and_what_was_made_elsewhere_have_lines_and_are_explained() -> None:
    params = two(sets={"both": ["dcgan", "ldm"]}, given={"theirs": {"kind": "npr", "weights": "theirs.pth"}})
    auroc = table(cross_generator.chapter(results(params)), "auroc")
    assert [one.heads for one in auroc.lines if not one.mean] == [
        ("resnet18", "dcgan"),
        ("resnet18", "ldm"),
        ("resnet18", "both"),
        ("theirs", "elsewhere"),
    ]
    assert "both = dcgan + ldm (a set)" in auroc.caption and "not trained here" in auroc.caption
    assert all(value.seen for value in list(line(auroc, "resnet18", "both").values())[:2] if value)
    assert line(auroc, "theirs", "elsewhere")["ldm"].seen is None


def test_no_data_is_not_nothing_and_said_as_such() -> None:
    def some(trained_on: str, tested_on: str, condition: str, seed: int) -> list[float]:
        return [] if tested_on == "ldm" else hits(6)

    auroc = table(cross_generator.chapter(results(two(train=("dcgan",)), some)), "auroc")
    values = line(auroc, "resnet18", "dcgan")
    assert values["ldm"] == Value(seen=False, cell=(CELL, "resnet18", "dcgan", "ldm", CLEAN))
    assert values[PLAIN_MEAN].value == pytest.approx(0.6)
    assert any(note.startswith("no data:") for note in auroc.notes)


def test_a_class_of_one_group_has_values_but_no_intervals() -> None:
    params = two(train=("dcgan",))
    auroc = table(cross_generator.chapter(results(params, lambda *_: [2.0])), "auroc")
    value = line(auroc, "resnet18", "dcgan")["ldm"]
    assert value is not None and (value.value, value.low, value.high) == (1.0, None, None)
    assert any("fewer than two groups" in note for note in auroc.notes)


# ---- GenImage's tables 3 and 4


def test_trained_on_one_and_the_mean_over_trainings_are_told_apart() -> None:
    found_ = results(two(("resnet18", "cnnspot")))
    one, over = train_on_one.chapter(found_), over_trainings.chapter(found_)
    assert over is not None
    accuracy = table(one, "accuracy_dcgan")
    assert [column.name for column in accuracy.columns] == ["dcgan", "ldm", "Avg", CROSS_GENERATOR]
    assert numbers(accuracy, "resnet18") == pytest.approx([1.0, 0.7, 0.85, 0.7])
    mean = table(over, "accuracy_plain_mean")
    assert numbers(mean, "resnet18") == pytest.approx([0.8, 0.8, 0.8])
    assert numbers(table(over, "accuracy_cross_generator"), "cnnspot") == pytest.approx([0.6, 0.7, 0.65])
    assert "72.1" in one.intro[0] and "66.9" in one.intro[0] and "over_trainings" in one.intro[0]
    assert "72.1" in over.intro[0] and "66.9" in over.intro[0] and "train_on_one" in over.intro[0]
    assert [one.name for one in one.tables] == ["accuracy_dcgan", "accuracy_ldm"]


def test_one_training_has_no_mean_over_trainings() -> None:
    assert over_trainings.chapter(results(two(train=("dcgan",)))) is None


def test_every_training_has_its_table_of_those_that_were_trained_so() -> None:
    params = two(sets={"both": ["dcgan", "ldm"]}, given={"theirs": {"kind": "npr", "weights": "theirs.pth"}})
    chapter = train_on_one.chapter(results(params))
    lines = {one.name: [line.heads for line in one.lines] for one in chapter.tables}
    assert lines == {
        "accuracy_dcgan": [("resnet18",)],
        "accuracy_ldm": [("resnet18",)],
        "accuracy_both": [("resnet18",)],
        "accuracy_elsewhere": [("theirs",)],
    }
    assert table(chapter, "accuracy_both").folded and not table(chapter, "accuracy_dcgan").folded


# ---- conditions


def test_conditions_stand_side_by_side_and_their_mean_leaves_clean_out() -> None:
    chapter = degraded.chapter(results(two(conditions=("jpeg65", "blur3"))))
    assert chapter is not None
    own = table(chapter, "in_domain_accuracy")
    assert [column.name for column in own.columns] == [CLEAN, "jpeg65", "blur3", "degraded mean"]
    assert numbers(own, "resnet18", "dcgan") == pytest.approx([1.0, 0.9, 0.9, 0.9])
    assert numbers(own, "resnet18", "mean") == pytest.approx([0.95, 0.85, 0.85, 0.85])
    assert own.lines[-1].mean and own.columns[-1].mean
    assert numbers(table(chapter, "cross_generator_auroc"), "resnet18", "mean")[:2] == pytest.approx(
        [0.3, 0.1]
    )


def test_without_conditions_nothing_is_degraded() -> None:
    assert degraded.chapter(results(two())) is None


def test_recipes_are_told_for_both_classes() -> None:
    by_class = two().model_validate(
        {**two().model_dump(by_alias=True), "degrade": {"twin": {"real": "", "generated": "jpeg(96)"}}}
    )
    chapter = degraded.chapter(results(by_class))
    assert chapter is not None
    recipes = table(chapter, "recipes")
    assert [value and value.text for value in line(recipes, "twin").values()] == ["as they are", "jpeg(96)"]
    assert [value and value.text for value in line(recipes, CLEAN).values()] == ["as they are"] * 2


def test_one_operation_with_three_arguments_is_a_sweep_from_mild_to_harsh() -> None:
    recipes = {"j30": "jpeg(30)", "j90": "jpeg(90)", "j60": "jpeg(60)", "b1": "blur(1)", "b0": "blur(0.5)"}
    recipes |= {"b3": "blur(3)", "half": "resize(0.5)", "px": "resize(112)", "both": "jpeg(10)|blur(9)"}
    recipes |= {"drawn": "jpeg(20,40)", "chance": "jpeg(50)@0.5"}
    params = two(degrade=recipes)
    assert [(sweep.name, list(sweep.conditions)) for sweep in degraded.sweeps(params)] == [
        ("jpeg", ["j90", "j60", "j30"]),
        ("blur", ["b0", "b1", "b3"]),
    ]
    chapter = degraded.chapter(results(params))
    assert chapter is not None
    swept = table(chapter, "sweep_jpeg_auroc")
    assert [column.name for column in swept.columns] == [CLEAN, "jpeg(90)", "jpeg(60)", "jpeg(30)"]
    assert numbers(swept, "resnet18", CROSS_GENERATOR) == pytest.approx([0.3, 0.1, 0.1, 0.1])


def test_genimage_has_six_conditions_and_no_sweep() -> None:
    assert degraded.sweeps(benchmark_params()) == []


# ---- calibration


def test_calibration_refuses_rates_that_few_real_images_cannot_give() -> None:
    chapter = calibration.chapter(results(two()))
    over = table(chapter, "over_trainings")
    own = line(over, "resnet18", IN_DOMAIN)
    assert own["TPR at 5 % FPR, %"].text == own["TPR at 1 % FPR, %"].text == "too few real images"
    assert own["Accuracy at 0.5, %"].value == pytest.approx(0.95)
    assert any(note.startswith("too few real images:") for note in over.notes)
    assert len(table(chapter, "each_training").lines) == 4


def test_calibration_gives_rates_from_200_and_1000_real_images_on() -> None:
    chapter = calibration.chapter(results(two(train=("dcgan",)), n_real=200))
    cross = line(table(chapter, "over_trainings"), "resnet18", CROSS_GENERATOR)
    assert cross["TPR at 5 % FPR, %"].value == pytest.approx(0.4)
    assert cross["TPR at 1 % FPR, %"].text == "too few real images"


# ---- images


def test_images_behind_every_column_and_where_all_went() -> None:
    def damaged(trained_on: str, tested_on: str, condition: str, seed: int) -> list[float]:
        return [np.nan, *hits(6)[1:]] if tested_on == "ldm" else hits(6)

    chapter = images.chapter(results(two(), damaged))
    tested = table(chapter, "tested")
    assert numbers(tested, "ldm") == [10, 9, 10, 1, 19, 0]
    assert numbers(tested, "dcgan") == [10, 10, 10, 0, 20, 0]
    assert all(column.unit == "count" for column in tested.columns)
    holdings = table(chapter, "holdings")
    went = {name: value and value.value for name, value in line(holdings, REAL).items()}
    assert went["images"] == 40 == went["unreadable"] + went["exact-copy"] + went["kept"]
    assert went["kept"] == 34 and went["test"] == 10 and went["test groups"] == 3


# ---- what all chapters share


def test_numbers_get_the_digits_that_their_intervals_support() -> None:
    assert cell_table.sensible_places([(0.5, 0.7)]) == 2
    assert cell_table.sensible_places([(0.55, 0.58)]) == 3
    assert cell_table.sensible_places([(0.5512, 0.5518)]) == 4
    assert cell_table.sensible_places([]) == 2
    values = [Value(0.56, 0.55, 0.58), None, Value(None)]
    assert cell_table.column_of("a", "share", values).places == 3
    assert cell_table.column_of("a", "percent", values).places == 1
    assert cell_table.column_of("a", "count", [Value(3)]).places == 0


@pytest.mark.parametrize(
    ("metric", "value", "expected"),
    [
        ("auroc", 0.5, 0.0),
        ("auroc", 1.0, 1.0),
        ("auroc", 0.25, -0.5),
        ("eer", 0.0, 1.0),
        ("eer", 0.75, -0.5),
        ("tpr_at_5", 0.525, 0.5),
        ("cllr", 4.0, -1.0),
        ("accuracy_real", 1.0, None),
        ("auroc", None, None),
    ],
)
def test_shades_are_of_the_distance_from_guessing(
    metric: str, value: float | None, expected: float | None
) -> None:
    assert cell_table.shade(metric, value) == (None if expected is None else pytest.approx(expected))


def test_differences_are_paired_resample_by_resample() -> None:
    one, other = Estimate(0.8, np.array([0.7, 0.8, 0.9])), Estimate(0.6, np.array([0.5, 0.6, 0.7]))
    less = cell_table.difference(one, other)
    assert less.value == pytest.approx(0.2) and less.draws is not None and less.draws.std() < 1e-12
    assert cell_table.difference(one, Estimate(None)).value is None
    assert cell_table.difference(one, Estimate(0.5)).draws is None


def test_captions_say_which_real_images_count() -> None:
    params = two()
    own = params.model_copy(update={"split": params.split.model_copy(update={"reals": "own"})})
    assert "none is dealt to two generators" in cell_table.about_reals(own)
    assert "all real test images" in cell_table.about_reals(params)


def test_samples_are_explained_by_what_they_hold() -> None:
    params = two()
    train = params.train.model_dump() | {"samples": {"few": {"of": ["ldm"], "images": 100, "balance": True}}}
    sampled = Params.model_validate({**params.model_dump(by_alias=True), "train": train})
    text = "few = ldm, 100 generated images, as many real as generated images of each class (a sample)"
    assert text in cell_table.about_trainings(sampled)


def test_seeds_give_deviations() -> None:
    def luck(trained_on: str, tested_on: str, condition: str, seed: int) -> list[float]:
        return hits(FOUND[trained_on][tested_on] - seed)

    chapter = cross_generator.chapter(results(two(seeds=(0, 1)), luck))
    value = line(table(chapter, "auroc"), "resnet18", "dcgan")["ldm"]
    assert value is not None and (value.value, value.sd) == pytest.approx((0.35, 0.1 / np.sqrt(2)))
    assert "means over 2 training seeds" in chapter.intro[1]


def test_all_chapters_are_well_formed_and_can_be_written_in_every_format() -> None:
    found_ = results(two(("resnet18", "cnnspot"), ("jpeg65",), sets={"both": ["dcgan", "ldm"]}))
    chapters = all_chapters(found_)
    names = [chapter.name for chapter in chapters]
    assert len(set(names)) == len(names)
    schema = json.loads((ROOT / "assets/tables/schema.json").read_text("utf-8"))
    validator = jsonschema.Draft202012Validator(schema)
    for chapter in chapters:
        tables = [one.name for one in chapter.tables]
        assert len(set(tables)) == len(tables)
        assert all(re.fullmatch(r"[a-z0-9_]+", name) for name in [chapter.name, *tables])
        for one in chapter.tables:
            assert one.caption.endswith(".") and "  " not in one.caption
            assert all(_fits(line, one) for line in one.lines)
        texts = {suffix: text(chapter, found_) for suffix, text in FORMATS.items()}
        assert all("ab" * 32 in text and "cd" * 32 in text for text in texts.values())
        document = json.loads(texts["json"])
        assert not [error.message for error in validator.iter_errors(document)]


def test_every_chapter_says_which_generator_could_not_be_made() -> None:
    params = two(("resnet18",), ("jpeg65",))
    report = params.report.model_copy(update={"set_aside": {"flux": SetAside(why="out of memory.")}})
    lost = results(params.model_copy(update={"report": report}))
    said = "Generators that should be here and could not be made: flux (out of memory)."
    chapters = all_chapters(lost)
    assert chapters and all(chapter.intro[-1] == said for chapter in chapters)
    assert all("flux (out of memory)" in FORMATS["md"](chapter, lost) for chapter in chapters)
    numbers = headline(lost)
    assert numbers["set_aside"] == {"flux": "out of memory."}
    assert dict(findings(numbers, lost))["Not made"] == said


def _fits(line: Line, of: Table) -> bool:
    return len(line.heads) == len(of.heads) and len(line.values) == len(of.columns)


# ---- the long table


def test_the_long_table_has_the_promised_columns_and_plain_numbers() -> None:
    found_ = results(two(conditions=("jpeg65",)), evaluations={("dcgan", "ldm"): "ef" * 32})
    long = records(found_)
    assert all(list(row) == list(COLUMNS) for row in long)
    keys = [tuple(row[name] for name in ("kind", "trained_on", "tested_on", "condition")) for row in long]
    assert len(set(keys)) == len(keys)
    text = as_csv(long)
    assert text.splitlines()[1].endswith("ab" * 32 + "," + "cd" * 32)
    assert "None" not in text and "nan" not in text.lower()
    for row in long:
        assert row["auroc"] is None or row["auroc_low"] <= row["auroc"] <= row["auroc_high"]
        hashed = (row["kind"], row["trained_on"], row["tested_on"]) == (CELL, "dcgan", "ldm")
        assert (
            row["evaluation"] == ("ef" * 32 if hashed and row["condition"] else None) or not row["condition"]
        )


def test_seeds_and_their_mean_are_rows_of_the_long_table() -> None:
    long = records(results(two(seeds=(0, 1))))
    seeds = [row["seed"] for row in long if row["kind"] == CELL]
    assert sorted(seeds) == ["0"] * 4 + ["1"] * 4 + ["mean"] * 4


def test_no_data_is_empty_in_the_long_table() -> None:
    def some(trained_on: str, tested_on: str, condition: str, seed: int) -> list[float]:
        return [] if tested_on == "ldm" else hits(6)

    row = next(row for row in records(results(two(), some)) if row["tested_on"] == "ldm")
    assert (row["n_generated"], row["auroc"], row["auroc_low"]) == (0, None, None)


def test_the_long_table_as_json_is_as_its_schema_says_and_equals_the_csv() -> None:
    given = {"theirs": {"kind": "npr", "weights": "theirs.pth"}}
    found_ = results(two(given=given), evaluations={("elsewhere/theirs", "ldm"): "ef" * 32})
    long = records(found_)
    text = as_json(long, found_)
    document = json.loads(text)
    schema = json.loads((ROOT / "assets/tables/schema.json").read_text("utf-8"))
    jsonschema.Draft202012Validator(schema).validate(document)
    assert document["rows"] == long and set(document["columns"]) == set(COLUMNS)
    lines = list(csv.DictReader(io.StringIO(as_csv(long))))
    assert [line["kind"] for line in lines] == [row["kind"] for row in long]
    of = [row["evaluation"] for row in long if (row["trained_on"], row["tested_on"]) == ("elsewhere", "ldm")]
    assert "ef" * 32 in of
