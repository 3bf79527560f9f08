"""Cells, means and all else that is tabulated, from predictions with known answers; and what is refused."""

import numpy as np
import pandas as pd
import pytest

from assets.params import CLEAN, REAL
from assets.predictions import PredictionsError, predictions_path, read_predictions, write_predictions
from assets.seeds import rng
from assets.statistics import tabulate as module
from assets.statistics.bootstrap import Sample, draw_groups, interval, resampled_metrics, unbiased
from assets.statistics.cells import ALL, CELL, CLASSES, CONTENT, GROUP, SEEN, UNSEEN
from assets.statistics.means import (
    CROSS_FAMILY,
    CROSS_GENERATOR,
    IN_DOMAIN,
    PLAIN_MEAN,
    WORST,
    over_degradations,
)
from assets.statistics.metrics import LOWER_IS_BETTER, METRICS, all_metrics
from assets.statistics.scores import MANY_VALUES
from assets.statistics.tabulate import tabulate
from tests.made_up import benchmark_params, rows, scores

REAL_LOGITS = [-1.0] * 10


def reader(found, params):
    """Predictions from found(trained_on, tested_on, condition, seed), the logits of the generated images."""

    def read(source, tested_on):
        trained_on, _, alone = source.partition("/")
        parts = []
        for detector in [alone] if alone else params.detectors:
            for seed in params.seeds_of(detector):
                for condition in params.conditions:
                    if tested_on == REAL:
                        logits = REAL_LOGITS
                    else:
                        logits = found(trained_on, tested_on, condition, seed)
                    # a tiny shift for each detector: two weights never agree on every row
                    shift = 0.001 * params.scorers.index(detector) + 0.0001 * seed
                    shift += 0.01 * [*params.train.generators, "elsewhere"].index(trained_on)
                    logits = np.array(logits) + shift
                    names = {"detector": detector, "condition": condition, "seed": seed}
                    parts.append(rows(trained_on, tested_on, logits, **names))
        return pd.concat(parts, ignore_index=True)

    return read


def hits(count):
    """Ten generated images of which `count` score above every real one, the others below."""
    return [1.0] * count + [-3.0] * (10 - count)


def value(tabulated, kind, detector, trained_on, tested_on, condition="clean", metric="auroc"):
    return tabulated.find(kind, detector, trained_on, tested_on, condition).metrics[metric].value


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


def test_a_twin_is_no_degradation():
    params, tabulated = two_by_two(conditions=("jpeg65", "blur3"))
    spec = params.report.model_copy(update={"twins": ("jpeg65",)})
    twin = params.model_copy(update={"report": spec})
    assert twin.degradations == ("blur3",)
    (cell,) = over_degradations(
        [one for one in tabulated.per_seed if (one.trained_on, one.tested_on) == ("dcgan", "ldm")], twin
    )
    assert cell.num_cells == 1


def test_the_calibration_error_lies_in_its_interval():
    """Resampling alone makes it larger than it is."""
    random = np.random.default_rng(0)
    real, fake = (
        Sample(random.normal(at, 1, 60), np.arange(60), draw_groups(60, 400, seed))
        for at, seed in ((-1, 0), (1, 1))
    )
    labels = np.repeat([0, 1], 60)
    value = all_metrics(labels, np.concatenate([real.logits, fake.logits]), 0.0)["ece"]
    raw = resampled_metrics(real, fake, 0.0)["ece"]
    assert np.mean(raw) > value + 0.01
    moved = unbiased(raw, value)
    assert np.mean(moved) == pytest.approx(value, abs=0.002) and moved.min() >= 0
    low, high = interval(moved, 0.95)
    assert low < value < high
    assert unbiased(None, 0.5) is None and unbiased(raw, None) is raw


