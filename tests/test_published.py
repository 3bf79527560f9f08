"""Published numbers: as they were printed, checked against themselves, beside what was measured."""

import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from assets.errors import AssayError
from assets.papers.checking import checked_means, verdict_on
from assets.papers.counterparts import Measured
from assets.papers.reading import PAPERS, PaperTable, read_paper
from assets.params import ELSEWHERE, Params, parse_params
from assets.report.results import Results
from assets.statistics.attributed import Attributed, Confusion
from assets.statistics.cells import CELL, CONTENT, GROUP, Cell, Estimate
from assets.statistics.metrics import METRICS
from assets.statistics.tabulate import Tabulated
from assets.tables import published
from assets.tables.table import Table
from assets.yaml12 import read_yaml
from tests.samples import params

EIGHT = ["midjourney", "sd14", "sd15", "adm", "glide", "wukong", "vqdm", "biggan"]
SIX = {
    "lr112": "resize(112)",
    "lr64": "resize(64)",
    "jpeg65": "jpeg(65)",
    "jpeg30": "jpeg(30)",
    "blur3": "blur(3.0)",
    "blur5": "blur(5)",
}


def printed(paper: str, table: str) -> PaperTable:
    (found,) = (one for one in read_paper(paper).tables if one.name == table)
    return found


# --- the numbers themselves ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("paper", "table", "row", "column", "metric", "number"),
    [
        ("genimage", "table3", "ResNet-50", "Avg", "accuracy", "72.1"),
        ("genimage", "table4", "ResNet-50", "Avg", "accuracy", "66.9"),
        ("genimage", "table3", "CNNSpot", "GLIDE", "accuracy", "39.8"),
        ("genimage", "table2", "GLIDE", "ADM", "accuracy", "56.0"),
        ("genimage", "table5", "GramNet", "LR 64", "accuracy", "94.9"),
        ("imaginet", "table3", "DALL·E 3", "Ours*", "auroc", ".9963"),
        ("imaginet", "contents", "faces", "Corvi2022", "balanced_accuracy", ".5316"),
        ("imaginet", "generators", "Animagine XL", "Grag2021", "auroc", ".1787"),
        ("imaginet", "table7", "SD", "Ours*", "recall", ".9683"),
        ("imaginet", "table6", "one image", "Wu2023", "milliseconds", "16.01"),
    ],
)
def test_numbers_are_as_printed(paper, table, row, column, metric, number):
    assert printed(paper, table).number(row, column, metric) == Decimal(number)


def test_what_is_not_known_is_no_number():
    assert printed("imaginet", "table4").number("MJv4", "Wu2023", "auroc") is None


@pytest.mark.parametrize("paper", ["genimage", "imaginet"])
def test_every_paper_has_its_source(paper):
    found = read_paper(paper)
    assert "arXiv" in found.paper and re.search(r"at [0-9a-f]{40}", found.source)


def test_table_2_is_marked_unverified_and_agrees_with_tables_3_and_4():
    """Its row of SD V1.4 is Table 3's; its column means are Table 4's, as far as rounded cells can say."""
    two, three, four = (printed("genimage", f"table{number}") for number in (2, 3, 4))
    assert not two.verified and three.verified and four.verified
    assert two.rows["SD V1.4"] == three.rows["ResNet-50"]
    for column in two.members[1]:
        cells = [two.number(row, column, "accuracy") for row in two.rows]
        of_table_4 = four.number("ResNet-50", column, "accuracy")
        assert verdict_on(of_table_4, cells)[1] != "does not agree"


# --- means of their own cells -------------------------------------------------------------------------------


