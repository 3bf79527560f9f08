"""What a refresh finds: a line for the user each, and what is to be done about it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["card", "entry", "folder", "revision", "retry", "hub"]


@dataclass(frozen=True)
class Finding:
    """Something new, or something that keeps a new thing from being taken in."""

    kind: Kind
    name: str
    says: str
    """In a line, what it is and, if nothing is done about it, why and what the user can do."""
    todo: Callable[[], list[str]] | None = None
    """Takes it in and returns lines for the user; AssayError if that cannot be. None: it is told alone."""
    runs: bool = False
    """It is in params.yaml already and only has to run."""

    @property
    def action(self) -> str:
        """`add`: it is taken in; `run`: its stages run; `told`: it is left to the user."""
        return "add" if self.todo else "run" if self.runs else "told"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"kind": self.kind, "name": self.name, "action": self.action, "says": self.says}

    def left(self, why: str) -> "Finding":
        """The same, told: it could not be taken in."""
        return Finding(self.kind, self.name, f"{self.says}; it could not be taken in: {why}")
