"""Stages as OpenLineage events, for whoever keeps lineage in Marquez, DataHub or the like.

Nothing is sent, and openlineage-python is not loaded, unless OpenLineage is configured the way its users do:
OPENLINEAGE_URL, OPENLINEAGE__TRANSPORT__..., OPENLINEAGE_CONFIG or an openlineage.yml; OPENLINEAGE_DISABLED
stops it (docs/standards.md). Events go out in a thread of their own: no run waits for a receiver.
"""

import logging
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assets.dag import Dag, Stage
from assets.errors import AssayError
from assets.lineage import read_lock
from flows.records.origin import origin
from flows.running.chain import Facts
from flows.running.datasets import read_by
from flows.running.dvc import StageFailed

if TYPE_CHECKING:
    from openlineage.client import OpenLineageClient
    from openlineage.client.event_v2 import InputDataset, OutputDataset

NAMESPACE = "assay"
"""Of jobs and datasets, unless OPENLINEAGE_NAMESPACE names another."""
SCHEMA = "urn:assay:openlineage:run-facet:1"
"""Of our own facet; docs/standards.md has it."""
_FILE = "openlineage.yml"
_PAUSE = 30.0
"""Seconds until a receiver that did not answer is tried again."""
_PATIENCE = 20.0
"""Seconds that a run waits at its end for events to go out."""


@contextmanager
def openlineage_events(root: Path, dag: Dag, warn: Callable[[str], None]) -> Iterator[tuple["Events", ...]]:
    """Watchers that tell OpenLineage of the flow run that is going on; none where it is not configured.

    Args: warn: told once if the receiver does not take events, which never fails a run.
    Raises:
        AssayError: it is configured, but cannot be understood or openlineage-python is missing.
    """
    named = _configured()
    if named is None:
        yield ()
        return
    from prefect.context import FlowRunContext

    context = FlowRunContext.get()
    run = str(context.flow_run.id) if context and context.flow_run else None
    sender = _Sender(_client(named), warn)
    events = Events(root, dag, run, sender.put)
    try:
        events.begin()
        yield (events,)
    except Exception as error:
        events.end(f"{type(error).__name__}: {error}")
        raise
    except BaseException:  # Ctrl-C, or a flow run that was cancelled
        events.end(None)
        raise
    else:
        events.end("")
    finally:
        sender.close()