def test_seeds_are_averaged_and_their_spread_is_told():
    _, tabulated = two_by_two(seeds=(0, 1))
    keys = {cell.key: cell for cell in [*tabulated.cells, *tabulated.means]}
    cell = keys[CELL, "resnet18", "dcgan", "ldm", "clean"]
    assert (cell.seed, cell.num_seeds) == ("mean", 2)
    assert cell.metrics["auroc"].value == pytest.approx(0.45)
    assert cell.metrics["auroc"].sd == pytest.approx(0.1 / np.sqrt(2))
    mean = keys[CROSS_GENERATOR, "resnet18", ALL, ALL, "clean"].metrics["auroc"]
    assert (mean.value, mean.sd) == pytest.approx((0.35, 0.1 / np.sqrt(2)))
    assert sorted(cell.seed for cell in tabulated.per_seed) == ["0"] * 4 + ["1"] * 4


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
    mean = tabulated.find(PLAIN_MEAN, "resnet18", "dcgan", ALL, CLEAN)
    assert (mean.num_cells, tabulated.find(CELL, "resnet18", "dcgan", "ldm", CLEAN).tally.n_real) == (2, 10)
    assert (CELL, "resnet18", "dcgan", "ldm", CLEAN) not in tabulated.curves
    assert ("dcgan", "ldm", CLEAN) not in tabulated.delong


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

    estimate = tabulate(params, read).cells[0].metrics["auroc"]
    assert (estimate.value, estimate.draws) == (pytest.approx(0.7), None)


# ---- files that contradict one another


@pytest.fixture
def broken(tmp_path):
    """Write every file with `change(frame, trained_on, tested_on)` applied to it, then tabulate them."""

    def tabulated(change, seeds=(0,), found=lambda *pair: hits(FOUND[pair]), given=()):
        given = {name: {"kind": "npr", "weights": f"{name}.pth"} for name in given}
        params = benchmark_params(("dcgan", "ldm"), ("resnet18", "cnnspot"), ("jpeg65",), seeds, given=given)
        read = reader(lambda trained_on, tested_on, *_: found(trained_on, tested_on), params)
        for trained_on in (*params.train.generators, *(f"elsewhere/{name}" for name in given)):
            for tested_on in (REAL, *params.generators):
                frame = change(read(trained_on, tested_on), trained_on, tested_on)
                write_predictions(predictions_path(tmp_path, trained_on, tested_on), frame)
        return tabulate(params, lambda *pair: read_predictions(predictions_path(tmp_path, *pair)))

    return tabulated


def test_a_missing_condition_of_one_detector_is_named(broken):
    def change(frame, trained_on, tested_on):
        gone = (frame["detector"] == "cnnspot") & (frame["condition"] == "jpeg65") & (tested_on == "ldm")
        return frame[~gone]

    with pytest.raises(PredictionsError, match="dcgan on ldm: nothing from cnnspot, seed 0, jpeg65"):
        broken(change)


def test_detectors_that_saw_different_images_are_named(broken):
    def change(frame, trained_on, tested_on):
        gone = (frame["detector"] == "cnnspot") & (frame["id"] == "ldm-0003")
        return frame[~gone]

    with pytest.raises(PredictionsError, match=r"cnnspot.*different images \(10 and 9; ldm-0003"):
        broken(change)


def test_training_generators_that_saw_different_images_are_named(broken):
    def change(frame, trained_on, tested_on):
        return frame[(frame["id"] != "real-0001") | (trained_on != "ldm")]

    with pytest.raises(PredictionsError, match=r"real: .*trained on dcgan and on ldm.*real-0001"):
        broken(change)


def test_an_image_that_two_test_sets_share_is_refused(broken):
    def change(frame, trained_on, tested_on):
        return frame.assign(id=frame["id"].replace("ldm-0004", "real-0002"))

    with pytest.raises(PredictionsError, match="image real-0002 is a test image of ldm and of real"):
        broken(change)


def test_rows_of_another_pair_are_refused(broken):
    with pytest.raises(PredictionsError, match=r"dcgan on real: image .* has tested_on vqdm, expected real"):
        broken(lambda frame, *_: frame.assign(tested_on="vqdm"))
    with pytest.raises(PredictionsError, match="has label 1, expected 0"):
        broken(lambda frame, *_: frame.assign(label=1))


def test_two_weights_with_one_opinion_are_refused(broken):
    def change(frame, trained_on, tested_on):
        return frame.assign(logit=frame["logit"].round(1))  # takes the detectors' tiny differences away

    with pytest.raises(PredictionsError, match=r"cnnspot .* and resnet18 .*different weights.*same logit"):
        broken(change)


