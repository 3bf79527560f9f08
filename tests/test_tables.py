"""Tables from predictions with known answers."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assets.bootstrap import interval
from assets.cells import ALL, CELL
from assets.grids import cross_generator_grid, sensible_places
from assets.markdown import markdown_table
from assets.means import CROSS_GENERATOR, IN_DOMAIN, PLAIN_MEAN
from assets.params import REAL
from assets.predictions import COLUMNS, PredictionsError, read_predictions, write_predictions
from assets.tables import COLUMNS as TABLE_COLUMNS
from assets.tables import as_csv, records
from assets.tabulate import tabulate
from tests.made_up import benchmark_params, rows

REAL_LOGITS = [-1.0] * 10


def reader(found, params):
    """Predictions from found(trained_on, tested_on, condition, seed), the logits of the generated images."""

    def read(trained_on, tested_on):
        parts = []
        for detector in params.detectors:
            for seed in params.train.seeds:
                for condition in params.conditions:
                    if tested_on == REAL:
                        logits = REAL_LOGITS
                    else:
                        logits = found(trained_on, tested_on, condition, seed)
                    # a tiny shift for each detector: two weights never agree on every row
                    shift = 0.001 * list(params.detectors).index(detector) + 0.0001 * seed
                    shift += 0.01 * list(params.train.generators).index(trained_on)
                    logits = np.array(logits) + shift
                    names = {"detector": detector, "condition": condition, "seed": seed}
                    parts.append(rows(trained_on, tested_on, logits, **names))
        return pd.concat(parts, ignore_index=True)

    return read


def hits(count):
    """Ten generated images of which `count` score above every real one, the others below."""
    return [1.0] * count + [-3.0] * (10 - count)


def value(tabulated, kind, detector, trained_on, tested_on, condition="clean", metric="auroc"):
    keys = {cell.key: cell for cell in [*tabulated.cells, *tabulated.means]}
    return keys[kind, detector, trained_on, tested_on, condition].metrics[metric].value


FOUND = {("dcgan", "dcgan"): 10, ("dcgan", "ldm"): 4, ("ldm", "dcgan"): 2, ("ldm", "ldm"): 8}
"""trained on, tested on -> images found of ten: AUROC is a tenth of it, accuracy (10 + it) / 20."""


def two_by_two(conditions=(), seeds=(0,), detectors=("resnet18",)):
    params = benchmark_params(("dcgan", "ldm"), detectors, conditions, seeds)

    def found(trained_on, tested_on, condition, seed):
        return hits(min(10, FOUND[trained_on, tested_on] - 2 * (condition != "clean") + seed))

    return params, tabulate(params, reader(found, params))


def test_cells_come_from_generated_and_real_images_of_one_pair():
    _, tabulated = two_by_two()
    assert value(tabulated, CELL, "resnet18", "dcgan", "ldm") == pytest.approx(0.4)
    assert value(tabulated, CELL, "resnet18", "dcgan", "ldm", metric="accuracy") == pytest.approx(0.7)
    assert value(tabulated, CELL, "resnet18", "dcgan", "ldm", metric="accuracy_real") == 1.0
    cell = tabulated.cells[0]
    assert (cell.tally.n_real, cell.tally.n_generated, cell.tally.groups) == (10, 10, 20)


def test_means_stand_under_their_own_names():
    _, tabulated = two_by_two()

    def auroc(kind, trained_on, tested_on):
        return value(tabulated, kind, "resnet18", trained_on, tested_on)

    assert auroc(IN_DOMAIN, "dcgan", ALL) == pytest.approx(1.0)
    assert auroc(CROSS_GENERATOR, "dcgan", ALL) == pytest.approx(0.4)
    assert auroc(PLAIN_MEAN, "dcgan", ALL) == pytest.approx(0.7)
    # per test set, over training generators: GenImage Table 4 and its honest sister
    assert auroc(PLAIN_MEAN, ALL, "ldm") == pytest.approx(0.6)
    assert auroc(CROSS_GENERATOR, ALL, "ldm") == pytest.approx(0.4)
    assert auroc(IN_DOMAIN, ALL, "ldm") == pytest.approx(0.8)
    assert auroc(IN_DOMAIN, ALL, ALL) == pytest.approx(0.9)
    assert auroc(CROSS_GENERATOR, ALL, ALL) == pytest.approx(0.3)
    assert auroc(PLAIN_MEAN, ALL, ALL) == pytest.approx(0.6)


def test_the_mean_over_degradations_leaves_clean_out():
    _, tabulated = two_by_two(conditions=("jpeg65", "blur3"))
    assert value(tabulated, IN_DOMAIN, "resnet18", ALL, ALL, "blur3") == pytest.approx(0.7)
    assert value(tabulated, IN_DOMAIN, "resnet18", ALL, ALL, ALL) == pytest.approx(0.7)
    assert value(tabulated, CELL, "resnet18", "dcgan", "ldm", ALL) == pytest.approx(0.2)


def test_seeds_are_averaged_and_their_spread_is_told():
    _, tabulated = two_by_two(seeds=(0, 1))
    keys = {cell.key: cell for cell in [*tabulated.cells, *tabulated.means]}
    cell = keys[CELL, "resnet18", "dcgan", "ldm", "clean"]
    assert (cell.seed, cell.num_seeds) == ("mean", 2)
    assert cell.metrics["auroc"].value == pytest.approx(0.45)
    assert cell.metrics["auroc"].sd == pytest.approx(0.1 / np.sqrt(2))
    mean = keys[CROSS_GENERATOR, "resnet18", ALL, ALL, "clean"].metrics["auroc"]
    assert (mean.value, mean.sd) == pytest.approx((0.35, 0.1 / np.sqrt(2)))
    long = records(tabulated, 0.95, "l" * 64, "r" * 64)
    seeds = [row["seed"] for row in long if row["kind"] == "cell"]
    assert sorted(seeds) == ["0"] * 4 + ["1"] * 4 + ["mean"] * 4


def test_detectors_are_compared_on_the_same_resamples():
    _, tabulated = two_by_two(detectors=("resnet18", "cnnspot"))
    keys = {cell.key: cell for cell in tabulated.cells}
    one, other = (
        keys[CELL, detector, "dcgan", "ldm", "clean"].metrics["accuracy"].draws
        for detector in ("resnet18", "cnnspot")
    )
    assert (one == other).all() and len(set(one)) > 5


def test_a_mean_is_surer_than_its_cells_and_its_interval_holds_it():
    _, tabulated = two_by_two()
    keys = {cell.key: cell for cell in [*tabulated.cells, *tabulated.means]}
    mean = keys[CROSS_GENERATOR, "resnet18", ALL, ALL, "clean"].metrics["auroc"]
    cell = keys[CELL, "resnet18", "dcgan", "ldm", "clean"].metrics["auroc"]
    low, high = interval(mean.draws, 0.95)
    assert low < mean.value < high
    assert high - low < np.diff(interval(cell.draws, 0.95))[0]


def test_unreadable_images_are_counted_and_kept_out_of_the_numbers():
    params = benchmark_params(("dcgan",), ("resnet18",), ())
    generated = [np.nan, 1.0, 1.0, -3.0, np.nan]
    tabulated = tabulate(params, reader(lambda *_: generated, params))
    cell = tabulated.cells[0]
    assert (cell.tally.n_generated, cell.tally.n_unreadable, cell.tally.groups) == (3, 2, 13)
    assert cell.metrics["auroc"].value == pytest.approx(2 / 3)
    assert tabulated.num_images == {REAL: 10, "dcgan": 5}


def test_a_generator_without_test_images_is_no_data_and_left_out_of_means():
    params = benchmark_params(("dcgan", "ldm", "vqdm"), ("resnet18",), (), train=("dcgan",))

    def found(_, tested_on, *__):
        return [] if tested_on == "ldm" else hits(6)

    tabulated = tabulate(params, reader(found, params))
    assert value(tabulated, CELL, "resnet18", "dcgan", "ldm") is None
    assert value(tabulated, PLAIN_MEAN, "resnet18", "dcgan", ALL) == pytest.approx(0.6)
    means = {cell.key: cell for cell in tabulated.means}
    assert means[PLAIN_MEAN, "resnet18", "dcgan", ALL, "clean"].num_cells == 2
    row = next(row for row in records(tabulated, 0.95, "l", "r") if row["tested_on"] == "ldm")
    assert (row["n_generated"], row["auroc"], row["auroc_low"]) == (0, None, None)
    grid = cross_generator_grid(tabulated, params, "auroc")
    assert grid.value(grid.rows[0].cells[1]) == "no data"
    assert any(note.startswith("no data") for note in grid.notes)


def test_one_training_generator_that_is_the_only_one_has_no_cross_generator_mean():
    params = benchmark_params(("dcgan",), ("resnet18",), ())
    tabulated = tabulate(params, reader(lambda *_: hits(7), params))
    assert value(tabulated, CROSS_GENERATOR, "resnet18", ALL, ALL) is None


def test_a_class_of_one_group_has_values_but_no_intervals():
    params = benchmark_params(("dcgan",), ("resnet18",), ())
    plain = reader(lambda *_: hits(7), params)

    def read(trained_on, tested_on):
        frame = plain(trained_on, tested_on)
        return frame.assign(group="one") if tested_on == "dcgan" else frame

    tabulated = tabulate(params, read)
    grid = cross_generator_grid(tabulated, params, "auroc")
    cell = grid.rows[0].cells[0]
    assert (grid.value(cell), grid.interval(cell)) == ("0.70", "n/a")
    assert any("fewer than two groups" in note for note in grid.notes)


def test_long_tables_have_the_promised_columns_and_plain_numbers():
    _, tabulated = two_by_two(conditions=("jpeg65",))
    long = records(tabulated, 0.95, "ab" * 32, "cd" * 32)
    assert all(list(row) == list(TABLE_COLUMNS) for row in long)
    keys = [(row["kind"], row["trained_on"], row["tested_on"], row["condition"]) for row in long]
    assert len(set(keys)) == len(keys)
    text = as_csv(long)
    assert text.splitlines()[1].endswith("ab" * 32 + "," + "cd" * 32)
    assert "nan" not in text.lower().replace("n/a", "") and "None" not in text
    for row in long:
        assert row["auroc"] is None or row["auroc_low"] <= row["auroc"] <= row["auroc_high"]


def test_numbers_get_the_digits_that_their_intervals_support():
    assert sensible_places([(0.5, 0.7)]) == 2
    assert sensible_places([(0.55, 0.58)]) == 3
    assert sensible_places([(0.5512, 0.5518)]) == 4
    assert sensible_places([]) == 2


def test_markdown_aligns_and_keeps_hostile_names_in_their_cell():
    text = markdown_table(["name", "n"], [["a|b", "1"], ["<script>", "22"]])
    lines = text.splitlines()
    assert len({len(line) for line in lines}) == 1
    assert "a\\|b" in text and "<script>" not in text


# ---- predictions: the file


def valid_rows():
    return pd.concat(
        [rows("dcgan", "ldm", [0.5, np.nan, -1.0], condition=name) for name in ("clean", "jpeg")]
    )


def test_predictions_come_back_as_they_went_and_their_bytes_depend_on_content_alone(tmp_path):
    one, other = tmp_path / "a" / "one.parquet", tmp_path / "other.parquet"
    frame = valid_rows()
    write_predictions(one, frame)
    write_predictions(other, frame.sample(frac=1, random_state=1)[list(reversed(COLUMNS))])
    assert one.read_bytes() == other.read_bytes()
    back = read_predictions(one)
    assert list(back.columns) == list(COLUMNS)
    assert back["logit"].tolist()[:1] == [0.5] and np.isnan(back["logit"].to_numpy()[1])
    assert back["status"].tolist()[:2] == ["ok", "unreadable"]
    assert back["class_name"].isna().all()
    assert pq.read_schema(one).metadata is None
    assert pq.read_table(one, columns=["logit"]).column(0).null_count == 0


def test_no_rows_are_a_valid_file(tmp_path):
    write_predictions(tmp_path / "none.parquet", valid_rows().iloc[:0])
    assert len(read_predictions(tmp_path / "none.parquet")) == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"logit": [0.5, np.nan, np.inf]}, "not finite though the status is ok.*ldm-0002"),
        ({"logit": [0.5, 2.0, -1.0]}, "there is a logit though the status is not ok.*ldm-0001"),
        ({"id": ["x", "y", "x"]}, "this row stands twice .*id x.*clean"),
        ({"label": [1, 1, 2]}, "neither 0"),
        ({"group": ["a", None, "b"]}, "'group' has a null"),
        ({"threshold": [0.0, np.inf, 0.0]}, "the threshold is not finite"),
    ],
)
def test_predictions_that_contradict_themselves_are_refused(tmp_path, change, message):
    path = tmp_path / "predictions.parquet"
    frame = rows("dcgan", "ldm", [0.5, np.nan, -1.0]).assign(**change)
    with pytest.raises(PredictionsError, match=message):
        write_predictions(path, frame)
    assert not path.exists()


def test_columns_are_checked_by_name_and_type(tmp_path):
    path = tmp_path / "predictions.parquet"
    with pytest.raises(PredictionsError, match=r"missing column\(s\) threshold, logit"):
        write_predictions(path, valid_rows().drop(columns=["threshold", "logit"]))
    with pytest.raises(PredictionsError, match="unknown column 'logits'; did you mean 'logit'"):
        write_predictions(path, valid_rows().assign(logits=0))
    write_predictions(path, valid_rows())
    table = pq.read_table(path)
    at = table.column_names.index("seed")
    pq.write_table(table.set_column(at, "seed", table["seed"].cast(pa.string())), path)
    with pytest.raises(PredictionsError, match="'seed' holds string, expected int64"):
        read_predictions(path)
    path.write_bytes(b"PAR1 not really")
    with pytest.raises(PredictionsError, match="damaged"):
        read_predictions(path)
    with pytest.raises(PredictionsError, match="is not there"):
        read_predictions(tmp_path / "nowhere.parquet")


# ---- predictions: files that contradict one another


def broken(change, seeds=(0,), detectors=("resnet18", "cnnspot")):
    """Tabulate with `change(frame, trained_on, tested_on)` applied to every file."""
    params = benchmark_params(("dcgan", "ldm"), detectors, ("jpeg65",), seeds)
    plain = reader(lambda t, g, c, s: hits(FOUND[t, g]), params)
    tabulate(params, lambda *pair: change(plain(*pair), *pair))


def test_a_missing_condition_of_one_detector_is_named():
    def change(frame, trained_on, tested_on):
        gone = (frame["detector"] == "cnnspot") & (frame["condition"] == "jpeg65") & (tested_on == "ldm")
        return frame[~gone]

    with pytest.raises(PredictionsError, match="dcgan on ldm: nothing from cnnspot, seed 0, jpeg65"):
        broken(change)


def test_detectors_that_saw_different_images_are_named():
    def change(frame, trained_on, tested_on):
        gone = (frame["detector"] == "cnnspot") & (frame["id"] == "ldm-0003")
        return frame[~gone]

    with pytest.raises(PredictionsError, match=r"cnnspot.*different images \(10 and 9; ldm-0003"):
        broken(change)


def test_training_generators_that_saw_different_images_are_named():
    def change(frame, trained_on, tested_on):
        return frame[(frame["id"] != "real-0001") | (trained_on != "ldm")]

    with pytest.raises(PredictionsError, match=r"real: .*trained on dcgan and on ldm.*real-0001"):
        broken(change)


def test_rows_of_another_pair_are_refused():
    with pytest.raises(PredictionsError, match=r"dcgan on real: image .* has tested_on vqdm, expected real"):
        broken(lambda frame, *_: frame.assign(tested_on="vqdm"))
    with pytest.raises(PredictionsError, match="has label 1, expected 0"):
        broken(lambda frame, *_: frame.assign(label=1))


def test_two_weights_with_one_opinion_are_refused():
    def change(frame, trained_on, tested_on):
        return frame.assign(logit=frame["logit"].round(1))  # takes the detectors' tiny differences away

    with pytest.raises(PredictionsError, match=r"cnnspot .* and resnet18 .*different weights.*same logit"):
        broken(change)


def test_one_weights_file_under_two_names_is_refused():
    with pytest.raises(PredictionsError, match=r"resnet18 .* and cnnspot .* same weights"):
        broken(lambda frame, trained_on, _: frame.assign(weights=f"{trained_on:0>64}"))


def test_weights_that_change_between_files_are_refused():
    def change(frame, trained_on, tested_on):
        return frame.assign(weights=frame["weights"] + tested_on)

    with pytest.raises(PredictionsError, match=r"cnnspot .seed 0. trained on dcgan has other weights"):
        broken(change)


def test_two_thresholds_of_one_detector_are_refused():
    def change(frame, *_):
        return frame.assign(threshold=np.where(frame["condition"] == "clean", 0.0, 1.0))

    with pytest.raises(PredictionsError, match="2 weights or thresholds for"):
        broken(change)


def test_rows_that_the_parameters_no_longer_name_are_passed_over():
    params = benchmark_params(("dcgan", "ldm"), ("resnet18", "cnnspot"), ("jpeg65",), (0, 1))
    plain = reader(lambda t, g, c, s: hits(FOUND[t, g]), params)
    fewer = benchmark_params(("dcgan", "ldm"), ("cnnspot",), (), (1,))
    tabulated = tabulate(fewer, plain)
    assert {(c.detector, c.seed, c.condition) for c in tabulated.cells} == {("cnnspot", "1", "clean")}


SET_AND_GIVEN = {
    "dcgan": {"dcgan": 10, "ldm": 4, "vqdm": 5},
    "both": {"dcgan": 9, "ldm": 8, "vqdm": 6},
    "elsewhere": {"dcgan": 7, "ldm": 3, "vqdm": 2},
}
"""trained on -> tested on -> images found of ten."""


def set_and_given(train, **given):
    """resnet18 trained on `train` and on the set `both`; `theirs` was made elsewhere; two seeds."""
    params = benchmark_params(
        ("dcgan", "ldm", "vqdm"),
        ("resnet18",),
        (),
        (1, 2),
        train=train,
        sets={"both": ["dcgan", "ldm"]},
        given={"theirs": {"kind": "npr", "weights": "theirs.pth", **given}},
    )

    def read(source, tested_on):
        trained_on = source.partition("/")[0]
        made_here = trained_on != "elsewhere"
        parts = []
        for seed in (1, 2) if made_here else (0,):
            found = REAL_LOGITS if tested_on == REAL else hits(SET_AND_GIVEN[trained_on][tested_on])
            shift = 0.001 * seed + 0.01 * list(SET_AND_GIVEN).index(trained_on)
            detector = "resnet18" if made_here else source.partition("/")[2]
            parts.append(rows(trained_on, tested_on, np.array(found) + shift, detector=detector, seed=seed))
        return pd.concat(parts, ignore_index=True)

    return params, tabulate(params, read)


def test_a_set_is_in_domain_on_its_members_and_outside_the_mean_over_generators():
    params, tabulated = set_and_given(["dcgan"])
    assert value(tabulated, IN_DOMAIN, "resnet18", "both", ALL) == pytest.approx(0.85)
    assert value(tabulated, CROSS_GENERATOR, "resnet18", "both", ALL) == pytest.approx(0.6)
    assert value(tabulated, CROSS_GENERATOR, "resnet18", ALL, ALL) == pytest.approx(0.45)  # dcgan's alone
    grid = cross_generator_grid(tabulated, params, "auroc")
    assert [(row.detector, row.label) for row in grid.rows] == [
        ("resnet18", "dcgan"),
        ("resnet18", "both"),
        ("theirs", "elsewhere"),
    ]
    assert "both = dcgan + ldm or elsewhere" in grid.layout


def test_without_single_generators_the_mean_is_over_sets():
    _, tabulated = set_and_given([])
    assert value(tabulated, CROSS_GENERATOR, "resnet18", ALL, ALL) == pytest.approx(0.6)


def test_what_was_made_elsewhere_is_cross_generator_only_where_that_is_known():
    _, tabulated = set_and_given(["dcgan"])
    assert value(tabulated, PLAIN_MEAN, "theirs", "elsewhere", ALL) == pytest.approx(0.4)
    assert value(tabulated, CROSS_GENERATOR, "theirs", "elsewhere", ALL) is None
    assert value(tabulated, IN_DOMAIN, "theirs", ALL, ALL) is None
    _, tabulated = set_and_given(["dcgan"], seen=["dcgan"])
    assert value(tabulated, CROSS_GENERATOR, "theirs", ALL, ALL) == pytest.approx(0.25)
    assert value(tabulated, IN_DOMAIN, "theirs", ALL, ALL) == pytest.approx(0.7)
    keys = {cell.key: cell for cell in tabulated.cells}
    assert keys[CELL, "theirs", "elsewhere", "ldm", "clean"].num_seeds == 1
    assert keys[CELL, "resnet18", "both", "ldm", "clean"].num_seeds == 2
