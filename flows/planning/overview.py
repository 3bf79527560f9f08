"""A plan at a glance: what every step and every generator costs, and what has to be there first."""

import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from assets.params import Fit, Generator, Params
from assets.section import checked_options
from flows.editing.adding import downloads
from flows.planning.plan import Planned
from flows.running.display import in_units
from models.generators.card import card_of
from models.generators.options import OPTIONS

_HOUR = 3600
_MANY = 100
"""Stages from which on a plan is told by steps and not stage by stage."""
_PHOTOS = "data/photos"
_RELEASES = ("genimage", "imaginet")
"""Layouts whose real image sets are called after them, `imaginet_coco`."""
Table = tuple[list[str], list[list[str]]]
"""Heading and rows."""


def is_large(planned: Sequence[Planned]) -> bool:
    """Whether the plan is told by steps: many stages, or an hour of a GPU and more."""
    return len(planned) > _MANY or sum(_seconds(stage) for stage in planned if stage.gpu) >= _HOUR


def steps(planned: Sequence[Planned], params: Params) -> Table:
    """A row a step of the chain, and the total."""
    rows = []
    for family in dict.fromkeys(stage.family for stage in planned):
        rows.append(_step(family, [stage for stage in planned if stage.family == family], params))
    return (
        ["step", "stages", "images", "GPU hours", "other hours", "disk", "hours are"],
        [*rows, _step("total", planned, params)],
    )


def drawn(planned: Sequence[Planned], params: Params) -> Table:
    """A row a generator whose images are to be made."""
    rows = []
    for stage in planned:
        if stage.family != "generate":
            continue
        name = stage.stage.removeprefix("generate@")
        spec, estimate = params.generators[name], stage.estimate
        seconds = estimate.seconds if estimate else None
        each = seconds / stage.images if seconds is not None and stage.images and spec.drawn else None
        rows.append(
            [
                name,
                spec.family,
                _count(stage.images),
                "" if each is None else f"{each:.2g}",
                _hours(seconds) if on_gpu(stage, params) else "",
                _disk(estimate.disk if estimate else None),
                _how(name, spec, stage, params),
            ]
        )
    return ["generator", "family", "images", "s/image", "GPU hours", "disk", "how"], rows


def needed(root: Path, params: Params, planned: Iterable[Planned]) -> list[str]:
    """What has to be there before the plan can run, and how to get it, a line each."""
    stages = {stage.stage for stage in planned}
    drawn = {
        name: spec for name, spec in params.generators.items() if spec.drawn and f"generate@{name}" in stages
    }
    files = {spec.prompts.file: name for name, spec in drawn.items() if spec.prompts and spec.prompts.file}
    lines = _imports(root, params, stages)
    lines += [
        f"{file}: the prompts of {name}, a file of yours"
        for file, name in files.items()
        if not (root / file).is_file()
    ]
    found = [card_of(name, spec, params.fit) for name, spec in drawn.items()]
    cards = dict(pair for pair in found if pair is not None)
    lines += [line for card in cards.values() for line in downloads(root, card)]
    hub = {
        card.hub_id: card.download or 0
        for card in cards.values()
        if card.hub_id and not _in_hub_cache(card.hub_id)
    }
    if hub:
        total = in_units(sum(hub.values()))
        lines.append(f"from the Hugging Face hub, fetched by itself: {', '.join(hub)} (about {total})")
    return lines + [line for name, spec in drawn.items() for line in _service(name, spec, params)]


def _service(name: str, spec: Generator, params: Params) -> list[str]:
    """What a generator that is drawn by a service lacks: its key, or enough of a budget."""
    fit = _fit(spec, params)
    if fit.kind != "api":
        return []
    options = checked_options(OPTIONS[fit.kind], fit.options, f"fit.{spec.from_.rpartition('/')[2]}")
    lines = []
    if not os.environ.get(options.key):
        lines.append(f"the environment variable {options.key}: the key for {name}'s service, kept in no file")
    most = options.estimate(spec.count or 0)
    if most > options.budget_usd:
        lines.append(
            f"a larger budget for {name}: {spec.count:,} images may cost {most:,.2f} US dollars, and drawing "
            f"stops before it exceeds budget_usd, {options.budget_usd:,.2f}"
        )
    return lines


def costs(planned: Iterable[Planned], params: Params) -> float:
    """The most in US dollars that the services ask for what is planned."""
    total = 0.0
    for stage in planned:
        if stage.family == "generate" and stage.images:
            spec = params.generators[stage.stage.removeprefix("generate@")]
            if spec.drawn:
                total += stage.images * float(_fit(spec, params).options.get("usd_per_image", 0))
    return total


def on_gpu(stage: Planned, params: Params) -> bool:
    """Whether the stage really keeps a GPU busy: imported images and those of a service do not."""
    if not stage.gpu or stage.family not in ("generate", "fit"):
        return stage.gpu
    if stage.family == "fit":
        return params.fit[stage.stage.removeprefix("fit@")].kind not in ("pretrained", "api")
    spec = params.generators[stage.stage.removeprefix("generate@")]
    return spec.drawn and _fit(spec, params).kind != "api"


