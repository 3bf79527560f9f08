"""What the headline numbers mean, in plain words."""

from collections.abc import Mapping, Sequence
from typing import Any

from assets.report.headline import Number
from assets.report.results import Results
from assets.statistics.means import CROSS_FAMILY, CROSS_GENERATOR, IN_DOMAIN, PLAIN_MEAN
from assets.tables.cell_table import about_set_aside, sensible_places

_MISCALIBRATED = 0.15
"""ECE from which scores are not to be read as probabilities."""
_MOST_PLACES = 6


def sentences(numbers: dict[str, Any], results: Results) -> list[str]:
    """The headline numbers in plain words."""
    return [text for _, text in findings(numbers, results)]


def findings(numbers: dict[str, Any], results: Results) -> list[tuple[str, str]]:
    """The same, each with a word or two that say what it is about."""
    said = [
        ("Most trustworthy", _say_ranking(numbers)),
        ("New families", _say_families(numbers)),
        ("Not to be trusted", _say_untrusted(numbers["trust"])),
        ("New generators", _say_generator_drop(numbers["worst_generator_drop"])),
        ("Degradation", _say_condition_drop(numbers["worst_condition_drop"])),
        ("Thresholds", _say_thresholds(numbers["thresholds"])),
        ("Probabilities", _say_calibration(numbers)),
        ("Audit", _say_audit(numbers)),
        ("Left out", _say_left_out(numbers["leaks_left_out"])),
        ("Missing", _say_missing(numbers["missing"])),
        ("Not made", about_set_aside(numbers["set_aside"])),
    ]
    return [(topic, text) for topic, text in said if text]


def shown(number: Mapping[str, float | None] | None, places: int | None = None) -> str:
    """`0.87 (0.83–0.90)`, with the digits that the interval supports, or at least `places` of them."""
    if number is None or number["value"] is None:
        return "no data"
    value, low, high = number["value"], number["low"], number["high"]
    if low is None or high is None:
        return f"{value:.{places or 2}f}"
    places = max(places or 0, sensible_places([(low, high)]))
    value, low, high = (round(one, places) + 0.0 for one in (value, low, high))  # no "-0.00"
    joint = "–" if low >= 0 else " to "
    return f"{value:.{places}f} ({low:.{places}f}{joint}{high:.{places}f})"


def _say_ranking(numbers: dict[str, Any]) -> str:
    ranking = numbers["ranking"]
    if ranking is None:
        return (
            "No detector was tested on a generator other than its own, so nothing here says how it does on "
            "new ones."
        )
    order = ranking["detectors"]
    first = numbers["detectors"][order[0]]
    text = (
        f"On generators it was not trained on, {order[0]} does best: AUROC "
        f"{shown(first[CROSS_GENERATOR]['clean']['auroc'])}, the mean over "
        f"{_counted(ranking['num_cells'], 'pair')} of training and test generator"
    )
    own = (first[IN_DOMAIN]["clean"] or {}).get("auroc")
    text += f"; on its own generators it reaches {shown(own)}." if own else "."
    worst = numbers["worst_generators"][order[0]]
    if worst is not None:
        text += f" It is weakest on {worst['tested_on']}: {shown(worst['auroc'])}{_guessing(worst['auroc'])}."
    if len(order) < 2:
        return text
    second = numbers["detectors"][order[1]][CROSS_GENERATOR]["clean"]["auroc"]
    lead = ranking["lead"]
    sure = lead["low"] is not None and lead["low"] > 0
    verdict = "a clear lead of" if sure else "too close to call, the lead being"
    return f"{text} Next comes {order[1]} with {shown(second)}: {verdict} {shown(lead)}."


def _say_families(numbers: dict[str, Any]) -> str:
    """How the detector that does best fares where not even a relative was trained on."""
    if numbers["ranking"] is None:
        return ""
    first = numbers["ranking"]["detectors"][0]
    of = numbers["detectors"][first]
    near, far = (of[kind]["clean"] for kind in (CROSS_GENERATOR, CROSS_FAMILY))
    if far is None or far["auroc"] == near["auroc"]:
        return ""
    one, other = _told_apart(near["auroc"], far["auroc"])
    return (
        f"With relatives of the training generator left out too (cross_family), {first} has {other} instead "
        f"of {one}: expect that on a new kind of generator{_guessing(far['auroc'])}."
    )


def _say_untrusted(trust: Sequence[dict[str, Any]]) -> str:
    """Generators on which the best detector that has not seen them may be guessing."""
    best = [(row["tested_on"], row[CROSS_GENERATOR]) for row in trust if row[CROSS_GENERATOR] is not None]
    names = [name for name, one in best if one["auroc"]["low"] is not None and one["auroc"]["low"] <= 0.5]
    if not names:
        return ""
    return f"Trust none of them on {_listed(names)} without training on it: even the best may be guessing."


def _say_generator_drop(drop: dict[str, Any] | None) -> str:
    if drop is None:
        return ""
    if not _measurable(drop["by"]):
        return "No detector does measurably worse on another generator than on the one it was trained on."
    one, other = _told_apart(drop["from"], drop["to"])
    return (
        f"Worst drop across generators: {drop['detector']} trained on {drop['trained_on']} falls from "
        f"{one} there to {other} on {drop['tested_on']}{_guessing(drop['to'])}."
    )


