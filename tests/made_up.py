"""Made-up predictions and summaries: a benchmark that nobody had to run."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from assets.audit.leaks import COLUMNS, write_leaks
from assets.gallery import gallery_folder
from assets.params import REAL, Params, parse_params
from assets.predictions import predictions_path, write_predictions
from assets.seeds import derive_seed, rng
from assets.spectrum import spectrum_folder

FAMILIES = {"dcgan": "gan", "ddpm": "pixel-diffusion", "ldm": "latent-diffusion", "vqdm": "vq-diffusion"}
GENERATORS = tuple(FAMILIES)
CONDITIONS = {
    "lr112": "resize(0.5)",
    "lr64": "resize(0.2857)",
    "jpeg65": "jpeg(65)",
    "jpeg30": "jpeg(30)",
    "blur3": "blur(3)",
    "blur5": "blur(5)",
}


def benchmark_params(
    generators: Sequence[str] = GENERATORS,
    detectors: Sequence[str] = ("resnet18", "cnnspot"),
    conditions: Sequence[str] | Mapping[str, str] = tuple(CONDITIONS),
    seeds: Sequence[int] = (0,),
    train: Sequence[str] | None = None,
    resamples: int = 100,
    sets: Mapping[str, Sequence[str]] = {},
    given: Mapping[str, Any] = {},
    samples: Mapping[str, Any] = {},
    groups: Mapping[str, Sequence[str]] = {},
) -> Params:
    """The mini benchmark, or less of it."""
    return parse_params(
        {
            "seed": 1,
            "real": {"photos": {"from": "data/photos", "count": 900, "crop": 64}},
            "generators": {
                name: {"from": f"data/{name}", "family": FAMILIES.get(name, "gan"), "released": "2021-11"}
                for name in generators
            },
            **{section: {} for section in ("fit", "dedupe", "split", "audit", "spectrum", "gallery")},
            "degrade": dict(conditions)
            if isinstance(conditions, Mapping)
            else {name: CONDITIONS[name] for name in conditions},
            "detectors": {name: {"model": "resnet18", "crop": 64} for name in detectors},
            "attributors": {},
            "given": dict(given),
            "train": {
                "generators": list(generators if train is None else train),
                "sets": dict(sets),
                "samples": dict(samples),
                "seeds": list(seeds),
            },
            "report": {"resamples": resamples, "level": 0.95, "groups": dict(groups)},
        },
        "params",
    )


def rows(
    trained_on: str,
    tested_on: str,
    logits: Sequence[float],
    *,
    detector: str = "resnet18",
    condition: str = "clean",
    seed: int = 0,
    threshold: float = 0.0,
    groups: Sequence[str] | None = None,
    contents: Sequence[str | None] | None = None,
    class_names: Sequence[str | None] | None = None,
) -> pd.DataFrame:
    """What one detector said of images `<tested_on>-0000`, ...; a NaN is an unreadable image."""
    values = np.asarray(logits, np.float32)
    count = len(values)
    ids = [f"{tested_on}-{index:04d}" for index in range(count)]
    return pd.DataFrame(
        {
            "id": ids,
            "label": np.full(count, int(tested_on != REAL), np.int8),
            "generator": tested_on,
            "group": list(groups) if groups is not None else ids,
            "class_name": None if class_names is None else list(class_names),
            "content": "photo" if contents is None else list(contents),
            "condition": condition,
            "detector": detector,
            "seed": np.full(count, seed, np.int64),
            "trained_on": trained_on,
            "tested_on": tested_on,
            "weights": f"{derive_seed(trained_on, detector, seed):064x}",
            "threshold": threshold,
            "logit": values,
            "status": np.where(np.isfinite(values), "ok", "unreadable"),
        }
    )


def scores(params: Params, trained_on: str, tested_on: str, count: int) -> pd.DataFrame:
    """All rows of one file: good in-domain, poor elsewhere, worse when degraded; seven images a group."""
    frames = []
    groups = [f"g{index // 7:04d}" for index in range(count)]
    for detector in params.detectors:
        for seed in params.train.seeds:
            for step, condition in enumerate(params.conditions):
                random = rng(trained_on, tested_on, detector, seed, condition)
                apart = (
                    0.0 if tested_on == REAL else 4.0 if tested_on == trained_on else 4 * random.random() - 1
                )
                noise = random.normal(size=count) + random.normal(size=count // 7 + 1)[np.arange(count) // 7]
                logits = (noise - 1.5 + apart / (1 + 0.4 * step)).round(2)
                logits[count // 2] = np.nan
                frames.append(
                    rows(
                        trained_on,
                        tested_on,
                        logits,
                        detector=detector,
                        condition=condition,
                        seed=seed,
                        threshold=0.25,
                        groups=groups,
                    )
                )
    return pd.concat(frames, ignore_index=True)


def write_benchmark(root: Path, params: Params, n_real: int = 40, n_generated: int = 30) -> None:
    """Everything that the report reads, under `root`/artifacts."""
    counts = {REAL: n_real, **dict.fromkeys(params.generators, n_generated)}
    for trained_on in params.train.generators:
        for tested_on, count in counts.items():
            frame = scores(params, trained_on, tested_on, count)
            write_predictions(predictions_path(root, trained_on, tested_on), frame)
    for item, count in counts.items():
        write_summaries(root, item, count)
        write_spectrum(root, item, params.spectrum.side)
    write_gallery(root, params)
    write_audit_all(root)
    for index, name in enumerate(params.generators):
        write_audit(root, name, leak=index == 0)


def write_spectrum(
    root: Path, item: str, side: int, bright: tuple[int, int] | None = None, used: int = 5
) -> None:
    """A spectrum that is flat but for one bright place, and a profile that follows its middle row."""
    magnitude = np.full((side, side), -5.0, np.float32)
    if bright:
        magnitude[bright] = 0.0
    rings = side // 2 + 1
    document = {
        "item": item,
        "used": used,
        "left_out": 0 if used else 7,
        "side": side,
        "frequency": (np.arange(rings) / side).tolist() if used else [],
        "mean": [*magnitude[side // 2, side // 2 :].tolist(), -5.0] if used else [],
        "sd": [0.5] * rings if used > 1 else None,
    }
    folder = spectrum_folder(root, item)
    write_json(folder / "profile.json", document)
    (folder / "spectrum.npy").unlink(missing_ok=True)
    if used:
        np.save(folder / "spectrum.npy", magnitude)


def write_gallery(root: Path, params: Params) -> None:
    """One hard image of every item."""
    items = []
    for item in (REAL, *params.generators):
        file = f"{item}-01.jpg"
        folder = gallery_folder(root)
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (48, 32), (90, 120, 200)).save(folder / file)
        said = [
            {
                "detector": name,
                "trained_on": source,
                "seen": None if item == REAL else source == item,
                "p": 0.5,
            }
            for name in params.detectors
            for source in params.train.generators
        ]
        about = {"content": "photo", "class_name": None, "prompt": None, "group": "g0000"}
        image = {"id": f"{item}-0000", "file": file, "width": 48, "height": 32, **about}
        image |= {"wrong": 0.5, "asked": 2, "scores": said}
        items.append({"item": item, "label": int(item != REAL), "images": [image]})
    write_json(gallery_folder(root) / "gallery.json", {"items": items})


def write_summaries(root: Path, item: str, num_test: int) -> None:
    """Summaries of dedupe and split that agree with `num_test` test images."""
    split = {"train": 2 * num_test, "val": num_test, "test": num_test}
    kept = 4 * num_test
    removed = {"exact-copy": 3, "near-duplicate": 5, "unreadable": 2}
    dedupe = {"item": item, "images": kept + 10, "kept": kept, "unreadable": 2, "removed": removed}
    groups = {side: count // 7 + 1 for side, count in split.items()}
    write_json(root / "artifacts" / "dedupe" / item / "summary.json", dedupe)
    write_json(
        root / "artifacts" / "split" / item / "summary.json",
        {"item": item, "images": split, "groups": groups},
    )
    sides = [side for side, count in split.items() for _ in range(count)]
    names = [f"{item}-{number:04d}" for number in range(num_test)]
    names += [f"{item}-kept-{number:04d}" for number in range(3 * num_test)]
    table = pd.DataFrame({"id": names, "side": sides[::-1]})  # the test images are those with predictions
    about = {"label": int(item != REAL), "generator": item, "content": "photo", "class_name": None}
    table.assign(**about, group=table["id"], pair_id=None).to_parquet(
        root / "artifacts" / "split" / item / "split.parquet"
    )


def write_audit_all(root: Path, leaks: Sequence[tuple[str, str, str, str, str]] = ()) -> None:
    """The audit of the whole set, clean, and what leaks: (tested_on, id, kind, trained_on, of)."""
    features = {name: _feature(0.5, False) for name in ("all", "format", "bytes")}
    document = {
        "verdict": "clean",
        "n_real": 630,
        "n_generated": 480,
        "features": features,
        "single": [],
        "advice": [],
        "aligned": None,
        "balance": {},
        "corrupt": {},
        "near_duplicates": {
            "radius": 4,
            "most_apart": 8.0,
            "compared": 1110,
            "by_chance": 0.0,
            "items": {},
            "across": [],
        },
        "leaks": {"images": 0, "by": []},
    }
    write_json(root / "artifacts" / "audit_all" / "audit.json", document)
    write_leaks(root, pd.DataFrame(list(leaks), columns=list(COLUMNS)))


def write_audit(root: Path, name: str, leak: bool, advice: Sequence[str] | None = None) -> None:
    """An audit with a leak in `bytes`, or a clean one."""
    features = {
        "all": _feature(0.97 if leak else 0.53, leak),
        "format": _feature(0.5, False),
        "dimensions": _feature(0.5, False),
        "bytes": _feature(0.97 if leak else 0.54, leak),
        "jpeg": {"auroc": None, "low": None, "high": None, "alarm": False},
    }
    told = ["bytes: store both classes alike"] if leak else []
    document = {
        "generator": name,
        "verdict": "leak" if leak else "clean",
        "n_real": 630,
        "n_generated": 480,
        "features": features,
        "advice": told if advice is None else list(advice),
        "more": "keys of a later version",
    }
    write_json(root / "artifacts" / "audit" / name / "audit.json", document)


def write_json(path: Path, document: Any) -> None:
    """Write a document, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document), "utf-8")


def _feature(value: float, alarm: bool) -> dict[str, Any]:
    return {"auroc": value, "low": value - 0.02, "high": min(value + 0.02, 1.0), "alarm": alarm}
