"""Images a second: our generate stage against a plain loop over the same diffusers pipeline.

    python tests/speed/generate.py                 # a GPU: SD 1.5 at full size; else a small pipeline
    python tests/speed/generate.py --batch 16 --dtype bfloat16 --repeats 5

The plain loop is what one writes first: `pipe(prompt, generator=...)` an image, then `.save`. Ours is the
stage as `assay run` has it: requests, batches of the adapter, checks, records, PNG, hashes, shards on disk.
Both draw the same prompts and seeds with the same pipeline in the same precision, turn about; weights are
random (the work is the same) and made here, nothing is downloaded. Loading is not counted for either.

Printed: images a second of each (median over the repeats), their ratio (of the medians, and the range over
the repeats), and the most memory each had in use: on a GPU what torch allocated, on a CPU the process.
"""

import argparse
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np
import torch
from diffusers import StableDiffusionPipeline

from assets.machine import make_repeatable
from assets.params import Params
from models import generators
from tasks.drawing import Drawing, draw_here
from tests.samples import params
from tests.tiny_pipelines import clip_tokenizer, conditional_unet, sd1, vae

NAME = "sd"
MEBI = 2**20


class Run(NamedTuple):
    """One way, once."""

    rate: float
    """Images a second."""
    memory: int | None
    """Bytes; None where it cannot be told."""


def full_size(folder: Path) -> Any:
    """Stable Diffusion 1.5 as its configuration files describe it (860 million weights in the U-Net)."""
    from diffusers import PNDMScheduler
    from transformers import CLIPTextConfig, CLIPTextModel

    text = CLIPTextConfig(
        vocab_size=49408, hidden_size=768, intermediate_size=3072, num_hidden_layers=12,
        num_attention_heads=12, max_position_embeddings=77, hidden_act="quick_gelu", projection_dim=768,
    )  # fmt: skip
    tokenizer = clip_tokenizer(folder / "tokenizer")
    tokenizer.model_max_length = 77
    unet = conditional_unet(
        sample_size=64, layers_per_block=2, block_out_channels=(320, 640, 1280, 1280),
        down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
        norm_num_groups=32, attention_head_dim=8, cross_attention_dim=768,
    )  # fmt: skip
    autoencoder = vae(
        block_out_channels=(128, 256, 512, 512), layers_per_block=2, norm_num_groups=32, sample_size=512,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
    )  # fmt: skip
    scheduler = PNDMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True, steps_offset=1
    )
    return sd1(
        folder,
        text_encoder=CLIPTextModel(text),
        tokenizer=tokenizer,
        unet=unet,
        vae=autoencoder,
        scheduler=scheduler,
    )


def small(folder: Path) -> Any:
    """The same parts for one core: 64 x 64 pixels, about a million weights."""
    levels = {"down_block_types": ("DownEncoderBlock2D",) * 3, "up_block_types": ("UpDecoderBlock2D",) * 3}
    return sd1(
        folder,
        unet=conditional_unet(block_out_channels=(32, 64), norm_num_groups=8, attention_head_dim=8),
        vae=vae(block_out_channels=(16, 32, 32), norm_num_groups=8, **levels),
    )


def settings(source: Path, arguments: argparse.Namespace) -> Params:
    """Parameters of a benchmark with this one generator."""
    sampler = {"steps": arguments.steps, "batch": arguments.batch, "dtype": arguments.dtype}
    generator = {
        "from": f"artifacts/fit/{NAME}",
        "family": "latent-diffusion",
        "released": "2022-10",
        "count": arguments.images,
        "prompts": {"of": "imagenet"},
        "sampler": {**sampler, "chunk": arguments.images},
    }
    return params(
        fit={NAME: {"kind": "pretrained", "options": {"id": str(source)}}},
        generators={NAME: generator},
        attributors={},
        given={},
        train={"generators": [NAME], "sets": {}, "samples": {}, "seeds": [0]},
    )


def ours(drawing: Drawing, drawer: Any, out: Path, device: str) -> None:
    """The stage, on a model that is open."""
    make_repeatable()
    chunks = drawing.chunks(out)
    with patch.object(generators, "open_model", return_value=drawer):
        draw_here(drawing, chunks, range(chunks.count), device)
    chunks.place()


def plain(drawing: Drawing, pipeline: Any, out: Path, steps: int) -> None:
    """The loop that one writes first."""
    out.mkdir(parents=True)
    for number in range(drawing.total):
        asked = drawing.request(number)
        noise = torch.Generator().manual_seed(asked.seed)
        made = pipeline(asked.prompt, generator=noise, num_inference_steps=steps)
        made.images[0].save(out / f"{number:06d}.png")


@contextmanager
def as_torch_comes(threads: int) -> Iterator[None]:
    """Torch's own settings, with so many threads; those of a stage are back afterwards."""
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)
    try:
        yield
    finally:
        make_repeatable()


