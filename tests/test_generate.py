"""Drawing a generator's images: by chunks, on several devices and machines, killed and resumed, redrawn."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from assets.errors import AssayError
from assets.images.imageset import ImageSet
from assets.params import Params, Sampler
from models import generators
from models.generators import Drawn, Request
from tasks import drawing
from tasks.generate import draw_chunks, generate
from tasks.redraw import redraw
from tests.conftest import REPO
from tests.samples import params

COUNT, CHUNK = 46, 4
TINY = {"steps": 40, "batch": 4, "channels": 4, "latent": 8}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dcgan that learnt next to nothing."""
    folder = tmp_path_factory.mktemp("fit") / "gan"
    images = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), dtype=np.uint8)
    generators.fit("dcgan", images, folder, TINY, seed=1, device="cpu")
    return folder


@pytest.fixture
def bench(workdir: Path, model: Path) -> Params:
    """Parameters with the generator `gan`, its model in place and params.yaml written."""
    shutil.copytree(model, "artifacts/fit/gan")
    return written(
        params(
            fit={"gan": {"kind": "dcgan", "options": TINY}},
            generators={
                "gan": {
                    "from": "artifacts/fit/gan",
                    "family": "gan",
                    "released": "2015-11",
                    "count": COUNT,
                    "sampler": {"batch": 3, "chunk": CHUNK},
                }
            },
            train={"generators": ["gan"], "sets": {}, "samples": {}, "seeds": [0]},
        )
    )


def written(settings: Params) -> Params:
    Path("params.yaml").write_text(yaml.safe_dump(settings.model_dump(mode="json", by_alias=True)))
    return settings


def contents(folder: Path = Path("artifacts/generate/gan")) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def started(*arguments: str, device: str = "cpu") -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": str(REPO), "ASSAY_DEVICE": device}
    command = [sys.executable, "-m", "tasks.generate", "gan", *arguments]
    return subprocess.Popen(command, env=environment, stdout=-1, stderr=-1, text=True)


def test_every_image_has_its_row(bench: Params) -> None:
    generate(Path(), bench, "gan")
    images = ImageSet(Path("artifacts/generate/gan"))
    images.verify()
    rows = images.rows
    assert rows["id"].tolist() == [f"gan-{number:06d}" for number in range(COUNT)]
    assert rows["seed"].is_unique and (rows["group"] == rows["id"]).all() and (rows["label"] == 1).all()
    assert rows["shard"].nunique() == -(-COUNT // CHUNK)
    record = json.loads(rows["record"][0])
    assert record["fit"]["kind"] == "dcgan" and record["fit"]["options"]["channels"] == 4
    assert (record["from"], record["sampler"]["batch"]) == ("artifacts/fit/gan", 3)
    assert len({images.pixels(image).tobytes() for image in rows["id"]}) == COUNT


def test_several_devices_draw_the_same_set(bench: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    generate(Path(), bench, "gan")
    alone = contents()
    shutil.rmtree("artifacts/generate/gan")
    monkeypatch.setenv("ASSAY_DEVICE", "cpu,cpu")
    monkeypatch.setenv("PYTHONPATH", str(REPO))
    generate(Path(), bench, "gan")
    assert contents() == alone


def test_a_device_that_fails_ends_the_stage_with_its_words(
    bench: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("artifacts/fit/gan/generator.safetensors").unlink()
    monkeypatch.setenv("ASSAY_DEVICE", "cpu,cpu")
    monkeypatch.setenv("PYTHONPATH", str(REPO))
    with pytest.raises(AssayError, match=r"gan on cpu: .*generator.safetensors is missing"):
        generate(Path(), bench, "gan")


def test_another_machine_draws_its_share(bench: Params, tmp_path: Path) -> None:
    generate(Path(), bench, "gan")
    alone = contents()
    shutil.rmtree("artifacts/generate/gan")
    theirs = draw_chunks(Path(), bench, "gan", 2, 11)
    shutil.move(theirs, tmp_path / "copied")
    assert draw_chunks(Path(), bench, "gan", 0, 1) == theirs
    shutil.copytree(tmp_path / "copied", theirs, dirs_exist_ok=True)
    drawn = []
    draw = drawing._draw_chunk
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawing, "_draw_chunk", lambda *all_: (drawn.append(all_[3]), draw(*all_)))
        generate(Path(), bench, "gan")
    assert drawn == [range(4, 8), range(44, 46)]  # chunks 1 and 11, the only ones that were missing
    assert contents() == alone


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--chunks", "4"], "--chunks 4: write FIRST:END"),
        (["--chunks", "4:13"], "--chunks 4:13: gan has chunks 0:12"),
        (["--chunks"], "usage: python -m tasks.generate"),
    ],
)
def test_a_wrong_span_is_told(bench: Params, arguments: list[str], words: str) -> None:
    process = started(*arguments)
    _, told = process.communicate()
    assert process.returncode == 2 and words in told


