"""One request to an images endpoint that speaks OpenAI's protocol, and what its answer means.

The official client sends it; its own retries are off, since each of them has to fit into the budget.
"""

import base64
import binascii
import email.utils
import json
import math
import os
import re
import time
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from assets.errors import AssayError
from models.generators.options import ApiOptions

try:
    import openai
except ImportError:
    raise AssayError(
        "generators by API need the openai client, which is not installed: pip install -e '.[api]'"
    ) from None

REFUSALS = {"content_policy_violation", "moderation_blocked", "content_filter", "contentfilter"}
"""Error codes of a service that will not draw what the prompt says."""

NO_MONEY = {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"}


class Answer(NamedTuple):
    """What a service sent for a request that it accepted."""

    data: bytes | None
    """The file, as it came; None behind a link."""
    link: str | None
    note: dict[str, Any]
    """What the service says of this image: `revised_prompt`, `created`, `request_id`, `usage`."""


class Refusal(Exception):
    """The service will not draw this; the message is its code."""


class Trouble(Exception):
    """A request brought no image."""

    def __init__(
        self, reason: str, *, again: bool = False, after: float | None = None, free: bool = False
    ) -> None:
        super().__init__(reason)
        self.again = again
        """Whether it may be sent again."""
        self.after = after
        """Seconds to wait first, where the service says so."""
        self.free = free
        """Whether it surely cost nothing."""


class Service:
    """A service, and the key that it is asked with."""

    def __init__(self, options: ApiOptions, where: str) -> None:
        """Take the key from the environment; `where` names the options in errors.

        Raises:
            AssayError: no key there, or one that cannot be sent.
        """
        self._options, self._where = options, where
        self._host = urlsplit(options.base_url).netloc
        self._key = _key(options.key, where)
        self._client = openai.OpenAI(
            api_key=self._key, base_url=options.base_url, timeout=options.timeout_s, max_retries=0
        )

    def ask(self, prompt: str) -> Answer:
        """Send one request.

        Raises:
            Refusal: the service will not draw it.
            Trouble: anything else that is no image.
        """
        asked = self._options.asked()
        model, extra = asked.pop("model"), asked
        try:
            raw = self._client.images.with_raw_response.generate(model=model, prompt=prompt, extra_body=extra)
            document, headers = _json(raw.content), raw.headers
        except openai.APIStatusError as error:
            trouble = self._status(error)
        except openai.APIConnectionError as error:
            never_sent = type(error.__cause__).__name__ in ("ConnectError", "ConnectTimeout")
            trouble = Trouble(f"{self._host}: {_first_line(error)}", again=True, free=never_sent)
        except openai.OpenAIError as error:
            trouble = Trouble(self._clean(f"{self._host}: {_first_line(error)}"))
        else:
            return self._answer(document, headers)
        raise trouble  # outside of `except`: what the client raises holds the request, and that the key

    def says_key(self, text: str) -> bool:
        """Whether a text must not be written anywhere."""
        return self._key in text

    def _answer(self, document: Any, headers: Mapping[str, str]) -> Answer:
        if not isinstance(document, dict) or not isinstance(document.get("data"), list):
            kind = headers.get("content-type", "nothing")
            raise Trouble(
                f"{self._host} answers with {kind}, which is no list of images: does "
                f"{self._where}.base_url lack its last part (OpenAI's ends in /v1)?"
            )
        note = self._note(document, headers)
        image = document["data"][0] if document["data"] else {}
        if not isinstance(image, dict):
            image = {}
        if isinstance(image.get("revised_prompt"), str):
            note["revised_prompt"] = self._clean(image["revised_prompt"])
        if isinstance(image.get("b64_json"), str):
            try:
                return Answer(base64.b64decode(image["b64_json"], validate=True), None, note)
            except (binascii.Error, ValueError):
                return Answer(b"not base64", None, note)
        if isinstance(image.get("url"), str):
            return Answer(None, image["url"], note)
        return Answer(None, None, note)

    def _note(self, document: dict[str, Any], headers: Mapping[str, str]) -> dict[str, Any]:
        note: dict[str, Any] = {}
        if isinstance(document.get("created"), int):
            note["created"] = document["created"]
        if "x-request-id" in headers:
            note["request_id"] = self._clean(headers["x-request-id"])
        if isinstance(document.get("usage"), dict):
            used = {key: count for key, count in document["usage"].items() if isinstance(count, int)}
            note["usage"] = {self._clean(str(key)): count for key, count in used.items()}
        return note

    def _status(self, error: openai.APIStatusError) -> Exception:
        """What an error status means for the request and for its price."""
        status, code = error.status_code, (error.code or "").lower()
        said = self._clean(_message(error))
        if 400 <= status < 500 and code in REFUSALS:
            return Refusal(code)
        if status == 402 or code in NO_MONEY:
            return Trouble(
                f"the account at {self._host} has no money left ({code or status}): {said} Pay in, then "
                "start again",
                free=True,
            )
        if status in (408, 409, 429) or status >= 500:
            # A service that is asked too often or is overloaded has not begun; of the others nobody knows.
            after, free = _retry_after(error.response.headers), status in (429, 503)
            return Trouble(f"{self._host} answers {status}: {said}", again=True, after=after, free=free)
        return Trouble(f"{self._host} answers {status}: {said} {self._mend(status)}", free=True)

    def _mend(self, status: int) -> str:
        if status == 401:
            return f"Put a valid key into the environment variable {self._options.key}"
        if status == 403:
            return f"The account behind {self._options.key} may not use this model, or not from here"
        if status == 404:
            return f"Check {self._where}: model is '{self._options.model}', base_url {self._options.base_url}"
        return f"Check {self._where}, which asks for {json.dumps(self._options.asked())}"

    def _clean(self, text: str) -> str:
        """Without the key, also where the service repeats it, and without parts of keys."""
        return re.sub(r"\bsk-[\w*-]{6,}", "***", text.replace(self._key, "***"))


def _key(variable: str, where: str) -> str:
    key = os.environ.get(variable, "").strip()
    if not key:
        raise AssayError(
            f"{where}.key: the environment variable {variable} is not set; put the service's key there "
            f"(`export {variable}=...`; any text, for a server that asks for none), never into params.yaml"
        )
    if not key.isascii() or not key.isprintable() or " " in key:
        raise AssayError(
            f"{where}.key: the text in the environment variable {variable} holds a space, a line break or "
            "another character that no key has; set it again"
        )
    return key


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None


def _message(error: openai.APIStatusError) -> str:
    """What the service says, as one sentence of bounded length."""
    body = error.body
    said = body.get("message") if isinstance(body, dict) else None
    text = " ".join(str(said or f"no reason given ({error.response.reason_phrase})").split())[:300]
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, from `Retry-After` as a number or as a date, or from `Retry-After-Ms`."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) * unit
        except (KeyError, ValueError):
            continue
        return max(0.0, seconds) if math.isfinite(seconds) else None
    try:
        return max(0.0, email.utils.parsedate_to_datetime(headers["retry-after"]).timestamp() - time.time())
    except (KeyError, ValueError, TypeError):
        return None
