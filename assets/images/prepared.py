"""The images of a sample that were brought into one form: by which recipes, and where they lie."""

from pathlib import Path

from assets.detection import Sample


def preparation(sample: Sample | None) -> tuple[str, str]:
    """The recipes of a sample's real and of its generated images; empty where they stay as they are."""
    if sample is None:
        return "", ""
    found = sample.prepare
    return (found, found) if isinstance(found, str) else (found.real, found.generated)


def prepared_folder(root: Path, name: str, item: str) -> Path:
    """The image set of what the sample `name` prepares of one item: `real`, or a generator."""
    return root / "artifacts" / "pool" / name / "prepared" / item