def test_a_mean_agrees_if_it_rounds_to_what_was_printed():
    cells = [Decimal("50.1"), Decimal("50.2")]
    assert verdict_on(Decimal("50.1"), cells) == (Decimal("50.15"), "agrees")  # a tie goes either way
    assert verdict_on(Decimal("50.2"), cells)[1] == "agrees"
    assert verdict_on(Decimal("50.3"), cells)[1] == "does not agree"
    assert verdict_on(Decimal("50.1"), [Decimal("50.1"), Decimal("50.2"), Decimal("50.2")])[1] == "cut off"
    three = [Decimal("50.1"), Decimal("50.1"), Decimal("50.2")]
    assert verdict_on(Decimal("50.2"), three)[1] == "within rounding"
    assert verdict_on(Decimal("50.0"), three)[1] == "does not agree"


def flagged(paper):
    return {
        (one.table, one.row, one.column, one.metric): one.verdict
        for one in checked_means(read_paper(paper))
        if one.verdict != "agrees"
    }


def test_genimage_cut_off_means_of_its_table_5():
    assert flagged("genimage") == {
        ("table5", name, "Avg", "accuracy"): "cut off" for name in ("ResNet-50", "Swin-T", "F3Net")
    }
    assert len(checked_means(read_paper("genimage"))) == 8 + 7 + 7 + 7


def test_imaginet_has_one_mean_that_its_cells_do_not_have():
    assert flagged("imaginet") == {("table5", "mean", "Corvi2022*", "auroc"): "does not agree"}
    # with the number of the authors' own file it agrees
    table = printed("imaginet", "table5")
    column = [table.number(row, "Corvi2022*", "auroc") for row in table.members[0]]
    column[column.index(Decimal(".9989"))] = Decimal(".9889")
    assert verdict_on(Decimal(".9446"), column)[1] == "agrees"


def test_means_without_their_cells_are_not_checked():
    checked = {(one.table, one.column) for one in checked_means(read_paper("imaginet"))}
    assert ("table4", "Ours*") in checked and ("table4", "Wu2023") not in checked


# --- a paper's file -----------------------------------------------------------------------------------------


def changed(tmp_path: Path, before: str, after: str) -> Path:
    text = (PAPERS / "genimage.yaml").read_text("utf-8")
    assert text.count(before) >= 1
    (tmp_path / "genimage.yaml").write_text(text.replace(before, after, 1), "utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("98.8 76.4 76.9", "98.8 76.4", "row 'Midjourney' of table2 has 8 numbers, columns 9"),
        ("98.8 76.4", "98.8 a", "'a' in row 'Midjourney' of table2 is no number"),
        ("98.8 76.4", "98.8/1 76.4", "'98.8/1' in row 'Midjourney' of table2 is not accuracy"),
        ("mean_column: Avg", "mean_column: avg", "the mean 'avg' of table2 is not there; did you mean 'Avg'"),
        ("setting: ", "settings: ", "settings is not a parameter; did you mean 'setting'"),
        (
            "trained_on: SD V1.4, cond",
            "trained_on: SD 1.4, cond",
            "trained_on 'SD 1.4'; did you mean 'SD V1.4'",
        ),
        ("{detector: ResNet-50, condition: clean}", "{detector: ResNet-50}", "does not say its condition"),
    ],
)
def test_a_mistake_in_a_paper_is_named(tmp_path, before, after, message):
    with pytest.raises(AssayError, match=re.escape(message)):
        read_paper("genimage", changed(tmp_path, before, after))


def test_an_unknown_paper_lists_those_there_are():
    with pytest.raises(AssayError, match="no paper 'genimag'; did you mean 'genimage'"):
        read_paper("genimag")


def test_names_of_ours_are_those_of_the_presets():
    """Else a published number would never find what the preset measures."""
    presets = Path(__file__).parents[1] / "presets"
    genimage = parse_params(read_yaml(presets / "genimage.yaml"), "genimage")
    paper = read_paper("genimage")
    assert {*paper.detectors.values()} <= {*genimage.detectors}
    assert [name for names in paper.generators.values() for name in names] == [*genimage.generators] == EIGHT
    imaginet = parse_params(read_yaml(presets / "imaginet.yaml"), "imaginet")
    paper = read_paper("imaginet")
    assert {*paper.detectors.values()} <= {*imaginet.detectors}
    for names in paper.generators.values():
        for name in names:
            assert any(one == name or one.startswith(f"{name}_") for one in imaginet.generators)
    assert paper.conditions["social network"] in imaginet.degrade.values()


