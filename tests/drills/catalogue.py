"""All drills by name."""

import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.drills import disks, gpus, kills, limits, locks, remotes, servers
from tests.drills.scene import Seen, Toy

Drill = Callable[[Toy, Path], Seen]

_IN_THE_RUN = {
    f"{family} {role}": partial(kills.in_the_run, family=family, role=role)
    for family in kills.STAGES
    for role in (("stage", "dvc", "guard", "leader") if family == "generate" else ("stage", "dvc"))
}
_OF_THE_FLOW = {f"{family} flow": partial(kills.of_the_flow, family=family) for family in kills.STAGES}
_LOCKS = (
    "emptied",
    "cut in half",
    "cut in half, no copy in .assay",
    "cut at the end of a line",
    "cut after its second line",
    "removed",
)
_IN_USE = ("emptied", "cut off", "naming a dead dvc's id, which another program has")
_DISKS = {"workspace": 1600, "cache": 700, ".assay": 64, "/tmp": 64}
"""Kilobytes of each."""

DRILLS: dict[str, Drill] = {
    **_IN_THE_RUN,
    **_OF_THE_FLOW,
    "flow, at once": locks.killed_and_started_at_once,
    **{
        f"lock written {role}": partial(kills.while_dvc_writes_its_lock, role=role)
        for role in ("dvc", "flow")
    },
    **{f"lock {damage}": partial(locks.damaged_lock, damage=damage) for damage in _LOCKS},
    "lock in a merge": locks.lock_in_a_merge,
    **{f"paths in use {damage}": partial(locks.paths_in_use, damage=damage) for damage in _IN_USE},
    **{f"disk {where}": partial(disks.full, where=where, kilobytes=size) for where, size in _DISKS.items()},
    "remote away": remotes.away_for_good,
    "remote away for a while": remotes.away_for_a_while,
    "remote read-only": remotes.read_only,
    "server": servers.server_killed,
    "server back soon": servers.server_back_soon,
    "worker": servers.worker_killed,
    "flow of a worker": servers.run_of_a_worker_killed,
    "cancelled": servers.cancelled,
    "in line": servers.in_line,
    "two runs": locks.two_runs,
    "SIGINT": partial(limits.told_to_stop, number=signal.SIGINT),
    "SIGTERM": partial(limits.told_to_stop, number=signal.SIGTERM),
    "time limit": limits.time_is_up,
    "status 75": limits.may_pass,
    "status 75 always": limits.not_for_ever,
    "status 2": limits.mistakes,
    "jobs": limits.side_by_side,
    "gpus": gpus.over_two_workspaces,
    "gpus after a kill": gpus.after_a_kill,
}
MOUNTS = {*(f"disk {where}" for where in _DISKS), "remote read-only"}
"""Drills that mount a file system."""
