"""Raw beside aligned: what is left of a detector when both classes come in one form."""

from collections.abc import Sequence

from assets.params import CLEAN, Params
from assets.report.results import Results
from assets.statistics.cells import ALL, CELL
from assets.statistics.means import CROSS_GENERATOR, IN_DOMAIN
from assets.statistics.metrics import TITLES
from assets.statistics.studies import aligned_trainings
from assets.tables.cell_table import (
    about_intervals,
    about_means,
    about_reals,
    about_trainings,
    definition,
    join,
)
from assets.tables.comparisons import Contrast, Pairs, contrast_table
from assets.tables.table import Chapter, Table

METRICS = ("auroc", "accuracy")
KINDS = (IN_DOMAIN, CROSS_GENERATOR)


def chapter(results: Results) -> Chapter | None:
    """Twins by condition, then by training; None where nothing is aligned."""
    params = results.params
    tables = [
        table
        for condition in params.report.twins
        for table in (
            *(_means(results, condition, metric) for metric in METRICS),
            _generators(results, condition),
        )
    ]
    if aligned_trainings(params):
        tables += [_trainings(results, metric) for metric in METRICS]
    if not tables:
        return None
    return Chapter(
        "twins",
        "Raw and aligned",
        (
            "In most collections real images are JPEG files of many sizes and generated ones PNG files of "
            "one. A detector can learn that in place of what generators leave in pictures. Here every number "
            "stands twice: on images as they are (raw), and on images brought into one form (aligned).",
            "A number that falls rested on the form, or on traces that aligning destroys as well; one that "
            "stays did not. Aligning both classes alike changes real images too; aligning generated ones "
            "only gives them what the real ones have been through. Where detectors were trained on aligned "
            "images, that training stands beside the raw one.",
            about_intervals(params),
        ),
        tuple(tables),
    )


def what_it_does(params: Params, condition: str) -> str:
    """Which class of images a condition changes, and how: a sentence."""
    real, generated = params.recipe(condition, 0), params.recipe(condition, 1)
    if real == generated:
        return f"{condition} is done to both classes alike: {real or 'nothing'}."
    if not real:
        return f"{condition} is done to generated images only: {generated}. Real ones stay as they are."
    if not generated:
        return f"{condition} is done to real images only: {real}. Generated ones stay as they are."
    return f"{condition} does something else to each class: {real} to real, {generated} to generated images."


def _whom(params: Params, condition: str) -> str:
    real, generated = params.recipe(condition, 0), params.recipe(condition, 1)
    if real and generated:
        return "both classes"
    return "real images only" if real else "generated images only"


def _rows_and_mean(params: Params, detector: str) -> list[str]:
    mean = [ALL] if len(params.averaged_rows(detector)) > 1 else []
    return [*params.rows_of(detector), *mean]


def _means(results: Results, condition: str, metric: str) -> Table:
    """In-domain and cross-generator means of every training."""
    params, find = results.params, results.tabulated.find
    rows = []
    for detector in params.scorers:
        for trained_on in _rows_and_mean(params, detector):
            pairs = tuple(
                (
                    find(kind, detector, trained_on, ALL, CLEAN),
                    find(kind, detector, trained_on, ALL, condition),
                )
                for kind in KINDS
            )
            rows.append(Pairs((detector, trained_on or "mean"), pairs, trained_on == ALL))
    return contrast_table(
        [Contrast(metric, f"{kind}, raw", f"{kind}, {condition}", f"{kind}, difference") for kind in KINDS],
        rows,
        name=f"{condition}_{metric}",
        title=f"{condition} ({_whom(params, condition)}): {TITLES[metric]}",
        caption=join(
            definition(metric),
            f"Raw: clean test images. {what_it_does(params, condition)} The difference is {condition} less "
            "raw.",
            about_means(KINDS),
            "Last line of a detector: mean over its training generators.",
            about_trainings(params),
            about_reals(params),
        ),
        level=params.report.level,
    )


def _generators(results: Results, condition: str) -> Table:
    """The same for every test generator."""
    params, find = results.params, results.tabulated.find
    rows = []
    for detector in params.scorers:
        for trained_on in params.rows_of(detector):
            for tested_on in params.generators:
                pair = tuple(find(CELL, detector, trained_on, tested_on, name) for name in (CLEAN, condition))
                rows.append(Pairs((detector, trained_on, tested_on), ((pair[0], pair[1]),) * len(METRICS)))
    return contrast_table(
        [_contrast(metric, "raw", condition) for metric in METRICS],
        rows,
        name=f"{condition}_generators",
        title=f"{condition} ({_whom(params, condition)}), for every test generator",
        caption=join(
            *(definition(metric) for metric in METRICS),
            f"Raw: clean test images. {what_it_does(params, condition)} The difference is {condition} less "
            "raw.",
            about_trainings(params),
            about_reals(params),
        ),
        level=params.report.level,
        heads=("detector", "trained on", "tested on"),
        folded=True,
    )


def _trainings(results: Results, metric: str) -> Table:
    """Trained on raw images, trained on aligned ones; both tested on the same images."""
    params, find = results.params, results.tabulated.find
    rows = []
    for raw, aligned in aligned_trainings(params):
        for detector in params.detectors:
            for condition in (CLEAN, *params.report.twins):
                pairs = tuple(
                    (
                        find(kind, detector, raw, ALL, condition),
                        find(kind, detector, aligned, ALL, condition),
                    )
                    for kind in KINDS
                )
                rows.append(Pairs((detector, raw, aligned, condition), pairs))
    tests: Sequence[str] = [what_it_does(params, condition) for condition in params.report.twins]
    return contrast_table(
        [
            Contrast(metric, f"{kind}, raw-trained", f"{kind}, aligned-trained", f"{kind}, difference")
            for kind in KINDS
        ],
        rows,
        name=f"training_{metric}",
        title=f"Trained on raw or on aligned images: {TITLES[metric]}",
        caption=join(
            definition(metric),
            "Two trainings on the same generators, one on images as they are, one on images that were chosen "
            "or prepared to be alike in both classes (which may leave fewer of them). Both are tested on the "
            "same images. The difference is aligned-trained less raw-trained. What another training run "
            "could give is not in its interval.",
            *tests,
            about_means(KINDS),
            about_trainings(params),
            about_reals(params),
        ),
        level=params.report.level,
        heads=("detector", "raw", "aligned", "tested under"),
    )


def _contrast(metric: str, before: str, after: str) -> Contrast:
    title = TITLES[metric]
    return Contrast(metric, f"{title}, {before}", f"{title}, {after}", f"{title}, difference")