class Events:
    """A `flows.running.run.Watcher` that makes an event of everything it is told.

    A stage is a job, each attempt at it a run, whose parent is the flow run. Datasets are what stages read
    (but for code) and write, in the version that DVC's md5 names.
    """

    def __init__(self, root: Path, dag: Dag, run: str | None, put: Callable[[Any], None]) -> None:
        """Args: run: id of the flow run; None: one is made up. put: takes the events."""
        from openlineage.client.uuid import generate_new_uuid

        self._root = root
        self._dag = dag
        self._put = put
        self._new = lambda: str(generate_new_uuid())
        self._run = run or self._new()
        self._open: dict[str, str] = {}
        self._failed: dict[str, str] = {}
        self._namespace = os.environ.get("OPENLINEAGE_NAMESPACE") or NAMESPACE
        self._commit, self._source = origin(root)

    def begin(self) -> None:
        """The flow run has begun."""
        self._emit("START", None, self._run)

    def end(self, error: str | None) -> None:
        """The flow run has ended; `error` is '' if nothing failed beside stages, None if it was stopped."""
        for name, run in list(self._open.items()):
            self._emit("ABORT", self._dag[name], run)
        self._open.clear()
        stages = f"{len(self._failed)} stages failed: {', '.join(self._failed)}" if self._failed else ""
        message = error or stages
        word = "ABORT" if error is None else "FAIL" if message else "COMPLETE"
        self._emit(word, None, self._run, self._error(message) if message else {})

    def started(self, stage: Stage) -> None:
        """A stage begins: a new run of its job."""
        self._open[stage.name] = self._new()
        self._emit("START", stage, self._open[stage.name])

    def finished(self, stage: Stage, facts: Facts) -> None:
        """A stage is done; on a cluster that is the first that is heard of it."""
        self._failed.pop(stage.name, None)
        run = self._begun(stage, facts["seconds"])
        known = {key: facts[key] for key in ("lineage", "recipe", "how", "seconds")}
        self._emit(
            "COMPLETE", stage, run, {"assay_lineage": _lineage_facet({**known, "commit": self._commit})}
        )

    def failed(self, stage: Stage, failure: StageFailed) -> None:
        """An attempt at a stage failed."""
        self._failed[stage.name] = failure.reason
        self._emit("FAIL", stage, self._begun(stage, 0), self._error(failure.reason, failure.tail))

    def _begun(self, stage: Stage, seconds: float) -> str:
        """The run of a stage that ends now."""
        if stage.name not in self._open:
            self._open[stage.name] = self._new()
            self._emit("START", stage, self._open[stage.name], ago=seconds)
        return self._open.pop(stage.name)

    def _emit(
        self, word: str, stage: Stage | None, run: str, facets: dict[str, Any] | None = None, ago: float = 0
    ) -> None:
        from openlineage.client import event_v2, facet_v2

        namespace, facets = self._namespace, dict(facets or {})
        job: dict[str, Any] = {
            "jobType": facet_v2.job_type_job.JobTypeJobFacet("BATCH", "ASSAY", "TASK" if stage else "DAG")
        }
        if self._source:
            job["sourceCodeLocation"] = facet_v2.source_code_location_job.SourceCodeLocationJobFacet(
                type="git", url=self._source, repoUrl=self._source, path="dvc.yaml", version=self._commit
            )
        if stage:
            facets["parent"] = facet_v2.parent_run.ParentRunFacet(
                run=facet_v2.parent_run.Run(self._run), job=facet_v2.parent_run.Job(namespace, "benchmark")
            )
        recorded = read_lock(self._root) if stage else {}
        event = event_v2.RunEvent(
            eventTime=(datetime.now(UTC) - timedelta(seconds=ago)).isoformat(),
            eventType=event_v2.RunState(word),
            run=event_v2.Run(run, facets),
            job=event_v2.Job(namespace, stage.name if stage else "benchmark", job),
            inputs=self._inputs(stage, recorded) if stage else [],
            outputs=self._outputs(stage, recorded, word == "COMPLETE") if stage else [],
        )
        self._put(event)

    def _inputs(self, stage: Stage, recorded: dict[str, Any]) -> "list[InputDataset]":
        """Outputs of other stages, each by itself, and what lies in data/."""
        from openlineage.client.event_v2 import InputDataset

        own = _files(recorded.get(stage.name), "deps")
        found = []
        for path in read_by(self._dag, stage):
            maker = self._dag.out_of.get(path)
            file = (_files(recorded.get(maker), "outs") if maker else own).get(path, {})
            found.append(InputDataset(self._namespace, path, facets=_version(file)))
        return found

    def _outputs(self, stage: Stage, recorded: dict[str, Any], done: bool) -> "list[OutputDataset]":
        from openlineage.client.event_v2 import OutputDataset
        from openlineage.client.facet_v2 import output_statistics_output_dataset as statistics

        own = (
            _files(recorded.get(stage.name), "outs") if done else {}
        )  # before, they are those of another run
        return [
            OutputDataset(
                self._namespace,
                out,
                facets=_version(own.get(out, {})),
                outputFacets={
                    "outputStatistics": statistics.OutputStatisticsOutputDatasetFacet(
                        size=own[out].get("size"), fileCount=own[out].get("nfiles")
                    )
                }
                if out in own
                else {},
            )
            for out in stage.outs
        ]

    def _error(self, message: str, trace: str | None = None) -> dict[str, Any]:
        from openlineage.client.facet_v2 import error_message_run

        return {"errorMessage": error_message_run.ErrorMessageRunFacet(message, "PYTHON", trace or None)}