def test_one_weights_file_under_two_names_is_refused(broken):
    with pytest.raises(PredictionsError, match=r"cnnspot .* and resnet18 .* same weights"):
        broken(lambda frame, trained_on, _: frame.assign(weights=f"{trained_on:0>64}"))


def test_a_second_seed_that_was_never_trained_is_refused(broken):
    """The first seed's weights, or its predictions, under the second one's name."""
    first = rows("dcgan", "ldm", [0.0])["weights"][0]

    def weights(frame, trained_on, _):
        odd = (frame["seed"] == 1) & (frame["detector"] == "resnet18") & (trained_on == "dcgan")
        return frame.assign(weights=frame["weights"].where(~odd, first))

    with pytest.raises(PredictionsError, match=r"resnet18 .seed 1. .* and resnet18 .seed 0. .* same weights"):
        broken(weights, seeds=(0, 1))

    def predictions(frame, trained_on, _):
        return frame.assign(logit=frame["logit"].round(3))  # seeds differ in the fourth digit

    with pytest.raises(PredictionsError, match=r"resnet18 .seed 1. .*resnet18 .seed 0. .*same logit"):
        broken(predictions, seeds=(0, 1))


def test_weights_that_change_between_files_are_refused(broken):
    def change(frame, trained_on, tested_on):
        return frame.assign(weights=frame["weights"] + tested_on)

    with pytest.raises(PredictionsError, match=r"resnet18 .seed 0. trained on dcgan has other weights"):
        broken(change)


def test_two_thresholds_of_one_detector_are_refused(broken):
    def change(frame, *_):
        return frame.assign(threshold=np.where(frame["condition"] == "clean", 0.0, 1.0))

    with pytest.raises(PredictionsError, match="2 weights or thresholds for"):
        broken(change)


def test_an_image_in_two_groups_is_refused(broken):
    def in_one_block(frame, trained_on, tested_on):
        odd = (frame["id"] == "ldm-0004") & (frame["condition"] == "jpeg65")
        return frame.assign(group=frame["group"].where(~odd, "another"))

    with pytest.raises(
        PredictionsError, match="image ldm-0004 has one group for resnet18, seed 0, clean and"
    ):
        broken(in_one_block)

    def in_one_file(frame, trained_on, tested_on):
        odd = (frame["id"] == "ldm-0004") & (trained_on == "ldm")
        return frame.assign(group=frame["group"].where(~odd, "another"))

    message = "ldm: image ldm-0004 has the group ldm-0004 for the detectors trained on dcgan and another for"
    with pytest.raises(PredictionsError, match=message):
        broken(in_one_file)


@pytest.mark.parametrize("column", ["content", "class_name"])
def test_what_an_image_shows_is_one_thing_for_all(broken, column):
    def change(frame, trained_on, tested_on):
        odd = (frame["id"] == "real-0007") & (trained_on == "ldm")
        return frame.assign(**{column: frame[column].astype(object).where(~odd, "face")})

    words = column.replace("_", " ")
    with pytest.raises(
        PredictionsError, match=f"real: image real-0007 has the {words} .* and face for those"
    ):
        broken(change)


def made_elsewhere(change):
    """Apply a change to the files of the given detector alone."""
    return lambda frame, trained_on, *pair: change(frame) if trained_on == "elsewhere/theirs" else frame


def test_what_was_made_elsewhere_is_held_to_the_same(broken):
    found = {**FOUND, ("elsewhere", "dcgan"): 7, ("elsewhere", "ldm"): 1}
    given = {"given": ["theirs"], "found": lambda *pair: hits(found[pair])}
    tabulated = broken(lambda frame, *_: frame, **given)
    assert value(tabulated, CELL, "theirs", "elsewhere", "ldm") == pytest.approx(0.1)
    with pytest.raises(PredictionsError, match=r"trained on dcgan and on elsewhere were tested on different"):
        broken(made_elsewhere(lambda frame: frame[frame["id"] != "real-0001"]), **given)
    weights = rows("dcgan", "ldm", [0.0])["weights"][0]
    with pytest.raises(PredictionsError, match=r"theirs .* elsewhere and resnet18 .* have the same weights"):
        broken(made_elsewhere(lambda frame: frame.assign(weights=weights)), **given)
    with pytest.raises(PredictionsError, match=r"elsewhere on real: nothing from theirs, seed 0, jpeg65"):
        broken(made_elsewhere(lambda frame: frame[frame["condition"] == CLEAN]), **given)


