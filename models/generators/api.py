"""Any service with OpenAI's images endpoint: DALL-E 3, its successors, and servers that speak like them.

Images cost money here. What a service answers is kept at once (service/spool.py), so a stage that is killed
goes on without paying twice; what was spent is counted over all runs (service/spending.py), and no request
is sent that could exceed the budget. A service has no seed and draws another image every time it is asked:
a request's seed only tells its image from others.
"""

import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from assets.errors import AssayError
from assets.params import Sampler
from assets.progress import say
from models.generators import Drawn, Request
from models.generators.options import ApiOptions
from models.generators.service.asking import Asker
from models.generators.service.client import Service
from models.generators.service.pace import Pace
from models.generators.service.spending import Spending, dollars, usd
from models.generators.service.spool import SPOOL, Spool


def fit(images: np.ndarray, out: Path, options: ApiOptions, seed: int, device: str) -> dict[str, Any]:
    """Nothing is trained and nothing is asked: the options in model.json are the model."""
    return {}


def open_drawer(folder: Path, model: dict[str, Any], sampler: Sampler, device: str) -> "ApiDrawer":
    """Prepare to ask; the key is not needed before the first image that has to be paid for."""
    return ApiDrawer(folder.name, ApiOptions.model_validate(model["options"]), sampler)


class ApiDrawer:
    """Asks a service, within a budget."""

    def __init__(self, name: str, options: ApiOptions, sampler: Sampler, folder: Path = SPOOL) -> None:
        """Args: name: of the model in `fit`, which the budget is for; folder: where answers are kept.

        Raises:
            AssayError: a sampler setting that a service does not take.
        """
        refused = ("scheduler", "steps", "guidance", "height", "width", "negative_prompt")
        for field in refused:
            if getattr(sampler, field) is not None:
                raise AssayError(
                    f"sampler.{field}: a service does not take it; what it takes is in fit.{name}.options, "
                    "and sampler.batch"
                )
        if sampler.dtype != "float32":
            raise AssayError(f"sampler.dtype: {sampler.dtype} is nothing that a service can be asked for")
        self.options, self._where = options, f"fit.{name}.options"
        self.spool = Spool(folder)
        self.spending = Spending(folder / f"{name}.spending")
        self.pace = Pace(folder / f"{name}.pace", options.per_minute)
        self._price, self._budget = usd(options.usd_per_image), usd(options.budget_usd)
        self._asker: Asker | None = None
        asked = options.asked()
        self.record = {
            "kind": "api",
            "model_id": asked.pop("model"),
            "host": urlsplit(options.base_url).netloc,
            "options": asked,
            "batch": sampler.batch,
            "safety_checker": None,
            "watermarker": None,
            "repeatable": False,
            "versions": {"openai": version("openai")},
        }

    def draw(self, requests: Sequence[Request]) -> list[Drawn]:
        """One file per request, as the service sent it, or the reason why there is none.

        Raises:
            AssayError: the budget is reached, no key, a service that does not answer or refuses the
                account; what has come is kept, and the message says how to go on.
        """
        asked = [self._asked(request) for request in requests]
        names = [self.spool.name(one) for one in asked]
        found = self._kept(names)
        todo = {name: one for name, one in zip(names, asked, strict=True) if name not in found}
        if todo:
            self._pay_for(todo, set(names))
            found |= self._kept(todo)
        return [found[name] for name in names]

    def _kept(self, names: Iterable[str]) -> dict[str, Drawn]:
        read = {name: self.spool.read(name) for name in names}
        return {name: drawn for name, drawn in read.items() if drawn is not None}

    def _asked(self, request: Request) -> dict[str, Any]:
        """All that tells a request from others."""
        if request.prompt is None:
            raise AssayError(
                f"{self.options.model} draws from text: set the generator's `prompts` (a request has none)"
            )
        if request.negative_prompt is not None:
            raise AssayError(
                f"{self.options.model} is asked by API, which takes no negative prompt, but the generator's "
                "`prompts` have one"
            )
        own = {"prompt": request.prompt, "seed": request.seed}
        return {"base_url": self.options.base_url, "options": self.options.asked(), **own}

    def _pay_for(self, todo: dict[str, dict[str, Any]], names: set[str]) -> None:
        """Have all of `todo` in the spool, several at a time; `names` are all that are asked for."""
        if self._asker is None:
            service = Service(self.options, self._where)
            self._announce(len(todo))
            self._asker = Asker(self.options, service, self.spool, self.spending, self.pace)
        stop = threading.Event()
        with ThreadPoolExecutor(min(self.options.parallel, len(todo))) as pool:
            try:
                asking = [
                    pool.submit(self._asker.pay_for, name, asked["prompt"], asked, stop)
                    for name, asked in todo.items()
                ]
                wait(asking, return_when=FIRST_EXCEPTION)
            finally:
                stop.set()  # nothing more is sent; what has been sent is waited for and kept
        for error in filter(None, (one.exception() for one in asking)):
            if isinstance(error, AssayError):
                raise AssayError(f"{str(error).rstrip('.')}. {self._so_far(names)}") from None
            raise error

    def _announce(self, count: int) -> None:
        """Say what is about to be spent, before the first request."""
        spent, left = self.spending.spent, self._budget - self.spending.spent
        most = f"{max(0, int(left // self._price))} more images" if self._price else "any number of images"
        say(
            f"{self.options.model} at {self.record['host']}: {count} images, at most "
            f"{dollars(self._price * count)}, to begin with; budget {dollars(self._budget)}, spent so far "
            f"{dollars(spent)}: enough for {most} at {dollars(self._price)} each"
        )

    def _so_far(self, names: set[str]) -> str:
        """What is there, what it cost, and how to go on."""
        kept = self._kept(names)
        images = sum(drawn.data is not None for drawn in kept.values())
        without = f" and {len(kept) - images} will not come" if len(kept) > images else ""
        number, charged = self.spending.unanswered
        lost = f" ({dollars(charged)} of it for {number} without an answer)" if number else ""
        needed = self.spending.spent + self._price * (len(names) - len(kept))
        more = ""
        if needed > self._budget:
            more = f", and set {self._where}.budget_usd to {needed} or more for these images alone"
        return (
            f"{images} of the {len(names)} images asked for are there{without}; "
            f"{dollars(self.spending.spent)} of {dollars(self._budget)} may have been spent{lost}. "
            f"Start again to go on{more}: images in {self.spool.folder} are not paid for twice"
        )