def test_sigkill_loses_the_shard_in_flight_at_most(bench: Params) -> None:
    generate(Path(), bench, "gan")
    undisturbed = contents()
    shutil.rmtree("artifacts/generate/gan")
    process = started()
    deadline = time.monotonic() + 60
    while len(finished := list(Path(".assay/partial").glob("gan-*/0*.json"))) < 2:
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not Path("artifacts/generate/gan/manifest.parquet").exists()
    generate_again(bench, finished)
    assert contents() == undisturbed


def generate_again(settings: Params, finished: list[Path]) -> None:
    """Resume, and see that finished shards are not drawn again."""
    drawn: list[range] = []
    draw = drawing._draw_chunk
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawing, "_draw_chunk", lambda *all_: (drawn.append(all_[3]), draw(*all_)))
        generate(Path(), settings, "gan")
    kept = {range(int(path.stem) * CHUNK, int(path.stem) * CHUNK + CHUNK) for path in finished}
    assert not kept & set(drawn)


class Moody:
    """A model that refuses every third image, and serves a file for every fifth."""

    def __init__(self) -> None:
        self.record = {"kind": "dcgan", "model_id": "moody", "batch": 3, "sha256": "0"}

    def draw(self, requests: Sequence[Request]) -> list[Drawn]:
        drawn = []
        for request in requests:
            number = request.number or 0
            if number % 3 == 2:
                drawn.append(Drawn(reason="refused: content policy"))
            elif number % 5 == 4:
                drawn.append(Drawn(data=b"not a picture", note={"request_id": f"r{number}"}))
            else:
                pixels = np.full((16, 16, 3), number, np.uint8)
                drawn.append(Drawn(pixels, about={"pair_id": f"real-{number}", "group": "g"}))
        return drawn


def test_what_could_not_be_drawn_is_a_counted_row(bench: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generators, "open_model", lambda *_: Moody())
    generate(Path(), bench, "gan")
    rows = ImageSet(Path("artifacts/generate/gan")).rows
    assert len(rows) == COUNT
    reasons = rows["reason"].value_counts().to_dict()
    assert reasons.pop("refused: content policy") == COUNT // 3
    assert sum(reasons.values()) == 6 and "refused" not in str(
        reasons
    )  # 4, 9, 19, 24, 34 and 39 are no pictures
    assert json.loads(rows["record"][4])["request_id"] == "r4"
    assert rows["pair_id"][0] == "real-0" and rows["group"][0] == "g" and rows["group"][2] == "gan-000002"


def test_a_full_disk_keeps_what_is_finished(bench: Params) -> None:
    generate(Path(), bench, "gan")
    alone = contents()
    shutil.rmtree("artifacts/generate/gan")
    add = drawing.ShardWriter.add

    def full(self: Any, image: str, *rest: Any, **columns: Any) -> Any:
        if image == "gan-000009":
            raise OSError(errno.ENOSPC, "No space left on device", "here.tar")
        return add(self, image, *rest, **columns)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawing.ShardWriter, "add", full)
        with pytest.raises(AssayError, match=r"full at here.tar: finished chunks of gan are kept in \.assay"):
            generate(Path(), bench, "gan")
    assert len(list(Path(".assay/partial").glob("gan-*/0*.json"))) == 2
    generate(Path(), bench, "gan")
    assert contents() == alone


def test_an_image_is_drawn_again_from_its_record(bench: Params) -> None:
    generate(Path(), bench, "gan")
    Path("params.yaml").unlink()
    images = ImageSet(Path("artifacts/generate/gan"))
    for image in ("gan-000000", "gan-000013", "gan-000045"):
        again = redraw(Path(), image)
        assert again.same and np.array_equal(again.pixels, images.pixels(image))
        assert again.record["sampler"]["batch"] == 3


def test_a_record_that_cannot_be_followed_says_why(bench: Params) -> None:
    generate(Path(), bench, "gan")
    for image, words in (
        ("gan-000099", "has no image gan-000099"),
        ("gun-000001", "there is no artifacts/generate/gun"),
    ):
        with pytest.raises(AssayError, match=words):
            redraw(Path(), image)
    images = np.random.default_rng(1).integers(0, 256, (8, 16, 16, 3), dtype=np.uint8)
    shutil.rmtree("artifacts/fit/gan")
    generators.fit("dcgan", images, Path("artifacts/fit/gan"), TINY, seed=2, device="cpu")
    with pytest.raises(AssayError, match="artifacts/fit/gan is not the model that the record names"):
        redraw(Path(), "gan-000000")


def test_other_pixels_are_not_the_same(bench: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    generate(Path(), bench, "gan")

    class Other:
        def draw(self, requests: Sequence[Request]) -> list[Drawn]:
            return [Drawn(np.zeros((16, 16, 3), np.uint8)) for _ in requests]

    monkeypatch.setattr(generators, "open_model", lambda folder, sampler, device: Other())
    assert isinstance(Sampler(), Sampler) and not redraw(Path(), "gan-000000").same
