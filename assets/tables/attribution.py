"""Which generator made it? ImagiNet's Track II: recall, accuracy, macro AUC, and who is taken for whom."""

from collections.abc import Sequence

from assets.attributions import UNKNOWN
from assets.params import CLEAN, Params
from assets.report.results import Results
from assets.statistics.attributed import (
    DEFINITIONS,
    GENERATOR,
    KINDS,
    KNOWN,
    OUTSIDE,
    Attributed,
    Confusion,
    Row,
)
from assets.statistics.cells import Estimate
from assets.tables.attribution_numbers import About, accuracy, mean_recall, named_within
from assets.tables.cell_table import column_of, estimate_value, notes_of, shade
from assets.tables.table import Chapter, Column, Line, Table, Unit, Value

Columns = tuple[tuple[str, Unit], ...]
"""Name and unit."""

_TOTALS: Columns = (
    ("accuracy, %", "percent"),
    ("balanced accuracy, %", "percent"),
    ("macro AUC", "share"),
    ("members called unknown, %", "percent"),
    ("others called unknown, %", "percent"),
)
_GROUPS: Columns = (("recall, %", "percent"), ("named within the group, %", "percent"))
_HEADINGS: dict[str, tuple[str, Unit]] = {
    "recall": ("recall, %", "percent"),
    "right": ("right, %", "percent"),
    "unknown": ("called unknown, %", "percent"),
    "auroc": ("AUROC", "share"),
}
_ABOUT = " ".join(f"{name}: {text}." for name, text in DEFINITIONS.items())


def chapter(results: Results) -> Chapter | None:
    """Totals, groups, generators and confusions; None without attributors."""
    attributed, params = results.attributed, results.params
    if attributed is None:
        return None
    seeds = len(params.train.seeds)
    spread = (
        f" Numbers are means over {seeds} training seeds, ± their standard deviation." if seeds > 1 else ""
    )
    return Chapter(
        "attribution",
        "Which generator made it?",
        (
            "An attributor is shown generated images only. It names one of the generators of its set, or "
            "says that it is none of them: unknown.",
            " ".join(f"{name} = {' + '.join(members)}." for name, members in params.train.sets.items()),
            f"In brackets: {params.report.level * 100:g} % intervals over groups of images, within each "
            f"generator.{spread}",
        ),
        (
            _totals(results, attributed),
            *([_groups(results, attributed)] if params.report.groups else []),
            *(_generators(results, attributed, about) for about in _blocks(params)),
            *(_confusion(confusion, params) for confusion in attributed.confusions),
        ),
    )


def _totals(results: Results, attributed: Attributed) -> Table:
    """A line for each attributor and condition: the numbers of ImagiNet's Track II."""
    lines = []
    for about in _blocks(results.params):
        rows = _rows(attributed, about)
        known, outside = rows[KNOWN, ""], rows.get((OUTSIDE, ""))
        estimates = (
            accuracy(attributed, about, results.params.train.sets[about[1]]),
            known.metrics["recall"],
            known.metrics["auroc"],
            known.metrics["unknown"],
            None if outside is None else outside.metrics["unknown"],
        )
        lines.append(_line(about, _TOTALS, estimates, results))
    return _table(
        "totals",
        "Accuracy and macro AUC",
        "All images of the generators of the set. accuracy: share of these images whose generator has the "
        "highest logit; balanced accuracy: the mean of the generators' recalls (what ImagiNet prints as mean "
        "ACC of its Track II); macro AUC: mean over the generators of the AUROC of one against the others of "
        "the set; called unknown: share of the images called unknown, mean over the generators of the set "
        "(members) and over those that are not in it (others; empty: there are none).",
        ("attributor", "set", "condition"),
        _TOTALS,
        lines,
    )


def _groups(results: Results, attributed: Attributed) -> Table:
    """Recall of each group of generators."""
    confusions = {(one.detector, one.trained_on, one.condition): one for one in attributed.confusions}
    lines = []
    for about in _blocks(results.params):
        members = results.params.train.sets[about[1]]
        for group, generators in results.params.report.groups.items():
            inside = [name for name in generators if name in members]
            recall = mean_recall(attributed, about, inside)
            within = Estimate(named_within(confusions[about], inside))
            lines.append(_line((*about, group), _GROUPS, (recall, within), results))
    return _table(
        "groups",
        "Recall of each group",
        "Means over the generators of the group that are in the set, each weighing the same (ImagiNet's "
        "Track II has one recall a group). recall: share of a generator's images for which it has the "
        "highest logit. named within the group: share for which any generator of its group is named; unknown "
        "counts as wrong; it has no interval.",
        ("attributor", "set", "condition", "group"),
        _GROUPS,
        lines,
    )


