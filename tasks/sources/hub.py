"""A dataset on the Hugging Face hub, `hf:owner/name@revision`: brought here once, read from its cache."""

from pathlib import Path
from typing import NamedTuple

from assets.errors import AssayError
from assets.files import full_disk_told

PREFIX = "hf:"


class HubPlace(NamedTuple):
    """A dataset at a revision."""

    repo: str
    revision: str | None

    def __str__(self) -> str:
        return f"{PREFIX}{self.repo}" + (f"@{self.revision}" if self.revision else "")


def parse(place: str) -> HubPlace | None:
    """Read `hf:owner/name@revision`; None if the place is no such name.

    Raises:
        AssayError: begins with `hf:` but does not go on as it should.
    """
    if not place.startswith(PREFIX):
        return None
    repo, _, revision = place.removeprefix(PREFIX).partition("@")
    owner, _, name = repo.partition("/")
    if not owner or not name or "/" in name or ".." in repo:
        raise AssayError(f"{place}: write hf:OWNER/NAME or, better, hf:OWNER/NAME@REVISION")
    return HubPlace(repo, revision or None)


def bring(place: HubPlace) -> Path:
    """The folder of the dataset's parquet files, downloaded where they are not in the cache yet.

    Raises:
        AssayError: offline, gated, vanished, no such revision, interrupted.
    """
    import httpx
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        with full_disk_told("what is downloaded is kept; free some space, start it again, and it goes on"):
            return Path(
                snapshot_download(
                    place.repo, repo_type="dataset", revision=place.revision, allow_patterns=["*.parquet"]
                )
            )
    except GatedRepoError:
        raise AssayError(
            f"{place} is gated: accept its terms on https://huggingface.co/datasets/{place.repo}, then "
            "`hf auth login` (or set HF_TOKEN) and start again"
        ) from None
    except RepositoryNotFoundError:
        raise AssayError(
            f"{place}: the hub has no such dataset (removed, renamed, or private): look for it on "
            "https://huggingface.co/datasets, or import a copy from a folder"
        ) from None
    except RevisionNotFoundError:
        raise AssayError(f"{place}: the dataset has no revision {place.revision}") from None
    except (LocalEntryNotFoundError, OfflineModeIsEnabled):
        raise AssayError(
            f"{place} is not in the cache of the hub, and the hub cannot be reached: go online (unset "
            "HF_HUB_OFFLINE if it is set), or import a folder that holds its parquet files"
        ) from None
    except (HfHubHTTPError, httpx.HTTPError) as error:
        first = str(error).strip().split("\n")[0]
        raise AssayError(f"{place}: the download failed ({first}); start again, it goes on") from None