# --- beside what was measured -------------------------------------------------------------------------------


def cell(detector, trained_on, tested_on, value, condition="clean", kind=CELL, metric="accuracy") -> Cell:
    metrics = {name: Estimate(None) for name in METRICS}
    metrics[metric] = Estimate(value, value + np.linspace(-0.02, 0.02, 50))
    return Cell(kind, detector, trained_on, tested_on, condition, "0", 1, 1, metrics)


def results(parameters: Params, cells: list[Cell]) -> Results:
    tabulated = Tabulated(per_seed=[], cells=cells, means=[], num_images={})
    return Results(parameters, tabulated, {}, [], "l" * 64, "r" * 64)


def genimage(cells, generators=EIGHT, train=("sd14",), detectors=("resnet50",), paper="genimage", **sections):
    parameters = params(
        generators={n: {"from": f"data/{n}", "family": "gan", "released": "2022-01"} for n in generators},
        detectors={name: {"model": "resnet10t", "crop": 32} for name in detectors},
        train={"generators": list(train), "sets": {}, "samples": {}, "seeds": [0]},
        degrade=SIX,
        report={"paper": paper},
        **sections,
    )
    return results(parameters, cells)


def tables(found: Results) -> dict[str, Table]:
    chapter = published.chapter(found)
    for one in chapter.tables:
        assert re.fullmatch(r"[a-z0-9_]+", one.name) and one.caption.endswith(".")
        for line in one.lines:
            assert len(line.heads) == len(one.heads) and len(line.values) == len(one.columns)
    assert len({one.name for one in chapter.tables}) == len(chapter.tables)
    return {one.name: one for one in chapter.tables}


def line(table: Table, *heads: str):
    (found,) = (one for one in table.lines if one.heads == heads)
    return found.values


def test_published_measured_and_the_difference():
    found = tables(genimage([cell("resnet50", "sd14", "adm", 0.6)]))
    one = found["table3"]
    paper, ours, apart = line(one, "ResNet-50", "ADM")
    assert paper.value == pytest.approx(0.535) and ours.value == 0.6
    assert ours.cell == (CELL, "resnet50", "sd14", "adm", "clean")
    assert apart.value == pytest.approx(0.065)
    assert apart.high - apart.low == pytest.approx(ours.high - ours.low)
    assert len(one.lines) == 1 and [column.unit for column in one.columns] == ["percent", "percent", "points"]
    # the same cell stands in Table 2, which is marked
    assert line(found["table2"], "SD V1.4", "ADM")[0].value == pytest.approx(0.535)
    assert "(unverified)" in found["table2"].title and "from memory" in found["table2"].caption


def test_a_published_mean_has_a_counterpart_if_all_of_its_cells_have():
    cells = [cell("resnet50", "sd14", name, 0.5 + 0.01 * at) for at, name in enumerate(EIGHT)]
    assert line(tables(genimage(cells))["table3"], "ResNet-50", "Avg")[1].value == pytest.approx(0.535)
    assert not [one for one in tables(genimage(cells[1:]))["table3"].lines if one.heads[1] == "Avg"]


def test_table_4_needs_all_eight_trainings():
    """Else 72.1 and 66.9, means over other trainings, would be mixed up."""
    cells = [cell("resnet50", i, j, 0.9 if i == j else 0.5) for i in EIGHT for j in EIGHT]
    one = tables(genimage(cells, train=EIGHT))["table4"]
    assert line(one, "ResNet-50", "ADM")[1].value == pytest.approx((0.9 + 7 * 0.5) / 8)
    assert line(one, "ResNet-50", "Avg")[1].value == pytest.approx((0.9 + 7 * 0.5) / 8)
    fewer = tables(genimage(cells, train=EIGHT[:-1]))
    assert "table4" not in fewer
    assert ("nothing here is trained on biggan alone") in {
        one.heads[1] for one in fewer["without_counterpart"].lines
    }


