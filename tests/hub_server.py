"""A server that speaks as much of the Hugging Face hub's protocol as a download needs, on this machine."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REFUSALS = {"someone/gated": (403, "GatedRepo"), "someone/gone": (404, "RepoNotFound")}
"""Repositories that are refused, and how the hub says so."""


class Handler(BaseHTTPRequestHandler):
    repositories: dict[str, Path]
    asked: list[str]

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, body: bool) -> None:
        path = urlsplit(self.path).path.strip("/")
        self.asked.append(f"{self.command} {path}")
        parts = path.removeprefix("api/models/").split("/")
        name, rest = "/".join(parts[:2]), parts[2:]
        if name in REFUSALS or name not in self.repositories:
            status, code = REFUSALS.get(name, (404, "RepoNotFound"))
            return self.send(status, b"{}", {"X-Error-Code": code}, body)
        if rest and rest[0] in ("revision", "tree", "resolve") and rest[1] != COMMIT:
            return self.send(404, b"{}", {"X-Error-Code": "RevisionNotFound"}, body)
        folder = self.repositories[name]
        names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
        if path.startswith("api/"):
            if rest and rest[0] == "tree":
                entries = [self.entry(folder / one, one) for one in names]
                return self.send(200, json.dumps(entries).encode(), {}, body)
            siblings = [{"rfilename": one} for one in names]
            about = {"id": name, "modelId": name, "sha": COMMIT, "siblings": siblings, "private": False}
            return self.send(200, json.dumps(about).encode(), {}, body)
        if "/".join(rest[2:]) not in names:
            return self.send(404, b"{}", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT}, body)
        data = (folder / "/".join(rest[2:])).read_bytes()
        etag = f'"{hashlib.sha1(data).hexdigest()}"'
        return self.send(200, data, {"ETag": etag, "X-Repo-Commit": COMMIT}, body)

    def entry(self, path: Path, name: str) -> dict[str, object]:
        data = path.read_bytes()
        oid = hashlib.sha1(data).hexdigest()
        return {"type": "file", "path": name, "size": len(data), "oid": oid}

    def send(self, status: int, data: bytes, headers: dict[str, str], body: bool) -> None:
        self.send_response(status)
        for header, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(header, value)
        self.end_headers()
        if body:
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@contextmanager
def hub(repositories: dict[str, Path]) -> Iterator[tuple[str, list[str]]]:
    """Serve folders as repositories at COMMIT; yields the address and a list of what is asked."""
    handler = type("Bound", (Handler,), {"repositories": repositories, "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", handler.asked  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