def _step(name: str, stages: Sequence[Planned], params: Params) -> list[str]:
    busy = [stage for stage in stages if on_gpu(stage, params)]
    rest = [stage for stage in stages if not on_gpu(stage, params)]
    images = [stage.images for stage in stages]
    known = [count for count in images if count is not None]
    more = "" if len(known) == len(images) else " + ?"
    disk = [stage.estimate.disk for stage in stages if stage.estimate and stage.estimate.disk is not None]
    return [
        name,
        str(len(stages)),
        "" if name == "total" or not known else f"{sum(known):,}{more}",
        _hours(sum(map(_seconds, busy))) if busy else "",
        _hours(sum(map(_seconds, rest))) if rest else "",
        _disk(sum(disk)),
        _bases(stages),
    ]


def _bases(stages: Sequence[Planned]) -> str:
    """`measured here`, `by the cards`, `rough figures`; how many of each where they differ."""
    words = {"measured": "measured here", "card": "by the cards", "given": "rough figures", None: "unknown"}
    found = [stage.estimate.basis if stage.estimate else None for stage in stages if stage.family != "report"]
    kinds = [basis for basis in words if basis in found]
    if len(kinds) < 2:
        return words[kinds[0]] if kinds else ""
    return ", ".join(f"{found.count(basis)} {words[basis]}" for basis in kinds)


def _how(name: str, spec: Generator, stage: Planned, params: Params) -> str:
    if not spec.drawn:
        return f"imported from {spec.from_}"
    fit = _fit(spec, params)
    if fit.kind == "api":
        price = float(fit.options.get("usd_per_image", 0)) * (stage.images or 0)
        return f"a service, up to {price:,.0f} US dollars"
    basis = stage.estimate.basis if stage.estimate else None
    if basis == "measured":
        return "measured here"
    found = card_of(name, spec, params.fit)
    if basis == "card" and found is not None and found[1].rate is not None:
        rate = found[1].rate
        return f"{'measured on' if rate.measured else 'estimated for'} {rate.device}"
    return "not known yet: no card has this model, and it has not run here"


def _imports(root: Path, params: Params, stages: Collection[str]) -> list[str]:
    """Image sets that are not in data/ yet; those of one release in one line."""
    lines: list[str] = []
    releases: dict[str, list[str]] = {}
    where: dict[str, str] = {}
    for source, real in params.real.items():
        if f"collect@{source}" not in stages or (root / real.from_).exists():
            continue
        name = real.from_.removeprefix("data/")
        layout = name.partition("_")[0]
        if layout in _RELEASES:
            releases.setdefault(layout, []).append(name)
        elif real.from_ == _PHOTOS:
            lines.append(f"{_PHOTOS}: the mini benchmark's photographs; `assay use mini` packs them")
        else:
            lines.append(f"data/{name}: real images; `assay import FOLDER --as {name} --real`")
    for item, spec in params.generators.items():
        if spec.drawn or f"generate@{item}" not in stages or (root / spec.from_).exists():
            continue
        name = spec.from_.removeprefix("data/")
        found = card_of(item, spec, params.fit)
        release = found[1].import_[0] if found and found[1].import_ else None
        if release is not None and release.name == name:
            releases.setdefault(release.layout, []).append(name)
            where[release.layout] = min(where.get(release.layout, release.where), release.where, key=len)
        else:
            facts = f"--family {spec.family} --released {spec.released}"
            lines.append(f"data/{name}: images of {item}; `assay import FOLDER --as {name} {facts}`")
    for layout, names in releases.items():
        listed = ",".join(names)
        command = f"`assay import FOLDER --layout {layout} --only {listed}`"
        folders = f"data/{listed}" if len(names) == 1 else f"data/{{{listed}}}"
        lines.append(f"{folders}: {where.get(layout, f'the {layout} release')}; {command}")
    return lines


def _in_hub_cache(hub_id: str) -> bool:
    home = os.environ.get("HF_HOME", "~/.cache/huggingface")
    cache = Path(os.environ.get("HF_HUB_CACHE", f"{home}/hub")).expanduser()
    return (cache / f"models--{hub_id.replace('/', '--')}" / "snapshots").is_dir()


def _fit(spec: Generator, params: Params) -> Fit:
    return params.fit[spec.from_.removeprefix("artifacts/fit/")]


def _seconds(stage: Planned) -> float:
    return stage.estimate.seconds or 0.0 if stage.estimate else 0.0


def _count(value: int | None) -> str:
    return "?" if value is None else f"{value:,}"


def _hours(seconds: float | None) -> str:
    if seconds is None:
        return "?"
    hours = seconds / _HOUR
    return f"{hours:,.0f}" if hours >= 10 else f"{hours:.1f}" if hours >= 0.05 else "0"


def _disk(value: int | None) -> str:
    return "?" if value is None else in_units(value)
