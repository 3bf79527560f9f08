"""Processes of a Dask or Ray cluster as a place for stages."""

from typing import Any

from flows.elsewhere.away import Away
from flows.planning.plan import Planned
from flows.running import dvc
from flows.running.places import Ticket


class Cluster(Away):
    """Processes of a Dask or Ray cluster, which do errands in the clones that ASSAY_REPO names there."""

    def parcel(self, planned: Planned) -> dict[str, Any]:
        """The errand."""
        return self._errand(planned).as_dict()

    def run(self, ticket: Ticket) -> dvc.Ran:
        """Never called: a cluster's process does the errand with `flows.elsewhere.errands.do_parcel`."""
        raise NotImplementedError

    def unpack(self, planned: Planned, document: Any) -> dvc.Ran:
        """What a process of the cluster gave back; `settle` it then.

        Raises:
            dvc.StageFailed: it is not what was asked for.
        """
        return self._take(self._errand(planned), document, "a process of the cluster")
