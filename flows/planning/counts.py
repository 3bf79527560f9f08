"""How many images a stage makes or looks at, from params.yaml and the manifests of imported image sets."""

import math
from functools import cached_property
from pathlib import Path
from typing import Literal

from assets.dag import Stage
from assets.detection import Detector, Sample
from assets.params import Params
from models.generators.options import OPTIONS

MANIFEST = "manifest.parquet"


class Counts:
    """Sizes of a benchmark's stages, before duplicates are taken out (which no one knows beforehand)."""

    def __init__(self, root: Path, params: Params) -> None:
        self._root = root
        self._params = params

    def of(self, stage: Stage) -> int | None:
        """Images of one stage; None if that is no measure of it, or an input is not there yet.

        For a training: the images of all epochs; for an evaluation: the scores, that is test images x
        conditions x detectors x seeds. Of a sample, at most so many: what it leaves out for a file's
        size or quality is not known beforehand.
        """
        split = self._params.split
        own = self.real() if "-real" in stage.name else self._generated(stage.item.get("key", ""))
        match stage.family:
            case "collect":
                return self._collected(stage.item["key"])
            case "fit":
                kind = self._params.fit[stage.item["key"]].kind
                return None if kind in OPTIONS and OPTIONS[kind].reals == "none" else self.real()
            case "generate" | "dedupe" | "split":
                return own
            case "audit" if stage.name == "audit-all":
                return _sum(self.real(), *map(self._generated, self._params.generators))
            case "audit":
                return _sum(self._real_beside(own), own)
            case "spectrum":
                return None if own is None else min(own, self._params.spectrum.images)
            case "gallery":
                return self._params.gallery.hardest * (1 + len(self._params.generators))
            case "pool":
                return self._pool(stage.item["key"])
            case "degrade":
                return _share(own, split.test, len(self._params.degrade))
            case "train":
                source, epochs = stage.item["trained_on"], trained_spec(stage, self._params).epochs
                if source in self._params.samples:
                    return _share(_sum(*self._sample(source, "train")), 1, epochs)
                generated = self._pooled(source)
                beside = self._real_beside(generated, len(self._params.sources[source]))
                return _share(_sum(beside, generated), split.train, epochs)
            case "adopt":
                members = {name for names in self._params.sources.values() for name in names}
                generated = _sum(*map(self._generated, members or self._params.generators))
                return _share(_sum(self.real(), generated), split.val, 1)
            case "evaluate" | "attribute":
                tested = own if "-real" in stage.name else self._generated(stage.item["tested_on"])
                return _share(tested, split.test, len(self._params.conditions) * self._scorers(stage))
        return None

    def _scorers(self, stage: Stage) -> int:
        """How many weights score each image of a stage."""
        if stage.name.startswith("evaluate-given"):
            return 1
        detectors = 1 if stage.family == "attribute" else len(self._params.detectors)
        return detectors * len(self._params.train.seeds)

    def _pooled(self, source: str) -> int | None:
        """Generated images of a generator, or of all members of a set."""
        return _sum(*map(self._generated, self._params.sources[source]))

    def _pool(self, source: str) -> int | None:
        """Train and val images that a pool lists: of a set the generated ones, of a sample both."""
        if source in self._params.samples:
            return _sum(*self._sample(source, "train"), *self._sample(source, "val"))
        split = self._params.split
        return _share(self._pooled(source), split.train + split.val, 1)

    def _sample(self, name: str, side: Literal["train", "val"]) -> tuple[int | None, int | None]:
        """Real and generated images of a sample, at most."""
        sample, members = self._params.train.samples[name], self._params.samples[name]
        share: float = getattr(self._params.split, side)
        generated = _sum(*(self._member(sample, member, share, side) for member in members))
        beside = self.real() if sample.balance else self._real_beside(self._pooled(name), len(members))
        real = _share(beside, share * self._of_classes(sample) * self._alike(sample), 1)
        if generated is None or real is None:
            return None, None
        if side == "train" and sample.images is not None:
            generated = min(generated, sample.images)
        if sample.balance or (side == "train" and (sample.images or sample.per_class)):
            real = min(real, generated)
        return real, min(real, generated) if sample.balance else generated

    def _member(self, sample: Sample, name: str, share: float, side: str) -> int | None:
        """Images of one generator that a sample can take of a side."""
        content = self._params.generators[name].content
        if sample.contents is not None and content is not None and content not in sample.contents:
            return 0
        count = _share(self._generated(name), share * self._of_classes(sample), 1)
        there = self._classes
        if count is None or there is None or side != "train" or sample.per_class is None:
            return count
        return min(count, sample.per_class * min(there, sample.classes or there))

    def _of_classes(self, sample: Sample) -> float:
        """The share of images that show one of a sample's classes."""
        if sample.classes is None or self._classes is None:
            return 1.0
        return min(1.0, sample.classes / self._classes)

    @cached_property
    def _classes(self) -> int | None:
        """How many classes there are, by what generators are asked for; None if that says nothing."""
        asked = [spec.prompts for spec in self._params.generators.values()]
        found = [len(one.classes or range(1000)) for one in asked if one and one.of == "imagenet"]
        return max(found, default=None)

    def _alike(self, sample: Sample) -> float:
        """The share of real images with a sample's sides and quality, of original files that are there."""
        if sample.real_sides is None and sample.real_quality is None:
            return 1.0
        taken = there = 0
        for source in self._params.real.values():
            path = self._root / source.from_ / MANIFEST
            if source.crop is not None or not path.is_file():
                return 1.0
            import pyarrow.parquet as pq

            facts = pq.read_table(path, columns=["width", "height", "jpeg_quality"]).to_pandas()
            low, high = sample.real_sides or (0, math.inf)
            fits = facts["width"].between(low, high) & facts["height"].between(low, high)
            if sample.real_quality is not None:
                fits &= facts["jpeg_quality"] == sample.real_quality
            taken, there = taken + int(fits.sum()), there + len(facts)
        return taken / there if there else 1.0

    def real(self) -> int | None:
        """Real images of all sources."""
        return _sum(*(self._collected(source) for source in self._params.real))

    def _real_beside(self, generated: int | None, members: int = 1) -> int | None:
        """Real images beside so many of some generators, one or several: as many at most, where paired."""
        real, split = self.real(), self._params.split
        if split.reals == "all" or real is None or generated is None:
            return real
        return min(generated, real * members // len(split.owners) if split.reals == "own" else real)

    def _collected(self, source: str) -> int | None:
        spec = self._params.real[source]
        return spec.count if spec.count is not None else rows(self._root / spec.from_)

    def _generated(self, name: str) -> int | None:
        spec = self._params.generators.get(name)
        if spec is None or spec.drawn:
            return spec.count if spec else None
        there = rows(self._root / spec.from_)
        if spec.count is None or there is None:
            return there or spec.count
        return min(spec.count, there)


def trained_spec(stage: Stage, params: Params) -> Detector:
    """What a training trains: a detector or an attributor."""
    name = stage.item["detector"]
    return params.detectors[name] if name in params.detectors else params.attributors[name]


def rows(folder: Path) -> int | None:
    """Images in an image set, from its manifest's footer alone; None if there is no readable one."""
    if not (folder / MANIFEST).is_file():
        return None
    import pyarrow.parquet as pq  # slow to load, and often not needed

    try:
        return int(pq.read_metadata(folder / MANIFEST).num_rows)
    except (OSError, ValueError):  # pyarrow's own errors are ValueErrors
        return None


def _sum(*counts: int | None) -> int | None:
    return None if None in counts else sum(count for count in counts if count is not None)


def _share(count: int | None, share: float, times: int) -> int | None:
    return None if count is None else round(count * share) * times
