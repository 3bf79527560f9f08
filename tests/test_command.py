"""How a stage ends: what a user can mend, what may pass by itself, and everything else."""

import errno
import subprocess
import sys

import pytest

from assets.errors import AssayError
from tasks.command import may_pass
from tests.conftest import REPO

_STAGE = """\
import sys
from assets.errors import AssayError
from tasks.command import run_stage
def main(arguments):
    {body}
run_stage(main)
"""


class ConnectTimeout(Exception):
    """As httpx and requests have one."""


class Timeout(Exception):
    pass


class ReadTimeout(Timeout):
    pass


class OfflineModeIsEnabled(ConnectionError):
    """As the hub's client has one: somebody asked for it."""


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (ConnectionResetError("reset by peer"), True),
        (TimeoutError(), True),
        (OSError(errno.EIO, "Input/output error"), True),
        (OSError(errno.ESTALE, "Stale file handle"), True),
        (ReadTimeout("no answer"), True),
        (OSError(errno.ENOSPC, "No space left on device"), False),
        (FileNotFoundError(errno.ENOENT, "no such file"), False),
        (ConnectTimeout(), False),
        (OfflineModeIsEnabled(), False),
        (ValueError("lr is -1"), False),
        (MemoryError(), False),
    ],
)
def test_what_may_pass(error: Exception, passes: bool) -> None:
    assert may_pass(error) is passes
    wrapped = AssayError("the hub did not answer")
    wrapped.__cause__ = error
    assert may_pass(wrapped) is passes


def test_a_cause_that_was_hidden_on_purpose_does_not_count() -> None:
    with pytest.raises(AssayError) as raised:
        try:
            raise TimeoutError
        except TimeoutError:
            raise AssayError("bad parameter") from None
    assert not may_pass(raised.value)


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ("raise AssayError('lr is -1: expected more than 0')", 2, "error: lr is -1: expected more than 0\n"),
        ("raise ConnectionResetError('by peer')", 75, "ConnectionResetError: by peer\n"),
        ("raise AssayError('the hub is away') from TimeoutError()", 75, "error: the hub is away\n"),
        ("raise ValueError('a bug')", 1, "ValueError: a bug\n"),
        ("pass", 0, ""),
    ],
)
def test_the_status_of_a_stage(body: str, status: int, said: str) -> None:
    program = _STAGE.format(body=body)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPO, capture_output=True, text=True, check=False
    )
    assert done.returncode == status
    assert done.stderr.endswith(said) and bool(done.stderr) is bool(said)
