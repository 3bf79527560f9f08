"""The table of attributors as Markdown that reads well both in a terminal and on GitHub."""

from collections.abc import Sequence

from assets.attributed import DEFINITIONS, GENERATOR, KINDS, KNOWN, OUTSIDE, Attributed, Confusion, Row
from assets.bootstrap import interval
from assets.cells import Estimate
from assets.markdown import markdown_table
from assets.params import CLEAN, Params

_MEANS = {KNOWN: "mean of the set", OUTSIDE: "mean of the others"}


def attribution_markdown(attributed: Attributed, params: Params, lineage: str, recipe: str) -> str:
    """For people: generators and means on clean images, means when degraded, and who is taken for whom."""
    level, seeds = round(100 * params.report.level, 3), len(params.train.seeds)
    parts = [
        "# Which generator made it?",
        f"lineage `{lineage}`  \nrecipe `{recipe}`",
        "An attributor names one of the generators of its set, or says that it is none of them. Percent; "
        f"in brackets {level:g} % intervals over groups of images"
        + (f"; ± is the standard deviation over {seeds} training seeds." if seeds > 1 else "."),
        "\n".join(f"- **{name}**: {text}." for name, text in DEFINITIONS.items()),
        "\n".join(f"- *{_MEANS[name]}*: {KINDS[name]}." for name in _MEANS),
    ]
    for trained_on, members in params.train.sets.items():
        parts += [f"## {trained_on}", f"Knows {', '.join(members)}."]
        for detector in params.attributors:
            mine = [
                row for row in attributed.rows if (row.detector, row.trained_on) == (detector, trained_on)
            ]
            clean = [row for row in mine if row.condition == CLEAN]
            degraded = [row for row in mine if row.kind != GENERATOR and row.condition != CLEAN]
            parts += [f"### {detector}, trained on {trained_on}", _markdown(clean, params, members)]
            if degraded:
                parts += ["#### Degraded", _markdown(degraded, params, members)]
            parts += [
                f"#### What images are taken for, in percent of each generator's ({confusion.condition})\n\n"
                + _confusion_markdown(confusion, members)
                for confusion in attributed.confusions
                if (confusion.detector, confusion.trained_on, confusion.condition)
                == (detector, trained_on, CLEAN)
            ]
    return "\n\n".join(parts) + "\n"


def _markdown(rows: Sequence[Row], params: Params, members: Sequence[str]) -> str:
    """The members of the set first, then the others, then the means."""
    order = [*members, *(name for name in params.generators if name not in members), ""]
    kinds = list(KINDS)
    chosen = sorted(rows, key=lambda row: (row.condition, kinds.index(row.kind), order.index(row.tested_on)))
    lines = []
    for row in chosen:
        label = _MEANS.get(row.kind) or row.tested_on
        where = (
            "" if row.kind != GENERATOR else "in the set" if row.tested_on in members else "not in the set"
        )
        texts = [_text(row.metrics[name], params.report.level) for name in DEFINITIONS]
        lines.append([label, where or row.condition, "" if row.n is None else str(row.n), *texts])
    return markdown_table(["generator", "", "images", *DEFINITIONS], lines, num_labels=2)


def _text(estimate: Estimate, level: float) -> str:
    if estimate.value is None:
        return "–"
    spread = "" if estimate.sd is None else f" ± {100 * estimate.sd:.1f}"
    bounds = interval(estimate.draws, level)
    ends = "" if bounds is None else f" ({100 * bounds[0]:.1f}–{100 * bounds[1]:.1f})"
    return f"{100 * estimate.value:.1f}{spread}{ends}"


def _confusion_markdown(confusion: Confusion, members: Sequence[str]) -> str:
    order = [*members, *(name for name in confusion.shares if name not in members)]
    lines = [
        [name, *("–" if value is None else f"{100 * value:.1f}" for value in confusion.shares[name])]
        for name in order
    ]
    return markdown_table(["made by", *confusion.answers], lines)
