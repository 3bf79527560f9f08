"""Whether an errand fits the graph of the clone that it came to."""

import shutil
import tempfile
from pathlib import Path

from assets.dag import DVC_YAML, Dag, load_dag
from assets.params import load_params
from assets.yaml12 import PARAMS_YAML, parse_yaml
from flows.elsewhere.errand import Errand, refused
from flows.elsewhere.fetching import DATA_DVC
from flows.elsewhere.fragments import outs_behind, sound_content


def fitting_graph(root: Path, errand: Errand) -> Dag:
    """The graph of the run, if all of the errand fits it.

    Raises:
        AssayError: parameters that Assay refuses, an unknown stage, inputs or code that it does not read.
    """
    with tempfile.TemporaryDirectory(prefix="assay-errand-") as folder:
        shutil.copyfile(root / DVC_YAML, Path(folder) / DVC_YAML)
        (Path(folder) / PARAMS_YAML).write_text(errand.params, "utf-8")
        load_params(Path(folder) / PARAMS_YAML)
        dag = load_dag(Path(folder))
    wanted = dag[errand.stage]
    if set(errand.code) != {DVC_YAML, *code_deps(dag, errand.stage)}:
        raise refused(f"its code is not what {wanted.name} depends on")
    if set(errand.inputs) != set(outs_behind(dag, errand.stage)):
        raise refused(f"its inputs are not what {wanted.name} reads")
    if errand.data is not None:
        _check_pinned(errand.data)
    return dag


def code_deps(dag: Dag, stage: str) -> list[str]:
    """What a stage depends on that no stage makes and that is no picture."""
    return [dep for dep in dag[stage].deps if not dag.outs_behind(dep) and not is_data(dep)]


def is_data(dep: str) -> bool:
    """Whether a dependency is an input that data.dvc pins."""
    return dep == "data" or dep.startswith("data/")


def _check_pinned(text: str) -> None:
    """data.dvc may pin the folder data/, and nothing else."""
    document = parse_yaml(text, DATA_DVC)
    outs = document.get("outs")
    pinned = outs[0] if isinstance(outs, list) and len(outs) == 1 and isinstance(outs[0], dict) else {}
    content = {key: value for key, value in pinned.items() if key != "path"}
    if set(document) != {"outs"} or pinned.get("path") != "data" or not sound_content(content):
        raise refused(f"its {DATA_DVC} pins something else than the folder data")
