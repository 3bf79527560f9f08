"""What a stage reads, as those who keep lineage see it: data, and not code."""

from assets.dag import Dag, Stage

_DATA = "data/"


def read_by(dag: Dag, stage: Stage) -> tuple[str, ...]:
    """Outputs of other stages that it reads, each by itself, and what lies in data/.

    Its code is left out: that is told by the commit and by the recipe hash, and is ten times as many files.
    """
    found: dict[str, None] = {}
    for dep in stage.deps:
        found |= dict.fromkeys(dag.outs_behind(dep))
        if dep.startswith(_DATA):
            found[dep] = None
    return tuple(found)
