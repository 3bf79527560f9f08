"""How many images a stage makes or looks at, from params.yaml and the manifests of imported image sets."""

from pathlib import Path

from assets.dag import Stage
from assets.detection import Detector
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
        conditions x detectors x seeds.
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
            case "audit":
                return _sum(self._real_beside(own), own)
            case "degrade":
                return _share(own, split.test, len(self._params.degrade))
            case "train":
                generated = self._pooled(stage.item["trained_on"])
                both = _sum(self._real_beside(generated), generated)
                return _share(both, split.train, trained_spec(stage, self._params).epochs)
            case "adopt":
                generated = _sum(*map(self._generated, self._params.train.generators))
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

    def real(self) -> int | None:
        """Real images of all sources."""
        return _sum(*(self._collected(source) for source in self._params.real))

    def _real_beside(self, generated: int | None) -> int | None:
        """Real images that a generator with so many is judged against: as many at most, where paired."""
        real, split = self.real(), self._params.split
        if split.reals == "all" or real is None or generated is None:
            return real
        return min(generated, real // len(split.owners) if split.reals == "own" else real)

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
