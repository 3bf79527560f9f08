"""How many images a stage makes or looks at, from params.yaml and the manifests of imported image sets."""

from pathlib import Path

from assets.dag import Stage
from assets.params import Params

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
                return self.real()
            case "generate" | "dedupe" | "split":
                return own
            case "audit":
                return _sum(self.real(), own)
            case "degrade":
                return _share(own, split.test, len(self._params.degrade))
            case "train":
                both = _sum(self.real(), self._generated(stage.item["trained_on"]))
                return _share(both, split.train, self._params.detectors[stage.item["detector"]].epochs)
            case "evaluate":
                tested = own if "-real" in stage.name else self._generated(stage.item["tested_on"])
                scorers = len(self._params.detectors) * len(self._params.train.seeds)
                return _share(tested, split.test, len(self._params.conditions) * scorers)
        return None

    def real(self) -> int | None:
        """Real images of all sources."""
        return _sum(*(self._collected(source) for source in self._params.real))

    def _collected(self, source: str) -> int | None:
        spec = self._params.real[source]
        return spec.count if spec.count is not None else rows(self._root / spec.from_)

    def _generated(self, name: str) -> int | None:
        spec = self._params.generators.get(name)
        if spec is None or spec.drawn:
            return spec.count if spec else None
        there = rows(self._root / spec.from_)
        return min(spec.count, there) if spec.count is not None and there is not None else there


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