def alike_on(tested_on, values):
    """resnet18 and cnnspot say the same of one test set's clean images, which takes so many values."""

    def change(frame, trained_on, here):
        if here != tested_on or trained_on != "dcgan":
            return frame
        number = frame["id"].str[-4:].astype(int)
        alike = frame["condition"] == CLEAN
        return frame.assign(logit=np.where(alike, number % values, frame["logit"]).astype(np.float32))

    return change


def test_one_opinion_on_one_test_set_is_refused_unless_it_takes_few_values(broken):
    message = r"cnnspot .* and resnet18 .*different weights.*same logit on every image of ldm .clean"
    with pytest.raises(PredictionsError, match=message):
        broken(alike_on("ldm", MANY_VALUES))
    tabulated = broken(alike_on("ldm", MANY_VALUES - 1))  # as hard decisions, they may agree
    one, other = (tabulated.find(CELL, name, "dcgan", "ldm", CLEAN) for name in ("resnet18", "cnnspot"))
    assert one.metrics["accuracy_generated"].value == other.metrics["accuracy_generated"].value


def test_a_file_that_was_copied_over_another_is_refused(broken):
    """The numbers of the detectors trained on dcgan, under the names of those trained on ldm."""

    def change(frame, trained_on, tested_on):
        random = rng("copied", *(() if tested_on == "ldm" else (trained_on,)), tested_on)
        return frame.assign(logit=random.normal(size=len(frame)).astype(np.float32))

    message = r"resnet18 .* trained on ldm and resnet18 .* trained on dcgan have different weights .* of ldm"
    with pytest.raises(PredictionsError, match=message):
        broken(change)


def test_constants_are_no_sign_of_one_detector_taken_for_another(broken):
    """Detectors that learnt nothing may end in the same constant; that says so in the table."""
    tabulated = broken(lambda frame, *_: frame.assign(logit=np.float32(0.25)))
    assert {cell.metrics["auroc"].value for cell in tabulated.cells} == {0.5}


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
SET_TESTED = ("dcgan", "ldm", "vqdm")


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
    _, tabulated = set_and_given(["dcgan"])
    assert value(tabulated, IN_DOMAIN, "resnet18", "both", ALL) == pytest.approx(0.85)
    assert value(tabulated, CROSS_GENERATOR, "resnet18", "both", ALL) == pytest.approx(0.6)
    assert value(tabulated, CROSS_GENERATOR, "resnet18", ALL, ALL) == pytest.approx(0.45)  # dcgan's alone


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


# ---- the other kinds of means


def test_cross_family_leaves_out_what_is_related_to_the_training():
    """dcgan and gan2 are GANs, ldm is not: trained on both kinds, no family is new."""
    params = benchmark_params(
        ("dcgan", "gan2", "ldm"), ("resnet18",), (), train=("dcgan", "ldm"), sets={"both": ["gan2", "ldm"]}
    )
    found = {"dcgan": (10, 6, 4), "ldm": (3, 5, 9), "both": (7, 7, 7)}

    def read(trained_on, tested_on):
        shift = 0.01 * list(found).index(trained_on)
        count = [] if tested_on == REAL else found[trained_on][list(params.generators).index(tested_on)]
        logits = REAL_LOGITS if tested_on == REAL else hits(count)
        return rows(trained_on, tested_on, np.array(logits) + shift)

    tabulated = tabulate(params, read)
    assert value(tabulated, CROSS_GENERATOR, "resnet18", "dcgan", ALL) == pytest.approx(0.5)
    assert value(tabulated, CROSS_FAMILY, "resnet18", "dcgan", ALL) == pytest.approx(0.4)
    assert value(tabulated, CROSS_FAMILY, "resnet18", "ldm", ALL) == pytest.approx(0.4)
    assert value(tabulated, CROSS_FAMILY, "resnet18", "both", ALL) is None
    assert value(tabulated, CROSS_FAMILY, "resnet18", ALL, "gan2") == pytest.approx(0.5)
    assert tabulated.find(CROSS_FAMILY, "resnet18", ALL, ALL, CLEAN).num_cells == 3