def _generators(results: Results, attributed: Attributed, about: About) -> Table:
    """A line for each generator, those of the set first, and the two means."""
    detector, trained_on, condition = about
    rows = _rows(attributed, about)
    members = results.params.train.sets[trained_on]
    lines = []
    for name in [*members, *(name for name in results.params.generators if name not in members)]:
        where = "in the set" if name in members else "not in the set"
        lines.append(_generator_line((name, where), rows[GENERATOR, name], name in members, results))
    for kind, name in ((KNOWN, "mean of the set"), (OUTSIDE, "mean of the others")):
        if (kind, "") in rows:
            lines.append(_generator_line((name, ""), rows[kind, ""], kind == KNOWN, results))
    return _table(
        f"generators_{detector}_{trained_on}_{condition}",
        f"{detector}, set {trained_on}, {condition}: each generator",
        f"{_ABOUT} images: those that got an answer. mean of the set: {KINDS[KNOWN]}. mean of the others: "
        f"{KINDS[OUTSIDE]}.",
        ("generator", "where"),
        (("images", "count"), *_HEADINGS.values()),
        lines,
        folded=condition != CLEAN,
    )


def _generator_line(heads: tuple[str, str], row: Row, in_set: bool, results: Results) -> Line:
    """Recall is nothing to ask of a generator that is not in the set."""
    asked = [row.metrics[metric] if in_set or metric != "recall" else None for metric in _HEADINGS]
    line = _line(heads, tuple(_HEADINGS.values()), asked, results)
    images = None if row.n is None else Value(row.n)
    return Line(heads, (images, *line.values), mean=row.kind != GENERATOR)


def _confusion(confusion: Confusion, params: Params) -> Table:
    members = params.train.sets[confusion.trained_on]
    lines = []
    for name in [*members, *(name for name in confusion.shares if name not in members)]:
        values = [
            Value(share, shade=_tint(share, answer == (name if name in members else UNKNOWN)))
            for answer, share in zip(confusion.answers, confusion.shares[name], strict=True)
        ]
        lines.append(Line((name,), tuple(values)))
    return Table(
        f"confusion_{confusion.detector}_{confusion.trained_on}_{confusion.condition}",
        f"{confusion.detector}, set {confusion.trained_on}, {confusion.condition}: taken for what, %",
        "Lines: the generator that made the images. Columns: the share of them that gets this answer, mean "
        "over training seeds; a line adds up to 100.",
        ("made by",),
        tuple(Column(answer, "percent", 1) for answer in confusion.answers),
        tuple(lines),
        folded=confusion.condition != CLEAN,
    )


def _tint(share: float | None, right: bool) -> float | None:
    return share if share is None or right else -share


def _blocks(params: Params) -> list[About]:
    """In the order of the parameters."""
    return [
        (detector, trained_on, condition)
        for trained_on in params.train.sets
        for detector in params.attributors
        for condition in params.conditions
    ]


def _rows(attributed: Attributed, about: About) -> dict[tuple[str, str], Row]:
    """(kind, tested_on) -> row, over seeds."""
    return {
        (row.kind, row.tested_on): row
        for row in attributed.rows
        if (row.detector, row.trained_on, row.condition) == about
    }


def _line(
    heads: tuple[str, ...], columns: Columns, estimates: Sequence[Estimate | None], results: Results
) -> Line:
    level = results.params.report.level
    values = [
        None if one is None else estimate_value(one, level, shade=_good(name, one.value))
        for (name, _), one in zip(columns, estimates, strict=True)
    ]
    return Line(heads, tuple(values))


def _good(column: str, value: float | None) -> float | None:
    """A shade; saying `unknown` often is neither good nor bad by itself."""
    if value is None or "unknown" in column:
        return None
    return shade("auroc", value) if column.endswith(("AUC", "AUROC")) else value


def _table(
    name: str,
    title: str,
    caption: str,
    heads: tuple[str, ...],
    columns: Columns,
    lines: Sequence[Line],
    folded: bool = False,
) -> Table:
    """Counts, and what no interval was asked of, are not noted as lacking one."""
    noted: list[Value | None] = []
    made = []
    for at, (text, unit) in enumerate(columns):
        values = [line.values[at] for line in lines]
        made.append(column_of(text, unit, values))
        drawn = any(value is not None and value.low is not None for value in values)
        noted += [value for value in values if drawn or (value is not None and value.value is None)]
    return Table(name, title, caption, heads, tuple(made), tuple(lines), notes_of(noted), folded)