def timed(work: Callable[[], None], count: int, device: str) -> Run:
    """Run it once and measure."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        start = time.perf_counter()
        work()
        torch.cuda.synchronize()
        seconds, memory = time.perf_counter() - start, torch.cuda.max_memory_allocated()
        return Run(count / seconds, memory)
    with watched_memory() as most:
        start = time.perf_counter()
        work()
        seconds = time.perf_counter() - start
    return Run(count / seconds, max(most, default=None))


@contextmanager
def watched_memory() -> Iterator[list[int]]:
    """A list that fills with the bytes this process has in memory, every 20 ms; empty where not Linux."""
    statm, seen, ended = Path("/proc/self/statm"), list[int](), threading.Event()

    def watch() -> None:
        while statm.exists() and not ended.wait(0.02):
            seen.append(int(statm.read_text().split()[1]) * 4096)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        ended.set()
        watcher.join()


def compare(arguments: argparse.Namespace) -> float:
    """Measure both ways turn about and print; returns the ratio of the medians, ours over the plain loop."""
    device = arguments.device
    with tempfile.TemporaryDirectory() as place, torch.no_grad():
        root = Path(place)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            whole = full_size(root / "parts") if arguments.size == "full" else small(root / "parts")
        whole.to(getattr(torch, arguments.dtype)).save_pretrained(root / "model")
        del whole
        document = settings(root / "model", arguments)
        options = document.fit[NAME].options
        none = np.empty((0, 1, 1, 3), np.uint8)
        generators.fit("pretrained", none, root / "artifacts/fit" / NAME, options, 0, device)
        drawing = Drawing(root, document, NAME)
        drawer = generators.open_model(drawing.model, drawing.spec.sampler, device)
        pipeline = StableDiffusionPipeline.from_pretrained(
            root / "model", dtype=getattr(torch, arguments.dtype), safety_checker=None
        ).to(device)
        pipeline.set_progress_bar_config(disable=True)
        runs: dict[str, list[Run]] = {"plain loop": [], "ours": []}
        for turn in range(arguments.repeats + 1):
            with as_torch_comes(arguments.threads):
                loop = timed(
                    lambda turn=turn: plain(drawing, pipeline, root / f"plain{turn}", arguments.steps),  # type: ignore[misc]
                    arguments.images,
                    device,
                )
            stage = timed(
                lambda turn=turn: ours(drawing, drawer, root / f"ours{turn}", device),  # type: ignore[misc]
                arguments.images,
                device,
            )
            if turn:  # the first time warms up
                runs["plain loop"].append(loop)
                runs["ours"].append(stage)
                print(f"  {turn}: {loop.rate:.3f} and {stage.rate:.3f} images/s", file=sys.stderr, flush=True)
    return tell(runs, arguments)


def tell(runs: dict[str, list[Run]], arguments: argparse.Namespace) -> float:
    """Print what was measured; returns the ratio of the medians."""
    where = torch.cuda.get_device_name() if arguments.device.startswith("cuda") else "CPU"
    print(
        f"{arguments.size} size, {arguments.images} images, {arguments.steps} steps, {arguments.dtype}, "
        f"{where}; plain loop: {arguments.threads} thread(s), ours: 1 and batches of {arguments.batch}"
    )
    medians = {way: statistics.median(run.rate for run in some) for way, some in runs.items()}
    for way, some in runs.items():
        memory = max((run.memory for run in some if run.memory is not None), default=None)
        used = "unknown" if memory is None else f"{memory / MEBI:.0f} MiB"
        print(f"{way:>10}: {medians[way]:.3f} images/s, peak memory {used}")
    ratio = medians["ours"] / medians["plain loop"]
    each = [mine.rate / loop.rate for loop, mine in zip(runs["plain loop"], runs["ours"], strict=True)]
    print(f"     ratio: {ratio:.2f} ({min(each):.2f} to {max(each):.2f} over {len(each)} repeats)")
    return ratio


def main(words: list[str] | None = None) -> float:
    """Read the command line and compare."""
    gpu = torch.cuda.is_available()
    own = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=own)
    parser.add_argument("--device", default="cuda" if gpu else "cpu", help="default: %(default)s")
    parser.add_argument("--size", choices=("full", "small"), default="full" if gpu else "small")
    parser.add_argument("--images", type=int, default=32 if gpu else 16, help="an arm draws; %(default)s")
    parser.add_argument("--steps", type=int, default=50 if gpu else 10, help="default: %(default)s")
    parser.add_argument("--batch", type=int, default=16 if gpu else 8, help="of ours; default: %(default)s")
    parser.add_argument("--dtype", default="float16" if gpu else "float32", help="of both; %(default)s")
    parser.add_argument("--repeats", type=int, default=3, help="turns that count; default: %(default)s")
    parser.add_argument(
        "--threads", type=int, default=1, help="of the plain loop; a stage has one, so that stages can run "
        "side by side; default: %(default)s"
    )  # fmt: skip
    return compare(parser.parse_args(words))


if __name__ == "__main__":
    main()
