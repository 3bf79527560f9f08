"""What a reproduction came to, in words and for programs."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from flows.records.records import Record
from flows.reproducing.comparing import Difference
from flows.reproducing.content import Finding
from flows.running.display import in_units, in_words

Outcome = Literal["identical", "equal", "different"]
_MOST = 5


@dataclass
class Verdict:
    """What a reproduction came to; filled as it goes."""

    record: Record
    worktree: Path
    rerun: bool
    tolerance: float
    outcome: Outcome = "different"
    at_fault: list[str] = field(default_factory=list)
    """Stages whose outputs differ though they were given the recorded inputs; the first first."""
    following: list[str] = field(default_factory=list)
    """Stages whose outputs differ as their inputs do."""
    altered: list[Finding] = field(default_factory=list)
    """What was not computed here and is not what the record says: changed, by accident or on purpose."""
    differing: list[Finding] = field(default_factory=list)
    """What was computed here and came out otherwise."""
    largest: Difference | None = None
    lineage: str | None = None
    """Of what lies in the worktree."""
    restored: int = 0
    computed: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    """Stages whose outputs neither the cache nor the remote had."""
    files: int = 0
    bytes: int = 0
    """Hashed."""
    seconds: dict[str, float] = field(default_factory=dict)
    environment: dict[str, list[str | None]] = field(default_factory=dict)
    """What differs from the recorded environment: name -> [recorded, here]."""
    unpinned: dict[str, list[str | None]] = field(default_factory=dict)
    """Versions that are not those of the record's constraints.txt: name -> [pinned, here]."""
    notes: list[str] = field(default_factory=list)

    @property
    def first(self) -> str | None:
        """The first stage at fault; `data` or `record` where an input or the record itself is."""
        if self.altered:
            return self.altered[0].stage
        return next(iter([*self.at_fault, *self.following]), None)

    @property
    def words(self) -> str:
        """The verdict in a sentence."""
        if self.outcome == "identical":
            return "identical to the byte"
        if self.outcome == "equal":
            how = f"largest difference: {self.largest}" if self.largest else "every number is the same"
            return f"equal within {self.tolerance:g} ({how})"
        if self.altered:
            more = f" and {len(self.altered) - 1} more" if len(self.altered) > 1 else ""
            return f"different: first at {self.first}: {self.altered[0]}{more}"
        far = f"; largest difference: {self.largest}" if self.largest else ""
        return f"different: first at {self.first}{far}"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "verdict": self.words,
            "outcome": self.outcome,
            "lineage": {"recorded": self.record.lineage, "here": self.lineage},
            "recipe": self.record.recipe,
            "record": {"tag": self.record.tag, "commit": self.record.commit, "made": self.record.made},
            "worktree": str(self.worktree),
            "rerun": self.rerun,
            "tolerance": self.tolerance,
            "first": self.first,
            "at_fault": self.at_fault,
            "following": self.following,
            "altered": [finding.as_dict() for finding in self.altered],
            "differing": [finding.as_dict() for finding in self.differing],
            "largest_difference": self.largest.as_dict() if self.largest else None,
            "restored": self.restored,
            "computed": self.computed,
            "lost": self.lost,
            "hashed": {"files": self.files, "bytes": self.bytes},
            "seconds": self.seconds,
            "environment": self.environment,
            "not_as_pinned": self.unpinned,
            "notes": self.notes,
            "account": self.lines(),
        }

    def lines(self) -> list[str]:
        """For a terminal: what was done, what was found, the verdict."""
        record = self.record
        lines = [f"record    {record.tag} of {record.made}", f"worktree  {self.worktree}"]
        if self.restored:
            lines.append(f"restored  {self.restored} of {self._stages()} stages{self._took('restoring')}")
        if self.computed:
            lines.append(f"computed  {_listed(self.computed)}{self._took('computing')}")
        if self.lost:
            lines.append(
                f"lost      {_listed(self.lost)}: neither the cache nor the remote had what they made"
            )
        lines.append(
            f"hashed    {self.files:,} files, {in_units(self.bytes)}{self._took('hashing')}: "
            f"{len(self.altered) + len(self.differing) or 'none'} not as recorded"
        )
        lines += [f"  altered: {finding}" for finding in self.altered[: 4 * _MOST]]
        lines += [f"  differs: {finding}" for finding in self.differing[:_MOST]]
        hidden = max(len(self.altered) - 4 * _MOST, 0) + max(len(self.differing) - _MOST, 0)
        lines += [f"  and {hidden} more (--json lists them)"] if hidden else []
        if self.at_fault[1:]:
            lines.append(f"  differ on their own: {_listed(self.at_fault)}")
        if self.following:
            lines.append(f"  differ as their inputs do: {_listed(self.following)}")
        lines += [f"note      {note}" for note in self.notes]
        lines += self._surroundings()
        lines.append(f"lineage   {record.lineage} recorded")
        same = "the same" if self.lineage == record.lineage else self.lineage or "none"
        lines += [f"          {same} here", self.words]
        return lines

    def markdown(self) -> str:
        """For Prefect's page of a run."""
        return f"**{self.words}**\n\n```\n" + "\n".join(self.lines()) + "\n```\n"

    def _stages(self) -> int:
        return self.restored + len(self.lost)

    def _took(self, phase: str) -> str:
        return f", in {in_words(self.seconds[phase])}" if phase in self.seconds else ""

    def _surroundings(self) -> list[str]:
        if not self.environment and not self.unpinned:
            return ["made with the same versions, on the same kind of processor and devices"]
        lines = [
            f"  {name}: {was or 'none'} recorded, {now or 'none'} here"
            for name, (was, now) in self.environment.items()
        ]
        lines += [
            f"  {name}: {was} in its constraints.txt, {now or 'none'} here"
            for name, (was, now) in self.unpinned.items()
        ]
        hint = "; --environment computes with the pinned versions" if self.unpinned else ""
        return [f"the environment differs{hint}:", *lines]


def _listed(names: list[str]) -> str:
    if len(names) <= _MOST:
        return ", ".join(names)
    return f"{len(names)} stages: {', '.join(names[:_MOST])} and {len(names) - _MOST} more"