def test_conditions_are_the_same_if_they_do_the_same():
    cells = [cell("resnet50", "sd14", "sd14", 0.7, "blur3"), cell("resnet50", "sd14", "sd14", 0.6, "jpeg30")]
    found = genimage(cells)
    one = tables(found)["table5"]
    assert line(one, "ResNet-50", "blur σ 3")[1].value == 0.7
    renamed = found.params.model_copy(update={"degrade": {"jpeg30": "resize(0.5)", "other": "jpeg(30)"}})
    moved = [cell("resnet50", "sd14", "sd14", 0.6, "jpeg30"), cell("resnet50", "sd14", "sd14", 0.8, "other")]
    assert line(tables(results(renamed, moved))["table5"], "ResNet-50", "JPEG 30")[1].value == 0.8


def test_what_has_no_counterpart_is_counted_with_its_reason():
    one = tables(genimage([], generators=["sd14", "adm"]))["without_counterpart"]
    reasons = {line.heads: line.values[0].value for line in one.lines}
    table3 = printed("genimage", "table3").title
    assert reasons[table3, "no detector here is called gramnet"] == 9
    assert reasons[table3, "not measured here"] == 2
    assert sum(reasons.values()) == 72 + 63 + 63 + 49
    assert one.folded


def test_a_paper_can_stand_alone():
    """Nothing of it was measured: its tables are there, folded."""
    found = genimage([], generators=["other"], train=["other"], detectors=["mine"])
    chapter = published.chapter(found)
    assert "stand alone" in chapter.intro[1]
    made = tables(found)
    assert [*made] == ["means", "without_counterpart", *(f"table{number}_printed" for number in (2, 3, 4, 5))]
    assert made["table3_printed"].folded
    assert line(made["table3_printed"], "CNNSpot")[4].value == pytest.approx(0.398)
    assert made["table3_printed"].columns[-1].mean and made["table3_printed"].columns[0].places == 1


def test_flagged_means_are_shown_with_what_their_cells_give():
    one = tables(genimage([]))["means"]
    heads = printed("genimage", "table5").title, "F3Net", "Avg", "Accuracy at 0.5"
    assert [value.text for value in line(one, *heads)] == ["62.1", "62.167", "cut off"]
    assert len(one.lines) == 3 and "29 means, of which 26 agree" in one.caption


def test_no_paper_no_chapter():
    assert published.chapter(results(params(), [])) is None


# --- ImagiNet -----------------------------------------------------------------------------------------------

NINE = [
    "progan", "stylegan_xl", "stylegan3", "sd21_photos", "sd21_faces", "sdxl", "animagine_xl", "journeydb",
    "dalle3",
]  # fmt: skip


SOCIAL = "square(256,1000)|to(256)|(jpeg(60,100)/webp(60,100))@0.75"


def imaginet(cells, groups=None, given=None, recipe=SOCIAL, attributors=None):
    parameters = params(
        generators={n: {"from": f"data/{n}", "family": "gan", "released": "2022-01"} for n in NINE},
        detectors={"selfcon": {"model": "resnet10t", "crop": 32}},
        given=given or {},
        attributors=attributors or {},
        train={"generators": [], "sets": {"part": NINE[:3], "whole": NINE}, "samples": {}, "seeds": [0]},
        degrade={"social": recipe},
        report={"paper": "imaginet", "groups": groups or {}},
    )
    return results(parameters, cells)


GANS = {"gans": ["stylegan3", "progan", "stylegan_xl"]}


