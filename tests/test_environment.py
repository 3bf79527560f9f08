"""flows/records/environment.py: what is written down about a machine, and what is not."""

import getpass
import json
import platform
import shutil
import socket
import sys
from pathlib import Path

import pytest

from flows.records.environment import environment, in_short, pins
from tests import toy


def test_versions_and_the_processor_and_no_names(tmp_path: Path) -> None:
    shutil.copyfile(toy.ROOT / "constraints.txt", tmp_path / "constraints.txt")
    found = environment(tmp_path)
    text = json.dumps(found)
    assert found["packages"]["torch"].startswith(pins(tmp_path)["torch"])
    assert found["constraints"] == {"agree": True, "differ": {}}
    assert found["python"] == f"CPython {platform.python_version()}"
    assert found["cpu"]["cores"] >= 1
    for private in (socket.gethostname(), str(Path.home()), str(tmp_path), sys.prefix):
        assert private not in text
    assert f'"{getpass.getuser()}"' not in text
    assert found == environment(tmp_path)


def test_versions_that_are_not_the_pinned_ones_are_named(tmp_path: Path) -> None:
    (tmp_path / "constraints.txt").write_text("# pins\nnumpy==0.1\nnot-there==2.0\ntorch==2.15.0; sys\n")
    found = environment(tmp_path)
    assert list(found["constraints"]["differ"]) == ["numpy", "not-there"]
    assert found["constraints"]["differ"]["not-there"] == ["2.0", None]
    assert found["constraints"]["agree"] is False
    assert "not as constraints.txt" in in_short(found)
    assert environment(tmp_path / "none")["constraints"]["agree"] is False, "nothing is pinned"


def test_gpus_are_asked_of_their_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    header = "| NVIDIA-SMI 580.1  Driver Version: 580.1  CUDA Version: 13.0 |"
    tool.write_text(
        '#!/bin/sh\nif [ "$1" ]; then printf "NVIDIA A, 80GB, 580.1\\nNVIDIA B, 580.1\\n"; '
        f"else echo '{header}'; fi\n"
    )
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    found = environment(tmp_path)
    assert found["devices"] == ["NVIDIA A, 80GB", "NVIDIA B"]
    assert (found["driver"], found["cuda"]) == ("580.1", "13.0")
    assert "NVIDIA B" in in_short(found)
    tool.write_text("#!/bin/sh\necho no devices were found; exit 6\n")
    found = environment(tmp_path)
    assert (found["devices"], found["driver"], found["cuda"]) == ([], None, None)
