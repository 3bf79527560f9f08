"""The speed comparison of training runs, and prints what it says it prints."""

import re
from typing import Any

import pytest

from tests.speed import train


def test_both_ways_train(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[int] = []
    rate = train.rate

    def counted(work: Any, where: str) -> float:
        def noted() -> int:
            counts.append(work())
            return counts[-1]

        return rate(noted, where)

    monkeypatch.setattr(train, "rate", counted)
    small = ["--model", "test_resnet", "--crop", "32", "--batch", "4", "--images", "8", "--workers", "0"]
    share = train.main([*small, "--repeats", "1"])
    assert counts == [8] * 4, "both see as many images, in the turn that warms up and in the one that counts"
    said = capsys.readouterr().out
    assert re.search(r"from memory: [\d.]+ images/s\n +ours: [\d.]+ images/s\n", said)
    assert f"share: {share:.2f} (" in said
