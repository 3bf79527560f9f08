"""A server on this machine that speaks the protocol of OpenAI's images endpoint, and fails as it is told."""

import base64
import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.conftest import file_bytes, textured

Reply = Callable[["Handler"], None]


class ImagesServer:
    """Use it as a context manager. What `replies` holds is played in turn, then all is well.

    No two pictures are alike, as with a real service: a picture that was paid for twice shows.
    """

    def __init__(self, *replies: Reply, each: Reply | None = None) -> None:
        self.replies = list(replies)
        self.each = each or picture()
        """What is played after that."""
        self.asked: list[dict[str, Any]] = []
        """Bodies of the requests for an image, in the order they came."""
        self.keys: list[str | None] = []
        """Authorization of every request, downloads too."""
        self.files: dict[str, list[Reply]] = {}
        """What is played for downloads of a path."""
        self.at_once = self.most_at_once = 0
        self.sent: list[bytes] = []
        """Pictures that were made, in order."""
        self.made: dict[str, bytes] = {}
        """Prompts and the picture that was last made for them."""
        self.lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.images = self  # type: ignore[attr-defined]

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}/v1"

    def __enter__(self) -> "ImagesServer":
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def new_picture(self, prompt: str) -> bytes:
        with self.lock:
            data = file_bytes(textured(len(self.sent)), "PNG")
            self.sent.append(data)
            self.made[prompt] = data
        return data


class Handler(BaseHTTPRequestHandler):
    """One request."""

    def do_POST(self) -> None:
        images = self.images
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with images.lock:
            images.asked.append(body)
            images.keys.append(self.headers["Authorization"])
            reply = images.replies.pop(0) if images.replies else images.each
            images.at_once += 1
            images.most_at_once = max(images.most_at_once, images.at_once)
        self.body = body
        try:
            if self.path == "/v1/images/generations":
                reply(self)
            else:
                self.answer(404, b"{}")
        finally:
            with images.lock:
                images.at_once -= 1

    def do_GET(self) -> None:
        self.images.keys.append(self.headers["Authorization"])
        replies = self.images.files.get(self.path, [])
        (replies.pop(0) if len(replies) > 1 else replies[0] if replies else gone)(self)

    def answer(
        self, status: int, data: bytes, kind: str = "application/json", headers: dict[str, str] | None = None
    ) -> None:
        try:
            self.send_response(status)
            for name, value in {
                "Content-Type": kind,
                "Content-Length": str(len(data)),
                **(headers or {}),
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)
        except OSError:
            pass  # who asked has given up waiting

    @property
    def images(self) -> ImagesServer:
        return self.server.images  # type: ignore[attr-defined, no-any-return]

    def log_message(self, *_: object) -> None:
        pass


def picture(after: float = 0, **more: Any) -> Reply:
    """A picture as base64; `more` goes into the answer's image."""

    def reply(handler: Handler) -> None:
        time.sleep(after)
        data = handler.images.new_picture(handler.body["prompt"])
        image = {"b64_json": base64.b64encode(data).decode(), **more}
        send(handler, {"created": 1700000000, "data": [image]})

    return reply


def link(url: str, *replies: Reply) -> Reply:
    """A picture behind a link; `{host}` in it is this server's. `replies`: played for its downloads."""

    def reply(handler: Handler) -> None:
        data = handler.images.new_picture(handler.body["prompt"])
        whole = url.format(host=handler.images.host)
        path = "/" + whole.split("/", 3)[3]
        handler.images.files[path] = [*replies, lambda one: one.answer(200, data, "image/png")]
        send(handler, {"created": 1700000000, "data": [{"url": whole, "revised_prompt": "revised"}]})

    return reply


def fault(status: int, code: str | None = None, message: str = "no", **headers: str) -> Reply:
    """An error in the protocol's form."""

    def reply(handler: Handler) -> None:
        error = {"message": message, "type": "some_error", "param": None, "code": code}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        handler.answer(status, json.dumps({"error": error}).encode(), headers=named)

    return reply


def raw(data: bytes, kind: str, status: int = 200, **headers: str) -> Reply:
    """Any bytes."""
    return lambda handler: handler.answer(status, data, kind, headers)


def hang_up(handler: Handler) -> None:
    """Close the connection without an answer."""
    handler.close_connection = True
    handler.connection.close()


def gone(handler: Handler) -> None:
    """No such file."""
    handler.answer(404, b"gone", "text/plain")


def send(handler: Handler, document: Any) -> None:
    """A good answer."""
    number = len(handler.images.asked)
    handler.answer(200, json.dumps(document).encode(), headers={"x-request-id": f"req_{number}"})
