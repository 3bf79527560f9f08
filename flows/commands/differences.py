"""Telling what differs between two lineages, as lines for a reader."""

import json
from collections.abc import Iterator
from typing import Any

from flows.commands.printing import table_lines

_MOST = 12
_LONGEST = 160
_SAME = {
    "lineage": "the same to the byte",
    "recipe": "the same was asked for, and other bytes came out",
    None: "not the same was asked for",
}


def lines(found: dict[str, Any], where: list[str]) -> Iterator[str]:
    """What `assets.differing.differences` found; `where` says for both sides where they are from."""
    for letter, place in zip("ab", where, strict=True):
        side = found[letter]
        yield f"{letter}  {side['lineage'][:16]}  {side['stage']} of {place}"
    yield _SAME[found["same"]]
    yield from _section("parameters (a -> b)", [_parameter(one) for one in found["parameters"]])
    yield from _section("commands", [line for one in found["commands"] for line in _command(one)])
    yield from _section("code", [_file(one) for one in found["code"]])
    yield from _section("raw inputs", [_file(one) for one in found["inputs"]])
    for letter in "ab":
        yield from _section(f"stages that only {letter} has", found[f"only_{letter}"])
    if found["same"] != "lineage":
        counts = found["stages"]
        asked = f"{counts['other_recipe']} were asked for otherwise"
        if counts["same_outputs"]:
            asked += f" ({counts['same_outputs']} of them with the same bytes all the same)"
        gave = f"{counts['other_bytes']} gave other bytes"
        yield f"\nof the stages that both have, {counts['same']} are the same to the byte, {asked}, {gave}"
    yield from _section(
        "bytes part first at",
        [line for one in found["bytes"] for line in _parting(one)],
    )
    yield from _cells(found["cells"])
    yield from _environment(found["environment"])


def _section(title: str, rows: list[str]) -> Iterator[str]:
    if rows:
        yield f"\n{title}"
        yield from (f"  {row}" for row in rows[:_MOST])
        if len(rows) > _MOST:
            yield f"  and {len(rows) - _MOST} more lines (--json has all)"


def _parameter(one: dict[str, Any]) -> str:
    file = "" if one["file"] == "params.yaml" else f"{one['file']}: "
    return f"{file}{one['key']}: {_value(one, 'old')} -> {_value(one, 'new')}"


def _value(one: dict[str, Any], side: str) -> str:
    if side not in one:
        return "absent"
    text = json.dumps(one[side], ensure_ascii=True, default=str)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _command(one: dict[str, Any]) -> list[str]:
    return [one["stage"], f"  a: {one['old']}", f"  b: {one['new']}"]


def _file(one: dict[str, Any]) -> str:
    how = "only in a" if "new" not in one else "only in b" if "old" not in one else "differs"
    stages = one["stages"]
    seen = f"{len(stages)} stages, e.g. {stages[0]}" if len(stages) > 1 else stages[0]
    return f"{one['path']}: {how} (read by {seen})"


def _parting(one: dict[str, Any]) -> list[str]:
    outputs = [
        f"  {out['path']}  md5 {str(out['old'])[:12]} -> {str(out['new'])[:12]}" for out in one["outputs"]
    ]
    asked = "asked for the same, fed with the same" if one["same_recipe"] else "asked for otherwise"
    return [f"{one['stage']} ({asked})", *outputs]


def _cells(found: dict[str, Any] | None) -> Iterator[str]:
    if found is None:
        return
    for letter in "ab":
        only = dict(found[f"only_{letter}"])
        if rows := only.pop("rows"):
            new = "; ".join(f"{name} {', '.join(values)}" for name, values in only.items())
            yield f"\nnumbers: {rows} rows only in {letter}{f' ({new})' if new else ''}"
    common = found["rows"][2]
    if not found["metrics"]:
        yield f"\nnumbers: all {common} rows that both have are equal"
        return
    yield f"\nnumbers, in the {common} rows that both have"
    heading = ["column", "rows", "by up to", "a", "b", "where"]
    rows_ = [
        [
            one["metric"],
            str(one["differ"] + one["no_data"]),
            *(_number(one.get(key)) for key in ("largest", "old", "new")),
            " ".join(f"{name}={value}" for name, value in one.get("cell", {}).items()),
        ]
        for one in found["metrics"]
    ]
    yield from (f"  {line}" for line in table_lines(heading, rows_))


def _number(value: float | None) -> str:
    return "no data" if value is None else f"{value:.6g}"


def _environment(found: list[dict[str, Any]] | None) -> Iterator[str]:
    if found is None:
        yield "\nenvironment: not recorded for both"
    elif not found:
        yield "\nenvironment: the same"
    else:
        rows = [f"{one['key']}: {_value(one, 'old')} -> {_value(one, 'new')}" for one in found]
        yield from _section("environment (a -> b)", rows)
