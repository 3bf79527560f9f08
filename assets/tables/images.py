"""The images behind the numbers: how many each column stands on, and where every image went."""

from assets.inventory import SIDES
from assets.params import CLEAN, REAL
from assets.report.results import Results
from assets.statistics.cells import CELL, Tally
from assets.tables.cell_table import about_reals, join
from assets.tables.table import Chapter, Column, Line, Table, Value


def chapter(results: Results) -> Chapter:
    """Test images of every column, and the holdings of every item."""
    tables = [_tested(results), _holdings(results)] if results.holdings else [_tested(results)]
    return Chapter(
        "images",
        "Images",
        ("The number of images, not only the numbers that came of them, decides how sure a table is.",),
        tuple(tables),
    )


def _tested(results: Results) -> Table:
    tabulated, params = results.tabulated, results.params
    tallies: dict[str, Tally] = {}
    for cell in tabulated.cells:
        if (cell.kind, cell.condition) == (CELL, CLEAN) and cell.tally is not None:
            tallies.setdefault(cell.tested_on, cell.tally)
    lines = []
    for name in params.generators:
        tally = tallies[name]
        counts = (
            tabulated.num_images[name],
            tally.n_generated,
            tally.n_real,
            tally.n_unreadable,
            tally.groups,
            tabulated.left_out.get(name, 0),
        )
        lines.append(Line((name,), tuple(Value(count) for count in counts)))
    return Table(
        "tested",
        "Test images behind every column",
        join(
            "Of the first detector, on clean images. Test images: generated ones, scored or not, left out or "
            "not. Scored: those with a score, which the numbers are of. Unreadable, groups: of real "
            "and generated images together; a group is what the bootstrap draws. Left out: test "
            "images that count for no detector, because they share a group or nearly all pixels with "
            f"training images (report.leaks: {params.report.leaks}); {REAL} ones: "
            f"{tabulated.left_out.get(REAL, 0)} of {tabulated.num_images[REAL]}.",
            about_reals(params),
        ),
        ("tested on",),
        tuple(
            Column(name, "count", 0)
            for name in ("test images", "scored", f"scored {REAL}", "unreadable", "groups", "left out")
        ),
        tuple(lines),
    )


def _holdings(results: Results) -> Table:
    reasons = sorted({reason for holding in results.holdings for reason in holding.removed} - {"unreadable"})
    lines = []
    for holding in results.holdings:
        counts = [holding.images, holding.unreadable]
        counts += [holding.removed.get(reason, 0) for reason in reasons]
        counts += [holding.kept, *(holding.split[side] for side in SIDES)]
        counts += [holding.groups[side] for side in SIDES]
        lines.append(Line((holding.item,), tuple(Value(count) for count in counts)))
    names = ["images", "unreadable", *reasons, "kept", *SIDES, *(f"{side} groups" for side in SIDES)]
    return Table(
        "holdings",
        "Where every image went",
        "Images: collected or generated. Then those that could not be read, those that dedupe removed, by "
        "reason, and those kept, which are split into train, val and test by groups: none is on two sides.",
        ("item",),
        tuple(Column(name, "count", 0) for name in names),
        tuple(lines),
    )
