"""What gives generated images away besides what they show; copies, leaks, damage and balance."""

from collections.abc import Mapping
from typing import Any

from assets.audit.shortcuts import FEATURES, SHOWN
from assets.report.results import Results
from assets.tables.table import Chapter, Column, Line, Table, Value

_TOGETHER = "all generators"
_SETS = ("all", *FEATURES)
_CONTAINED = {
    "format": "file format, colour mode",
    "dimensions": "width, height, their ratio and product, the power of two that divides both",
    "bytes": "file length, and per pixel",
    "jpeg": "JPEG quality, chroma subsampling, quantisation tables",
    "metadata": "EXIF, software, text chunks, XMP, colour profile, content credentials, JFIF, interlacing",
    "watermark": "the invisible watermarks of Stable Diffusion 1 and SDXL",
    "appearance": "brightness, contrast, saturation",
}


def chapter(results: Results) -> Chapter:
    """What the audits found, generator by generator and in all of them together."""
    whole = results.whole
    told = _in_a_sentence(whole) if whole else ()
    tables = [_shortcuts(results), _giveaways(results), _advice(results)]
    if whole:
        tables += [
            _leaks(whole["leaks"]),
            _across(whole["near_duplicates"]),
            _copies(whole["near_duplicates"]),
            _damage(whole["corrupt"]),
            _balance(whole["balance"]),
        ]
    return Chapter(
        "audit",
        "Audit",
        (
            "Real and generated images often differ in more than how they were made: one class are JPEG "
            "files, the other PNG, or of another size. A detector may learn that in place of the generator, "
            "and its score says nothing about other files. Here a small classifier is given nothing but such "
            "facts.",
            "And a test is none if training has seen its images: copies, near-duplicates and torn groups are "
            "looked for among all images of all items.",
            *told,
        ),
        tuple(table for table in tables if table is not None),
    )


def _in_a_sentence(whole: Mapping[str, Any]) -> tuple[str, ...]:
    """What was looked for and not found gets no table."""
    leaking = whole["leaks"]["images"]
    damaged = sum(item["unreadable"] for item in whole["corrupt"].values())
    return (
        f"Test images that a training may know: {leaking or 'none'}. Pairs of copies between items: "
        f"{sum(one['exact'] + one['near'] for one in whole['near_duplicates']['across']) or 'none'}. Images "
        f"that cannot be used: {damaged or 'none'}.",
    )


def _audits(results: Results) -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = dict(results.audits)
    return {**found, _TOGETHER: results.whole} if results.whole else found


def _shortcuts(results: Results) -> Table:
    lines = []
    for name, audit in _audits(results).items():
        values = tuple(_auroc(audit["features"].get(one)) for one in _SETS)
        counts = (Value(audit["n_real"]), Value(audit["n_generated"]))
        lines.append(Line((name,), (Value(text=audit["verdict"]), *values, *counts), mean=name == _TOGETHER))
    spec, report = results.params.audit, results.params.report
    contained = "; ".join(f"{name}: {what}" for name, what in _CONTAINED.items())
    return Table(
        "shortcuts",
        "Does the file tell real from generated?",
        "AUROC of a forest of extremely randomised trees that is given only these facts of each file, real "
        f"against generated images, kept after dedupe, cross-validated over groups ({spec.folds} folds), "
        f"with {100 * report.level:g} % intervals over groups; 0.5: they say nothing. At most 10,000 images "
        f"a class are looked at, and for metadata, watermark, appearance and all at most {spec.look:,} a "
        f"class, which are opened; chosen by a hash of their ids. {contained}; all: all of these but "
        f"{', '.join(SHOWN)}. A set whose whole interval lies above {spec.alarm:g} gives the class away, and "
        f"the verdict is leak; {', '.join(SHOWN)} is what pictures show, and no part of the verdict. "
        f"{_TOGETHER}: as many images of each against the real ones.",
        ("generator",),
        (
            Column("verdict", "text"),
            *(Column(name) for name in _SETS),
            Column("real images", "count", 0),
            Column("generated images", "count", 0),
        ),
        tuple(lines),
    )


def _auroc(found: Mapping[str, Any] | None) -> Value | None:
    if found is None:
        return None
    value = found["auroc"]
    shade = None if value is None else -max(0.0, 2 * value - 1)
    return Value(value, found["low"], found["high"], shade=shade)


def _giveaways(results: Results) -> Table | None:
    lines = [
        Line((name, single["set"]), (Value(single["right"]), Value(text=single["words"])))
        for name, audit in _audits(results).items()
        for single in audit.get("single", ())
    ]
    return _if_any(
        Table(
            "giveaways",
            "The most telling single value",
            "Of each set of facts that gives the class away, the one value, or the one threshold, whose "
            "shares of real and generated images differ most. Right: balanced accuracy of going by it alone, "
            "on the same images that it was found on.",
            ("generator", "facts"),
            (Column("right", "percent", 1), Column("value", "text")),
            tuple(lines),
        )
    )


