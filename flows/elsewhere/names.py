"""The name under which an errand is found again by a coordinator that was started anew."""

import hashlib
import json

from assets.dag import Dag, look_up
from assets.yaml12 import PARAMS_YAML, parse_yaml
from flows.elsewhere.errand import Errand


def name_of(dag: Dag, errand: Errand) -> str:
    """Under which an errand is found again: what is asked for and what is read, in this folder's name."""
    wanted = dag[errand.stage]
    document = parse_yaml(errand.params, PARAMS_YAML)
    params = {
        file: [[key, look_up(document, key)] for key in keys] if file == PARAMS_YAML else []
        for file, keys in wanted.params.items()
    }
    read = [dict(errand.code), errand.inputs, errand.data]
    text = json.dumps(
        [errand.token, errand.stage, errand.force, wanted.cmd, params, read], sort_keys=True, default=str
    )
    return f"errand:{hashlib.sha256(text.encode()).hexdigest()[:32]}"
