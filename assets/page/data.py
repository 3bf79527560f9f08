"""What the benchmark's generators and conditions are, as tables."""

from assets.params import Params
from assets.tables.table import Column, Line, Table, Value


def data_tables(params: Params) -> list[Table]:
    """What the generators are, and what the conditions do."""
    return [_generators(params), _conditions(params)]


def _generators(params: Params) -> Table:
    return Table(
        "generators",
        "The generators",
        "What images are tested from. released: when the generator was published.",
        ("generator",),
        tuple(Column(name, "text", 0) for name in ("family", "released", "content", "from")),
        tuple(
            Line(
                (name,),
                tuple(
                    Value(text=text)
                    for text in (spec.family, spec.released, spec.content or "as imported", spec.from_)
                ),
            )
            for name, spec in params.generators.items()
        ),
    )


def _conditions(params: Params) -> Table:
    return Table(
        "conditions",
        "The conditions",
        "What is done to test images, of both classes alike unless it says otherwise; never in training.",
        ("condition",),
        (Column("recipe", "text", 0),),
        tuple(
            Line((name,), (Value(text=text or "as they are"),)) for name, text in params.conditions.items()
        ),
    )