def test_the_worst_generator_is_the_lowest_of_a_training_and_the_highest_of_an_error():
    _, tabulated = two_by_two(conditions=("jpeg65",))
    assert value(tabulated, WORST, "resnet18", "dcgan", ALL) == pytest.approx(0.4)
    assert value(tabulated, WORST, "resnet18", "ldm", ALL) == pytest.approx(0.2)
    assert value(tabulated, WORST, "resnet18", ALL, ALL) == pytest.approx(0.3)
    assert tabulated.find(WORST, "resnet18", ALL, "ldm", CLEAN) is None
    assert value(tabulated, WORST, "resnet18", "dcgan", ALL, ALL) == pytest.approx(0.2)
    cells = [tabulated.find(CELL, "resnet18", "dcgan", name, CLEAN) for name in ("dcgan", "ldm")]
    worst = tabulated.find(WORST, "resnet18", "dcgan", ALL, CLEAN)
    for name in ("auroc", "eer", "brier"):
        pick, pick_each = (max, np.maximum) if name in LOWER_IS_BETTER else (min, np.minimum)
        one, other = (cell.metrics[name] for cell in cells)
        assert worst.metrics[name].value == pick(one.value, other.value)
        assert (worst.metrics[name].draws == pick_each(one.draws, other.draws)).all()


# ---- images of several generators counted together

CONTENT_OF = ("photo", "painting", "photo", None, "face")
CLASS_OF = ("cat", "dog", None, "owl")
POOLED_GENERATORS = ("dcgan", "ldm", "vqdm")


def pooled_params(**more):
    return benchmark_params(
        POOLED_GENERATORS,
        ("resnet18",),
        ("jpeg65",),
        train=("dcgan",),
        samples={"few": {"of": ["dcgan", "ldm"], "classes": 2}},
        groups={"two": ["ldm", "vqdm"], "gan": ["dcgan"]},
        **more,
    )


def pooled_frame(params, trained_on, tested_on, faces=True):
    """37 real or 30 generated images, some without a score, contents and classes in turn."""
    frame = scores(params, trained_on, tested_on, 37 if tested_on == REAL else 30)
    number = frame["id"].str[-4:].astype(int)
    content = [CONTENT_OF[at % 5] for at in number]
    if not faces:
        content = ["photo" if name == "face" else name for name in content]
    return frame.assign(content=content, class_name=[CLASS_OF[at % 4] for at in number])


def by_hand(params, trained_on, generators, condition, chosen):
    """All metrics of the clean images that `chosen(frame)` takes, real and generated."""
    frames = [pooled_frame(params, trained_on, name) for name in (REAL, *generators)]
    frame = pd.concat([one[chosen(one)] for one in frames])
    frame = frame[(frame["condition"] == condition) & (frame["status"] == "ok")]
    return all_metrics(frame["label"], frame["logit"], 0.25), len(frame)


def assert_equal(cell, expected):
    metrics, scored = expected
    assert {name: cell.metrics[name].value for name in METRICS} == pytest.approx(metrics)
    assert cell.tally.n_real + cell.tally.n_generated == scored


def test_groups_count_the_images_of_their_generators_together():
    params = pooled_params()
    tabulated = tabulate(params, lambda *pair: pooled_frame(params, *pair))
    for condition in ("clean", "jpeg65"):
        cell = tabulated.find(GROUP, "resnet18", "few", "two", condition)
        assert_equal(
            cell, by_hand(params, "few", ("ldm", "vqdm"), condition, lambda frame: frame["label"] < 2)
        )
        assert (cell.seen, cell.tally.n_unreadable) == (True, 3)
    alone = tabulated.find(GROUP, "resnet18", "dcgan", "gan", CLEAN)
    pair = tabulated.find(CELL, "resnet18", "dcgan", "dcgan", CLEAN)
    assert alone.tally == pair.tally
    assert (alone.metrics["auroc"].draws == pair.metrics["auroc"].draws).all()
    assert tabulated.find(GROUP, "resnet18", "dcgan", "two", CLEAN).seen is False
    degraded = tabulated.find(GROUP, "resnet18", "few", "two", ALL)
    one = tabulated.find(GROUP, "resnet18", "few", "two", "jpeg65")
    assert degraded.metrics["ap"].value == one.metrics["ap"].value
    assert {cell.kind for cell in tabulated.cells} == {CELL}, "means of pairs leave pooled cells out"