class _Sender:
    """Sends events one after the other, in a thread of its own."""

    def __init__(self, client: "OpenLineageClient", warn: Callable[[str], None]) -> None:
        self._client = client
        self._warn = warn
        self._events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._warned = False
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def put(self, event: Any) -> None:
        """Send an event, some time."""
        self._events.put(event)

    def close(self) -> None:
        """Send what is left, for a while."""
        self._events.put(None)
        self._thread.join(_PATIENCE)

    def _work(self) -> None:
        waiting: deque[Any] = deque()
        again = 0.0
        while (event := self._events.get()) is not None:
            waiting.append(event)
            if time.monotonic() >= again and not self._send(waiting):
                again = time.monotonic() + _PAUSE
        self._send(waiting)
        self._client.close(_PATIENCE)

    def _send(self, waiting: deque[Any]) -> bool:
        while waiting:
            try:
                self._client.emit(waiting[0])
            except Exception as error:  # of any transport; its text may hold the address with a password
                if not self._warned:
                    self._warn(
                        f"OpenLineage events could not be sent ({type(error).__name__}); the run goes on, "
                        "and they are tried again until it ends"
                    )
                    self._warned = True
                return False
            waiting.popleft()
        return True


def _configured() -> str | None:
    """What configures OpenLineage, in words; None if nothing does."""
    if os.environ.get("OPENLINEAGE_DISABLED", "").strip().lower() == "true":
        return None
    for name in sorted(os.environ):
        if os.environ[name] and name.startswith(("OPENLINEAGE_URL", "OPENLINEAGE__TRANSPORT")):
            return f"the variable {name}"
    named = os.environ.get("OPENLINEAGE_CONFIG")
    if named and not Path(named).is_file():
        raise AssayError(f"OPENLINEAGE_CONFIG is {named}, which is no file")
    places = [*([Path(named)] if named else []), Path(_FILE), Path.home() / ".openlineage" / _FILE]
    return next((str(path) for path in places if path.is_file()), None)


def _client(named: str) -> "OpenLineageClient":
    """Raises AssayError if there can be none."""
    if "OPENLINEAGE_CLIENT_LOGGING" not in os.environ:  # these loggers tell addresses, and what is in them
        logging.getLogger("openlineage").setLevel(logging.CRITICAL)
        logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
    before = dict(os.environ)
    try:
        from openlineage.client import OpenLineageClient
        from openlineage.client.event_v2 import set_producer

        client = OpenLineageClient()
        asked = (client.config.transport or {}).get("type")
    except ModuleNotFoundError:
        raise AssayError(
            f"OpenLineage is configured ({named}), but openlineage-python is not installed: "
            "`pip install -e '.[openlineage]'`, or set OPENLINEAGE_DISABLED=true"
        ) from None
    except Exception as error:  # its text may hold the address, with a password
        raise AssayError(
            f"OpenLineage's configuration ({named}) makes no sense ({type(error).__name__}); "
            "docs/standards.md has examples"
        ) from None
    finally:  # it writes keys into variables that every stage would inherit
        for name in set(os.environ) - set(before):
            del os.environ[name]
    if client.transport.kind == "console" and asked != "console":
        raise AssayError(
            f"OpenLineage's configuration ({named}) names no transport: docs/standards.md has some"
        )
    set_producer(f"urn:assay:{metadata.version('assay-benchmark')}")
    return client


def _lineage_facet(values: dict[str, Any]) -> Any:
    from openlineage.client.facet_v2 import RunFacet

    class AssayLineageRunFacet(RunFacet):
        @staticmethod
        def _get_schema() -> str:
            return SCHEMA

    return AssayLineageRunFacet().with_additional_properties(**values)


def _files(entry: dict[str, Any] | None, part: str) -> dict[str, dict[str, Any]]:
    """Path -> what dvc.lock says of it."""
    return {file["path"]: file for file in (entry or {}).get(part) or ()}


def _version(file: dict[str, Any]) -> dict[str, Any]:
    from openlineage.client.facet_v2 import dataset_version_dataset

    if "md5" not in file:
        return {}
    return {"version": dataset_version_dataset.DatasetVersionDatasetFacet(f"md5:{file['md5']}")}
