"""Whom a new record is told: the run's page, and whoever listens to events."""

from collections.abc import Sequence

from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.events import emit_event

from flows.records.records import Record
from flows.refreshing.comparing import Comparison, as_markdown, rows_of

RECORDED = "assay.benchmark.recorded"
ARRIVED = "assay.generator.arrived"
"""Sent by whoever drops a folder or a card; starts the deployment `refresh`."""
_DIGITS = 16


def tell(record: Record, comparison: Comparison, new: Sequence[str]) -> None:
    """Leave the comparison with Prefect, and emit `assay.benchmark.recorded`. Only within a flow run.

    Args: new: generators that the record before did not have.
    """
    known = f"lineage `{record.lineage}`, recipe `{record.recipe}`"
    create_markdown_artifact(markdown=as_markdown(comparison), key="refresh", description=known)
    create_table_artifact(
        table=rows_of(comparison),
        key="refresh-detectors",
        description=f"mean AUROC, before -> after; {known}",
    )
    emit_event(
        RECORDED,
        resource={
            "prefect.resource.id": f"assay.benchmark.{record.lineage[:_DIGITS]}",
            "prefect.resource.name": record.tag,
        },
        payload={
            "lineage": record.lineage,
            "recipe": record.recipe,
            "new_generators": list(new),
            "set_aside": comparison.set_aside,
        },
    )
