"""Drawing the images of a generator: what each is asked for, and the row that it becomes.

An image is known by its number alone: its id, its seed and what it shows follow from it, so that any
process can draw any chunk, and the record of an image is enough to draw it again.
"""

import json
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from assets.images.chunks import Chunks
from assets.images.packing import ShardWriter
from assets.images.picture import encode
from assets.machine import make_repeatable
from assets.params import Generator, Params
from assets.progress import counter
from assets.prompting.prompts import Ask, asks
from assets.seeds import derive_seed
from models import generators
from models.generators import Drawer, Drawn, Request

_GENERATED = 1
_AHEAD = 4
"""Batches that a model is asked for at once: it may put those together that go together."""


class Drawing:
    """All images of one generator of the parameters, whoever draws them."""

    def __init__(self, root: Path, params: Params, name: str) -> None:
        """Open nothing yet but the prompts.

        Raises:
            AssayError: a model that is not there, a file of prompts that is not there or has changed.
        """
        self.name = name
        self.spec: Generator = params.generators[name]
        self.model = root / self.spec.from_
        self._about = generators.describe(self.model)
        self._seed = params.seed
        self._asks: Sequence[Ask] = asks(self.spec.prompts, self.total, params.seed, root)

    @property
    def total(self) -> int:
        """Images to draw."""
        return self.spec.count or 0

    @property
    def computes(self) -> bool:
        """Whether several devices would draw faster than one."""
        return generators.computes(self._about["kind"])

    def chunks(self, out: Path) -> Chunks:
        """Where they are drawn to, under a key over all that decides them."""
        model = json.dumps(self._about, sort_keys=True)
        key = f"{self.name} {self._seed} {self.spec.model_dump_json()} {model}"
        return Chunks(out, key, self.total, self.spec.sampler.chunk)

    def image(self, number: int) -> str:
        """The id of an image."""
        return f"{self.name}-{number:06d}"

    def request(self, number: int) -> Request:
        """What the model is asked for."""
        ask = self._asks[number]
        seed = derive_seed(self._seed, "generate", self.image(number))
        return Request(seed, ask.prompt, ask.class_index, ask.negative_prompt, number)

    def columns(self, number: int, record: dict[str, Any], drawn: Drawn) -> dict[str, Any]:
        """The manifest columns of a drawn image, its generation record among them."""
        request, ask, spec = self.request(number), self._asks[number], self.spec
        whole = {
            **record,
            "from": spec.from_,
            "fit": {key: self._about[key] for key in ("kind", "options")},
            "sampler": spec.sampler.model_dump(exclude={"chunk"}),
        }
        if request.negative_prompt is not None:
            whole["negative_prompt"] = request.negative_prompt
        return {
            "label": _GENERATED,
            "generator": self.name,
            "family": spec.family,
            "released": spec.released,
            "content": spec.content,
            "class_name": ask.class_name,
            "class_index": ask.class_index,
            "prompt": request.prompt,
            "seed": request.seed,
            "group": ask.group or self.image(number),
            **drawn.about,
            "record": json.dumps({**whole, **drawn.note}, sort_keys=True),
        }


def draw_here(drawing: Drawing, chunks: Chunks, wanted: Sequence[int], device: str) -> None:
    """Draw, on one device, the wanted chunks that are not finished and that no other process has claimed."""
    make_repeatable()
    drawer: Drawer | None = None  # opened for the first chunk that is left: weights take minutes to load
    with counter(f"generate {drawing.name}", sum(len(chunks.images(number)) for number in wanted)) as bar:
        for number in wanted:
            with chunks.claim(number) as shard:
                if shard is not None:
                    drawer = drawer or generators.open_model(drawing.model, drawing.spec.sampler, device)
                    _draw_chunk(drawing, drawer, shard, chunks.images(number), bar)
                else:
                    bar.update(len(chunks.images(number)))


def _draw_chunk(drawing: Drawing, drawer: Drawer, shard: ShardWriter, numbers: range, bar: Any) -> None:
    """Some are drawn while those before them are encoded and written."""
    step = _AHEAD * drawing.spec.sampler.batch
    with ThreadPoolExecutor(1) as pool:
        writing: Future[None] | None = None
        for start in range(0, len(numbers), step):
            batch = numbers[start : start + step]
            drawn = drawer.draw([drawing.request(number) for number in batch])
            if writing:
                writing.result()
            writing = pool.submit(_write, drawing, shard, batch, drawn, dict(drawer.record))
            bar.update(len(batch))
        if writing:
            writing.result()


def _write(
    drawing: Drawing, shard: ShardWriter, batch: Sequence[int], drawn: list[Drawn], record: dict[str, Any]
) -> None:
    for number, one in zip(batch, drawn, strict=True):
        image, columns = drawing.image(number), drawing.columns(number, record, one)
        data = one.data if one.pixels is None else encode(one.pixels)
        if data is not None:
            shard.add(image, data, **columns)
        else:
            shard.add_unreadable(image, one.reason or "the model gave no image", **columns)