def test_groups_count_the_real_images_that_answer_any_of_their_generators():
    params = pooled_params()
    answered = {
        "dcgan": frozenset(["real-0001"]),
        "ldm": frozenset(["real-0002", "real-0003"]),
        "vqdm": frozenset(["real-0003", "real-0005"]),
    }
    tabulated = tabulate(params, lambda *pair: pooled_frame(params, *pair), answered)
    cell = tabulated.find(GROUP, "resnet18", "dcgan", "two", CLEAN)
    kept = {"real-0002", "real-0003", "real-0005"}
    expected = by_hand(
        params, "dcgan", ("ldm", "vqdm"), "clean", lambda f: (f["label"] == 1) | f["id"].isin(kept)
    )
    assert_equal(cell, expected)
    assert cell.tally.n_real == 3


def test_contents_take_real_and_generated_images_that_show_them():
    params = pooled_params()
    tabulated = tabulate(
        params,
        lambda *pair: pooled_frame(params, *pair),
        seen_contents={"dcgan": frozenset(["photo", "face"])},
    )
    found = [cell.tested_on for cell in tabulated.pooled if cell.key[0] == CONTENT]
    assert list(dict.fromkeys(found)) == ["photo", "painting", "face"]
    for content in ("photo", "painting", "face"):
        cell = tabulated.find(CONTENT, "resnet18", "dcgan", content, CLEAN)
        expected = by_hand(
            params, "dcgan", POOLED_GENERATORS, "clean", lambda frame, c=content: frame["content"] == c
        )
        assert_equal(cell, expected)
        assert cell.seen is (content != "painting")
        assert tabulated.find(CONTENT, "resnet18", "few", content, CLEAN).seen is None


def test_one_content_alone_has_no_cells_of_its_own():
    params = pooled_params()
    tabulated = tabulate(params, lambda *pair: pooled_frame(params, *pair).assign(content="photo"))
    assert not [cell for cell in tabulated.pooled if cell.kind == CONTENT]


def test_classes_seen_and_not_are_those_of_the_generators_trained_on():
    params = pooled_params()
    tabulated = tabulate(
        params, lambda *pair: pooled_frame(params, *pair), seen_classes={"few": frozenset(["cat"])}
    )
    for name, classes in ((SEEN, ["cat"]), (UNSEEN, ["dog", "owl"])):
        cell = tabulated.find(CLASSES, "resnet18", "few", name, CLEAN)
        expected = by_hand(
            params, "few", ("dcgan", "ldm"), "clean", lambda f, names=classes: f["class_name"].isin(names)
        )
        assert_equal(cell, expected)
        assert cell.seen is (name == SEEN)
    assert {cell.trained_on for cell in tabulated.pooled if cell.kind == CLASSES} == {"few"}


def test_pooled_cells_over_seeds_have_a_spread_and_the_mean_of_draws():
    params = pooled_params(seeds=(3, 4))
    tabulated = tabulate(params, lambda *pair: pooled_frame(params, *pair))
    both = tabulated.find(GROUP, "resnet18", "dcgan", "two", CLEAN)
    each = []
    for seed in (3, 4):
        alone = pooled_params(seeds=(seed,))
        each.append(
            tabulate(alone, lambda *pair: pooled_frame(params, *pair)).find(*both.key).metrics["auroc"]
        )
    auroc = both.metrics["auroc"]
    values = [one.value for one in each]
    assert (both.seed, auroc.value) == ("mean", pytest.approx(np.mean(values)))
    assert auroc.sd == pytest.approx(np.std(values, ddof=1))
    assert auroc.draws == pytest.approx(np.mean([one.draws for one in each], axis=0))


# ---- images that count for no detector


