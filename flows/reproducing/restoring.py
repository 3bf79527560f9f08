"""Outputs that a cache or a remote still has, put where a worktree wants them."""

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from assets.errors import AssayError
from flows.reproducing.asking import ask_dvc
from flows.reproducing.content import Output
from flows.reproducing.settings import Settings, redacted
from flows.running.display import in_units

Say = Callable[[str], None]
_BATCH = 2_000_000_000
"""Bytes between two words on how far it is. DVC looks at everything about as fast as at one path by its name,
so that less than this is restored in one go."""
_ERROR = re.compile(r"^(?:ERROR|WARNING): .*$", re.MULTILINE)
_GONE = re.compile(
    r"No such file|FileNotFoundError|NoSuchKey|Not ?Found|\b404\b|do(?:es)? not exist"
    r"|files? failed to download|Some of the cache files|Missing cache files|^WARNING"
)


def restore(
    folder: Path,
    outputs: Sequence[Output],
    everything: bool,
    remote: tuple[str, str] | None,
    settings: Settings,
    say: Say,
) -> None:
    """Check outputs out of the cache, after fetching what only the remote has. What neither has stays away.

    Args:
        everything: whether these are all that DVC knows of in the folder.
        remote: name and address of the default remote.
        settings: whose secrets are kept out of messages.

    Raises:
        AssayError: the remote did not answer; DVC could not write.
    """
    batches = list(_batches(outputs))
    total = sum(output.bytes for output in outputs)
    done = 0
    say(f"restoring {len(outputs)} outputs, {in_units(total)}")
    for batch in batches:
        wanted = [output.path for output in batch]
        named = [] if everything and len(batches) == 1 else ["--", *dict.fromkeys(wanted)]
        said = ask_dvc(folder, "fetch", *named).text if remote else ""
        checked = ask_dvc(folder, "checkout", "--force", "--allow-missing", *named)
        if checked.status:
            said = _errors(redacted(checked.text, settings))
            raise AssayError(f"`dvc checkout` failed in {folder}:\n{said}")
        missing = [path for path in wanted if not (folder / path).exists()]
        if missing and remote:
            _refuse_silence(remote, redacted(said, settings))
        done += sum(output.bytes for output in batch)
        lost = f", {len(missing)} outputs are nowhere" if missing else ""
        say(f"restored {in_units(done)} of {in_units(total)}{lost}")


def _refuse_silence(remote: tuple[str, str], said: str) -> None:
    """A remote that does not answer is no remote that lacks something.

    Raises:
        AssayError: it did not answer.
    """
    name, url = remote
    away = [line for line in _ERROR.findall(said) if not _GONE.search(line)]
    if "://" not in url and not Path(url).is_dir():
        away = [f"there is no folder {url}"]
    if away:
        raise AssayError(f"DVC's remote {name} did not give what the record needs:\n{away[0]}")


def _errors(text: str) -> str:
    return "\n".join(_ERROR.findall(text)[-5:]) or text[-500:]


def _batches(outputs: Sequence[Output]) -> Iterator[list[Output]]:
    batch: list[Output] = []
    for output in outputs:
        if batch and sum(one.bytes for one in batch) >= _BATCH:
            yield batch
            batch = []
        batch.append(output)
    if batch:
        yield batch
