"""Fetch an image that a service answers with a link to: from nowhere unexpected, and not without end."""

import time
from email.message import Message
from http.client import HTTPException
from typing import IO
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

MAX_BYTES = 64 * 1024 * 1024
_PIECE = 1 << 16


class DownloadError(Exception):
    """A link did not give its file; the message says why, without the link, which may hold a signature."""

    def __init__(self, reason: str, *, again: bool) -> None:
        super().__init__(reason)
        self.again = again
        """Whether another try may help."""


def download(link: str, base_url: str, timeout_s: float) -> bytes:
    """The bytes behind a link, which has to be https or on the service's own host; so has each redirection.

    Raises:
        DownloadError: another place, no such file, more than MAX_BYTES, cut short, too slow.
    """
    _check(link, base_url)
    opener = build_opener(_Redirects(base_url))
    until = time.monotonic() + timeout_s
    try:
        with opener.open(Request(link, headers={"User-Agent": "assay"}), timeout=timeout_s) as response:
            data = _read(response, until)
            length = response.headers.get("Content-Length")
    except HTTPError as error:
        again = error.code >= 500 or error.code in (408, 429)
        raise DownloadError(f"the image's link answers {error.code}", again=again) from None
    except (OSError, HTTPException) as error:  # URLError and time-outs are OSErrors
        reason = getattr(error, "reason", None) or error
        raise DownloadError(f"the image's link fails: {type(reason).__name__}", again=True) from None
    if length is not None and length.isdigit() and len(data) < int(length):
        raise DownloadError("the image's download was cut short", again=True)
    return data


def _read(response: IO[bytes], until: float) -> bytes:
    data = bytearray()
    while piece := response.read(_PIECE):
        data += piece
        if len(data) > MAX_BYTES:
            raise DownloadError(f"the image behind the link has more than {MAX_BYTES} bytes", again=False)
        if time.monotonic() > until:
            raise DownloadError("the image's download takes too long", again=True)
    return bytes(data)


def _check(link: str, base_url: str) -> None:
    try:
        there, own = urlsplit(link), urlsplit(base_url)
        allowed = there.hostname and (
            there.scheme == "https" or (there.scheme, there.netloc) == (own.scheme, own.netloc)
        )
    except ValueError:
        allowed = False
    if not allowed:
        raise DownloadError(
            "the image's link leads neither to an https address nor to the service itself", again=False
        )


class _Redirects(HTTPRedirectHandler):
    def __init__(self, base_url: str) -> None:
        self._base_url = base_url

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> Request | None:
        _check(newurl, self._base_url)
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]
