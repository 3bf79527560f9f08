"""Paid images on disk, each under a hash of all that was asked: kept as they come, never paid for twice."""

import hashlib
import json
from pathlib import Path
from typing import Any

from assets.errors import AssayError
from assets.files import replacing, sha256_of, write_json
from models.generators import Drawn

SPOOL = Path(".assay/api")
"""Below the current folder, like all half-finished work. It holds no key."""


class Spool:
    """A folder of answers."""

    def __init__(self, folder: Path = SPOOL) -> None:
        self.folder = folder

    def name(self, asked: dict[str, Any]) -> str:
        """What the answer to a request is kept under; `asked` is all that tells it from other requests."""
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()

    def read(self, name: str) -> Drawn | None:
        """What came of a request, or None where it is yet to be sent.

        Raises:
            AssayError: an image that was paid for is gone or damaged.
        """
        path = self._path(name, ".json")
        if not path.is_file():
            return None
        kept = json.loads(path.read_text("utf-8"))
        if kept["reason"] is not None:
            return Drawn(reason=kept["reason"], note=kept["note"])
        image = self._path(name, ".image")
        if not image.is_file() or sha256_of(image) != kept["sha256"]:
            raise AssayError(
                f"{image}, which was paid for, is gone or damaged: put it back, or delete {path} to ask (and "
                "pay) for it again"
            )
        return Drawn(data=image.read_bytes(), note=kept["note"])

    def keep(self, name: str, asked: dict[str, Any], drawn: Drawn) -> None:
        """Store an image, or why there is none; the document that says it is there is written last."""
        digest = None
        if drawn.data is not None:
            image = self._path(name, ".image")
            with replacing(image) as temporary:
                temporary.write_bytes(drawn.data)
            digest = hashlib.sha256(drawn.data).hexdigest()
        document = {"asked": asked, "reason": drawn.reason, "sha256": digest, "note": dict(drawn.note)}
        write_json(self._path(name, ".json"), document)
        self._path(name, ".link").unlink(missing_ok=True)

    def keep_link(self, name: str, link: str, note: dict[str, Any]) -> None:
        """Store where an image that is paid for can be had."""
        write_json(self._path(name, ".link"), {"link": link, "note": note})

    def link(self, name: str) -> tuple[str, dict[str, Any]] | None:
        """The link of an image that was paid for and has not been downloaded, and its note."""
        path = self._path(name, ".link")
        if not path.is_file():
            return None
        kept = json.loads(path.read_text("utf-8"))
        return kept["link"], kept["note"]

    def _path(self, name: str, ending: str) -> Path:
        return self.folder / name[:2] / f"{name}{ending}"