def _say_condition_drop(drop: dict[str, Any] | None) -> str:
    if drop is None:
        return ""
    where = "of its own generators" if drop["kind"] == IN_DOMAIN else "of all test sets"
    if not _measurable(drop["by"]):
        return (
            f"No condition hurts measurably: the largest fall of AUROC, of {drop['detector']} under "
            f"{drop['condition']} on images {where}, is {shown(drop['by'], _digits(drop['by']))}."
        )
    one, other = _told_apart(drop["from"], drop["to"])
    return (
        f"Worst drop across conditions: {drop['detector']} falls from {one} on clean images "
        f"{where} to {other} under {drop['condition']}{_guessing(drop['to'])}."
    )


def _say_thresholds(thresholds: Sequence[dict[str, Any]]) -> str:
    """Detectors whose threshold fails though their ranking does not."""
    if not thresholds:
        return ""
    worst = min(
        thresholds, key=lambda one: one["accuracy_real"]["value"] + one["accuracy_generated"]["value"]
    )
    where = "that it was not trained on" if worst["kind"] == CROSS_GENERATOR else "of this benchmark"
    names = [one["detector"] for one in thresholds]
    val = worst["balanced_accuracy"]["value"]
    text = (
        f"{_listed(names)} rank{'s' if len(names) == 1 else ''} images better than P = 0.5 divides them: the "
        f"threshold fails, not the detector. {worst['detector']}, for one, has AUROC {shown(worst['auroc'])} "
        f"on generators {where}, but calls {_percent(worst['accuracy_generated'])} of the generated and "
        f"{_percent(worst['accuracy_real'])} of the real images rightly at 0.5"
    )
    if val is None:
        return f"{text}; set it anew."
    return (
        f"{text}; with the threshold from its validation images the mean of the two is {val * 100:.0f} %. "
        "Set it on images like those that you expect."
    )


def _say_calibration(numbers: dict[str, Any]) -> str:
    """Detectors whose probabilities are far off on generators that they have not seen."""
    off = {}
    for name, of in numbers["detectors"].items():
        found = of[CROSS_GENERATOR]["clean"] or of[PLAIN_MEAN]["clean"]
        if found is not None and (found["ece"]["value"] or 0) >= _MISCALIBRATED:
            off[name] = found["ece"]
    if not off:
        return ""
    worst = max(off, key=lambda name: (off[name]["value"], name))
    return (
        f"Do not read the scores of {_listed(list(off))} as probabilities on generators that they were not "
        f"trained on: they are {off[worst]['value']:.2f} off on average for {worst} (ECE; 0 is perfect)."
    )


def _say_audit(numbers: Mapping[str, Any]) -> str:
    leaks = [name for name, verdict in numbers["audit"].items() if verdict != "clean"]
    clean = [name for name in numbers["audit"] if name not in leaks]
    together = numbers["audit_together"]
    if not leaks:
        text = (
            "The audit found no shortcut: format, size, length, JPEG settings and metadata of the files do "
            f"not tell real from generated images for {_listed(clean)}."
        )
        return text if together in (None, "clean") else f"{text} For all of them together, they do."
    named = [
        f"{name} ({', '.join(numbers['alarms'][name])})" if numbers["alarms"][name] else name
        for name in leaks
    ]
    text = (
        f"The audit warns: how files were made alone tells real from generated images for {_listed(named)}; "
        "scores there may rest on that, not on what the images show."
    )
    return f"{text} No shortcut was found for {_listed(clean)}." if clean else text


def _say_left_out(left_out: Mapping[str, int]) -> str:
    if not left_out:
        return ""
    counts = [f"{count:,} of {name}" for name, count in left_out.items()]
    return (
        f"Test images that share a group, or nearly all pixels, with training images count for no detector: "
        f"{_listed(counts)}."
    )


def _say_missing(missing: Mapping[str, Any]) -> str:
    if not missing["cells"]:
        return ""
    text = f"{missing['cells']:,} of {missing['of']:,} cells have no data; means leave them out."
    if missing["detectors"]:
        text += f" Nothing is known about {_listed(missing['detectors'])}."
    return text


def _guessing(number: Number) -> str:
    low, high = number["low"], number["high"]
    if low is None or high is None or low > 0.5:
        return ""
    return ", worse than guessing (0.5)" if high < 0.5 else ", no better than guessing (0.5)"


def _measurable(by: Number) -> bool:
    """Whether a fall is one: its interval lies above 0; without an interval, the fall itself."""
    bound = by["value"] if by["low"] is None else by["low"]
    return bound is not None and bound > 0


def _told_apart(one: Number, other: Number) -> tuple[str, str]:
    """Two numbers with as many digits as it takes to see which is larger."""
    for places in range(2, _MOST_PLACES + 1):
        if f"{one['value']:.{places}f}" != f"{other['value']:.{places}f}":
            break
    return shown(one, places), shown(other, places)


def _digits(number: Number) -> int:
    """Digits after the point that a small number needs not to read as 0."""
    for places in range(2, _MOST_PLACES):
        if any(digit in "123456789" for digit in f"{number['value']:.{places}f}"):
            return places
    return 2


def _percent(number: Number) -> str:
    return "no data" if number["value"] is None else f"{number['value'] * 100:.0f} %"


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