def test_a_group_is_found_by_its_members():
    made = cell("selfcon", "whole", "gans", 0.93, "social", GROUP, "balanced_accuracy")
    one = tables(imaginet([made], GANS))["table3"]
    accuracy, auroc = line(one, "GAN", "Ours*")[:3], line(one, "GAN", "Ours*")[3:]
    assert [value and value.value for value in accuracy] == pytest.approx([0.9372, 0.93, -0.0072])
    assert auroc == (None, None, None)  # it has no data
    assert [column.unit for column in one.columns] == ["share", "share", "points"] * 2


def test_several_generators_without_a_group_are_averaged():
    cells = [
        cell("selfcon", "whole", name, value, "social", CELL, "auroc")
        for name, value in {"sd21_photos": 0.9, "sd21_faces": 0.8}.items()
    ]
    ours = line(tables(imaginet(cells))["generators"], "SD 2.1", "Ours*")[4]
    assert ours.value == pytest.approx(0.85) and ours.cell is None
    assert "generators" not in tables(imaginet(cells[:1]))


def test_contents_are_pooled_cells():
    made = cell("selfcon", "whole", "face", 0.9, "social", CONTENT, "auroc")
    one = tables(imaginet([made]))["contents"]
    assert [each.heads for each in one.lines] == [("faces", "Ours*")]


def test_released_weights_are_not_what_is_trained_here():
    """The paper ran Wu2023 as its makers released it: only a given detector of that name is the same."""
    made = cell("wu2023", ELSEWHERE, "dalle3", 0.5, "social", CELL, "auroc")
    given = {"wu2023": {"kind": "scores", "weights": "wu.parquet"}}
    assert line(tables(imaginet([made], given=given))["table3"], "DALL·E 3", "Wu2023")[3].value == 0.5482
    without = tables(imaginet([made]))["without_counterpart"]
    assert any("as its makers released it" in each.heads[1] for each in without.lines)


def test_track_2_counts_any_generator_of_the_group_as_right():
    """Unknown is wrong; a recall of a group has no draws, so no interval."""
    answers = (*NINE, "unknown")
    named = {"progan": {"progan": 0.5, "stylegan3": 0.5}, "stylegan_xl": {"unknown": 1.0}}
    named["stylegan3"] = {"stylegan3": 0.75, "sdxl": 0.25}
    shares = {name: [named.get(name, {}).get(answer, 0.0) for answer in answers] for name in NINE}
    confusion = Confusion("which", "whole", "social", answers, shares)
    found = imaginet([], attributors={"which": {"model": "resnet10t", "crop": 32}})
    one = tables(replace(found, attributed=Attributed([], [], [confusion])))["table7"]
    paper, ours, apart = line(one, "GAN", "Ours*")
    assert (paper.value, ours.value) == (0.9968, pytest.approx((1 + 0 + 0.75) / 3))
    assert ours.low is None and apart.low is None and one.notes == ()
    assert line(one, "mean", "Ours*")[1].value == pytest.approx((1 + 0 + 0.75) / 3 / 4)
    assert "unknown is wrong" in one.caption
    reasons = {each.heads[1] for each in tables(imaginet([]))["without_counterpart"].lines}
    assert "no attributor here is called which" in reasons


def test_another_condition_and_other_test_images_are_no_counterpart():
    made = cell("selfcon", "whole", "dalle3", 0.5, "social", CELL, "auroc")
    found = imaginet([made], recipe="jpeg(60)")
    assert "table3" not in tables(found)
    reasons = {each.heads[1] for each in tables(found)["without_counterpart"].lines}
    assert {f"no condition here is {SOCIAL}", "other test images than ImagiNet's"} <= reasons
    paper = read_paper("imaginet")
    table = printed("imaginet", "table6")
    measured = Measured(paper, found)
    assert "differ from run to run" in measured.at(table, next(table.places), "milliseconds").why
