"""flows/refreshing/reasons.py: why a stage failed, fit for a table."""

from pathlib import Path

import pytest

from flows.refreshing.reasons import reason_of, scrubbed

DVC = "failed to run: python -m tasks.generate x, exited with 2"


def reason(root: Path, log: str) -> str:
    (root / ".assay/logs").mkdir(parents=True, exist_ok=True)
    (root / ".assay/logs/generate@x.log").write_text(log)
    return reason_of(root, "generate@x", DVC)


def test_the_stages_own_words(tmp_path: Path) -> None:
    log = (
        "Running stage\nerror: 'someone/sd' is gated: accept its terms at https://hub.test/x, then log in\n"
        "ERROR: failed"
    )
    assert reason(tmp_path, log) == (
        "generate@x: 'someone/sd' is gated: accept its terms at [address] then log in"
    )


def test_an_exception_or_the_status(tmp_path: Path) -> None:
    log = 'Traceback:\n  File "/home/me/x.py"\ntorch.OutOfMemoryError: CUDA: tried 2.34 GiB\n'
    assert reason(tmp_path, log) == "generate@x: OutOfMemoryError: CUDA: tried [amount]"
    assert reason(tmp_path, "hello\n") == "generate@x: its command ended with status 2"
    assert (
        reason_of(tmp_path, "fit@y", "not done in the time allowed") == "fit@y: not done in the time allowed"
    )


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("cannot read /home/me/secret project/x", "cannot read [path] project/x"),
        ("../up/there is gone", "[path] is gone"),
        ("weights/adm/x.pt of someone/sd is damaged", "weights/adm/x.pt of someone/sd is damaged"),
        ("GET https://me:pw@host/x?token=1 failed", "GET [address] failed"),
        ("the token hf_abcdefghij0123 is wrong", "the token [secret] is wrong"),
        ("used sk-proj-ABCDEFGH12345", "used [secret]"),
        ("Authorization: Bearer abc.def", "Authorization [secret]"),
        ("password=hunter2 refused", "password [secret] refused"),
        ("object at 0x7f3a2b of 2026-01-02T03:04:05Z", "object at [id] of [time]"),
        ("request 0123456789abcdef0123 by process 4711", "request [id] by process [id]"),
        ("${oh} dear\x1b[31m\n  me", "{oh} dear[31m me"),
    ],
)
def test_nothing_that_changes_or_must_not_be_seen(text: str, left: str) -> None:
    assert scrubbed(text) == left


def test_values_of_secret_variables_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_API_KEY", "correct horse")
    assert scrubbed("denied for correct horse here") == "denied for [secret] here"


def test_it_is_short() -> None:
    assert len(scrubbed("word " * 200)) <= 160 and scrubbed("word " * 200).endswith(" word ...")
    assert scrubbed("w" * 200) == "w" * 156 + " ..."