def test_images_left_out_are_in_no_number_but_are_counted():
    params = pooled_params()
    gone = {REAL: frozenset(["real-0002", "real-0036"]), "ldm": frozenset(["ldm-0000"]), "vqdm": frozenset()}
    every = frozenset().union(*gone.values())

    def without(*pair):
        frame = pooled_frame(params, *pair)
        return frame[~frame["id"].isin(every)]

    seen = {"few": frozenset(["cat"])}
    tabulated = tabulate(params, lambda *pair: pooled_frame(params, *pair), left_out=gone, seen_classes=seen)
    expected = tabulate(params, without, seen_classes=seen)
    assert tabulated.left_out == {REAL: 2, "ldm": 1}
    assert tabulated.num_images == {REAL: 37, "dcgan": 30, "ldm": 30, "vqdm": 30}
    assert_same(tabulated, expected)
    answered = dict.fromkeys(POOLED_GENERATORS, frozenset(["real-0002", "real-0003"]))
    cell = tabulate(params, lambda *pair: pooled_frame(params, *pair), answered, gone).cells[0]
    assert cell.tally.n_real == 1


def assert_same(one, other):
    """Cell by cell and draw by draw."""
    assert [row.key for row in one.rows] == [row.key for row in other.rows]
    for first, second in zip(one.rows, other.rows, strict=True):
        assert (first.tally, first.seen) == (second.tally, second.seen)
        for name in METRICS:
            np.testing.assert_array_equal(first.metrics[name].value, second.metrics[name].value)
            np.testing.assert_array_equal(first.metrics[name].draws, second.metrics[name].draws)


def test_an_image_left_out_that_nobody_was_tested_on_is_refused():
    params = pooled_params()
    with pytest.raises(PredictionsError, match="dcgan on ldm: nothing about ldm-0099"):
        tabulate(params, lambda *pair: pooled_frame(params, *pair), left_out={"ldm": frozenset(["ldm-0099"])})


# ---- how it is done changes nothing


def test_numbers_do_not_depend_on_threads_or_on_the_order_of_rows(monkeypatch):
    params = pooled_params()
    tabulated = tabulate(params, lambda *pair: pooled_frame(params, *pair))
    monkeypatch.setattr(module, "num_threads", lambda: 1)
    shuffled = tabulate(params, lambda *pair: pooled_frame(params, *pair).sample(frac=1, random_state=1))
    assert_same(tabulated, shuffled)
    monkeypatch.setattr(module, "num_threads", lambda: 5)
    assert_same(tabulated, tabulate(params, lambda *pair: pooled_frame(params, *pair)))


def test_files_and_frames_give_the_same(tmp_path):
    params = pooled_params()
    for trained_on in params.sources:
        for tested_on in (REAL, *params.generators):
            frame = pooled_frame(params, trained_on, tested_on)
            write_predictions(predictions_path(tmp_path, trained_on, tested_on), frame)
    from_files = tabulate(params, lambda *pair: read_predictions(predictions_path(tmp_path, *pair)))
    assert_same(from_files, tabulate(params, lambda *pair: pooled_frame(params, *pair)))


# ---- curves and comparisons


def test_curves_and_comparisons_are_of_clean_images_and_the_first_seed():
    _, tabulated = set_and_given(["dcgan"])
    keys = {(CELL, "resnet18", source, name, CLEAN) for source in ("dcgan", "both") for name in SET_TESTED}
    assert set(tabulated.curves) == keys | {(CELL, "theirs", "elsewhere", name, CLEAN) for name in SET_TESTED}
    found = tabulated.delong["both", "vqdm", CLEAN]
    assert found.detectors == ("resnet18", "theirs")
    assert found.aurocs == pytest.approx([0.6, 0.2])
    assert tabulated.delong["elsewhere", "ldm", CLEAN].detectors == ("theirs",)


def test_comparisons_are_over_the_images_that_all_scored():
    params = benchmark_params(("dcgan",), ("resnet18", "cnnspot"), ())
    generated = {"resnet18": [1.0, 2, 3, np.nan], "cnnspot": [-3.0, np.nan, 1, 2]}

    def read(trained_on, tested_on):
        said = {name: [-1.0, 0, np.nan] if tested_on == REAL else generated[name] for name in generated}
        return pd.concat([rows(trained_on, tested_on, said[name], detector=name) for name in said])

    found = tabulate(params, read).delong["dcgan", "dcgan", CLEAN]
    assert found.detectors == ("resnet18", "cnnspot")
    assert found.aurocs == pytest.approx([1.0, 0.5])
    assert found.covariance.shape == (2, 2)
