"""Child processes that are kept alive: one that dies is started again, and none outlives whoever keeps it."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flows.running import guard

GUARD = [sys.executable, "-I", "-S", guard.__file__]
_PAUSES = (1.0, 2.0, 5.0, 15.0, 60.0)
_WELL = 60.0
_TAIL = 3000


@dataclass
class Child:
    """A program that has to be there all the time."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    """Its output is added to this file."""
    prepare: Callable[[], None] | None = None
    """Called before every start but the first."""
    process: "subprocess.Popen[bytes] | None" = None
    begun: float = 0.0
    deaths: int = 0
    due: float = 0.0
    """When to start it again."""

    def start(self) -> None:
        """Start it behind the guard, which ends it when its standard input, ours, is closed."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [*GUARD, *self.command],
                env=dict(self.environment),
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches us alone; we end the children in order
            )
        self.begun = time.monotonic()

    def hang_up(self) -> None:
        """Tell the guard to end it; does not wait."""
        if self.process and self.process.stdin:
            self.process.stdin.close()

    def wait(self) -> None:
        """Wait until it, and its guard, are gone."""
        if self.process:
            self.process.wait(4 * guard.GRACE)
            self.process = None

    def tail(self) -> str:
        """The end of its output."""
        return self.log.read_text("utf-8", errors="replace")[-_TAIL:].strip() if self.log.exists() else ""


@dataclass
class Keeper:
    """Keeps children alive until `stop`."""

    say: Callable[[str], None]
    children: list[Child] = field(default_factory=list)

    def add(self, child: Child) -> None:
        """Start a child and look after it from now on."""
        self.children.append(child)
        child.start()

    def tick(self) -> None:
        """Start again what has died, after a pause that grows while it goes on dying at once."""
        now = time.monotonic()
        for child in self.children:
            if child.process is not None:
                self._look_at(child, now)
            elif now >= child.due:
                self._revive(child)

    def stop(self) -> None:
        """End all children, the last that was started first: workers before their server."""
        for child in reversed(self.children[1:]):
            child.hang_up()
        for child in reversed(self.children[1:]):
            child.wait()
        for child in self.children[:1]:
            child.hang_up()
            child.wait()

    def _look_at(self, child: Child, now: float) -> None:
        assert child.process is not None
        status = child.process.poll()
        if status is None:
            return
        child.hang_up()
        child.process = None
        child.deaths = 0 if now - child.begun > _WELL else child.deaths + 1
        pause = _PAUSES[min(child.deaths, len(_PAUSES)) - 1] if child.deaths else 0.0
        child.due = now + pause
        self.say(f"{child.name} ended with status {status}; starting it again in {pause:.0f} s ({child.log})")

    def _revive(self, child: Child) -> None:
        try:
            if child.prepare:
                child.prepare()
        except Exception as error:  # the server may be away, too: try again, and say so
            child.deaths += 1
            child.due = time.monotonic() + _PAUSES[min(child.deaths, len(_PAUSES)) - 1]
            self.say(f"{child.name} waits: {error}")
            return
        child.start()


def path_with_ours(environment: Mapping[str, str]) -> str:
    """PATH on which `python` is the interpreter that runs us, activated environment or not."""
    return f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', os.defpath)}"