def _advice(results: Results) -> Table | None:
    lines = [
        Line((name,), (Value(text=line),))
        for name, audit in _audits(results).items()
        for line in audit["advice"]
    ]
    return _if_any(
        Table(
            "advice",
            "What to do about it",
            "For each set of facts that gives the class away; recipes are written as in "
            "assets/images/degradations.py.",
            ("generator",),
            (Column("advice", "text"),),
            tuple(lines),
            folded=True,
        )
    )


def _leaks(leaks: Mapping[str, Any]) -> Table | None:
    return _if_any(
        Table(
            "leaks",
            "Test images that trainings may know",
            f"{leaks['images']} test images share a group with, are exact copies of, or are near-duplicates "
            "of train or val images. An image counts in each line that it belongs to. Those known from real "
            "images, or from generators that detectors are trained on, make the report refuse its tables, or "
            "are left out of them (report.leaks).",
            ("tested on", "known from", "how"),
            (Column("test images", "count", 0),),
            tuple(
                Line((one["tested_on"], one["trained_on"], one["kind"]), (Value(one["images"]),))
                for one in leaks["by"]
            ),
        )
    )


def _across(found: Mapping[str, Any]) -> Table | None:
    return _if_any(
        Table(
            "across",
            "Copies across items",
            f"Pairs among the {found['compared']:,} kept images. Exact: the same pixels. Near-duplicate: "
            f"perceptual hashes within {found['radius']} of 64 bits, and thumbnails of 32 x 32 pixels that "
            f"differ by at most {found['most_apart']:g} of 255 on the average. Hash alone: near hashes and "
            f"another picture; were hashes thrown coins, {found['by_chance']:.2g} such pairs were to be "
            "expected.",
            ("item", "and"),
            tuple(Column(name, "count", 0) for name in ("exact", "near-duplicate", "hash alone")),
            tuple(
                Line(
                    (one["one"], one["other"]),
                    (Value(one["exact"]), Value(one["near"]), Value(one["hash_alone"])),
                )
                for one in found["across"]
            ),
        )
    )


def _copies(found: Mapping[str, Any]) -> Table:
    reasons = sorted({reason for item in found["items"].values() for reason in item["removed"]})
    return Table(
        "copies",
        "Copies that dedupe removed",
        f"Images within one item, and of real ones, whose perceptual hashes lie within {found['radius']} of "
        "64 bits of each other's, directly or through others, are one cluster; one of it is kept. Largest: "
        "images in the largest cluster, a real one that generated ones copy among them.",
        ("item",),
        tuple(Column(name, "count", 0) for name in ("clusters", "largest", *reasons)),
        tuple(
            Line(
                (name,),
                (
                    Value(item["clusters"]),
                    Value(item["largest"]),
                    *(Value(item["removed"].get(reason, 0)) for reason in reasons),
                ),
            )
            for name, item in found["items"].items()
        ),
        folded=True,
    )


def _damage(corrupt: Mapping[str, Any]) -> Table | None:
    return _if_any(
        Table(
            "damage",
            "Images that cannot be used",
            "Files that could not be read or decoded, by item and reason; they count in no other number. "
            "First: ids of some of the item's.",
            ("item", "reason"),
            (Column("images", "count", 0), Column("first", "text")),
            tuple(
                Line((name, reason), (Value(count), Value(text=", ".join(item["ids"][:3]))))
                for name, item in corrupt.items()
                for reason, count in item["reasons"].items()
            ),
        )
    )


def _balance(balance: Mapping[str, Any]) -> Table:
    contents = sorted({content for item in balance.values() for content in item["contents"]})
    lines = []
    for name, item in balance.items():
        classes = item["classes"]
        largest = classes["largest"]
        counts = [item["images"], *(item["contents"].get(content, 0) for content in contents)]
        counts += [classes["known"], classes["number"]]
        share = largest["images"] / classes["known"] if largest else None
        values = [*map(Value, counts), Value(share, text=None if largest else "none")]
        evenness = classes["evenness"]
        lines.append(Line((name,), (*values, Value(evenness, text="none" if evenness is None else None))))
    return Table(
        "balance",
        "Contents and classes",
        "Kept images of each item by what they show; how many have a class that is known, how many classes "
        "there are, and the share of the largest. Evenness: entropy of the classes' shares divided by the "
        "logarithm of their number; 1 if all classes have as many images.",
        ("item",),
        (
            *(Column(name, "count", 0) for name in ("kept", *contents, "class known", "classes")),
            Column("largest class", "percent", 1),
            Column("evenness", "share", 3),
        ),
        tuple(lines),
        notes=("none: fewer than two classes are known, or none.",),
    )


def _if_any(table: Table) -> Table | None:
    return table if table.lines else None
