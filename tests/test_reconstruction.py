"""Real images through an autoencoder: which ones, cropped how, paired with what."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tasks.fit
import tasks.generate
from assets.errors import AssayError
from assets.images.imageset import ImageSet, ImageSetWriter
from assets.params import Sampler
from models.generators import REALS, Drawn, Request, fit, open_model
from models.generators.options import OPTIONS
from models.generators.reconstruction import ReconstructionDrawer
from tasks.redraw import redraw
from tests.conftest import file_bytes, textured
from tests.samples import params
from tests.tiny_pipelines import made, vae

NO_IMAGES = np.empty((0, 1, 1, 3), np.uint8)


@pytest.fixture(scope="session")
def pipelines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """An autoencoder with continuous latents (a factor of 4, alone) and one with a codebook (LDM's)."""
    folder = tmp_path_factory.mktemp("pipelines")
    levels = {"down_block_types": ("DownEncoderBlock2D",) * 3, "up_block_types": ("UpDecoderBlock2D",) * 3}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        vae(block_out_channels=(4, 4, 8), **levels).save_pretrained(folder / "kl")
    return {"kl": folder / "kl", "vq": made("ldm", folder), "sd1": made("sd1", folder)}


def write_real(folder: Path, pictures: dict[str, np.ndarray | bytes], **columns: Any) -> Path:
    with ImageSetWriter(folder) as writer:
        for name, picture in pictures.items():
            data = picture if isinstance(picture, bytes) else file_bytes(picture)
            writer.add(name, data, label=0, generator="real", **{"group": f"{name}-of", **columns})
    return folder


@pytest.fixture
def opened(pipelines: dict[str, Path], tmp_path: Path) -> Callable[..., ReconstructionDrawer]:
    """Fit on two sources of real images and open; `sources` replaces them, `change` comes between."""

    def open_it(
        which: str = "kl",
        sources: dict[str, dict[str, Any]] | None = None,
        change: Callable[[Path], None] | None = None,
        options: dict[str, Any] | None = None,
        **sampler: Any,
    ) -> ReconstructionDrawer:
        out = tmp_path / "fit" / "traces"
        for source, pictures in (sources or SOURCES).items():
            about = (
                {"class_name": "dog", "class_index": 207} if source == "photos" else {"content": "painting"}
            )
            write_real(out / REALS / source, pictures, **about)
        own = {"id": str(pipelines[which]), "subfolder": {"kl": "", "vq": "vqvae"}.get(which, "vae")}
        fit("reconstruction", NO_IMAGES, out, {**own, **(options or {})}, 0, "cpu")
        if change:
            change(out)
        drawer = open_model(out, Sampler(**{"batch": 2, **sampler}), "cpu")
        assert isinstance(drawer, ReconstructionDrawer)
        return drawer

    return open_it


SOURCES = {
    "photos": {"a": textured(1, 24, 24), "d": textured(2, 27, 33), "e": b"no picture at all"},
    "art": {"b": textured(3, 24, 24), "c": textured(4, 24, 24), "f": textured(5, 3, 24)},
}
Open = Callable[..., ReconstructionDrawer]


def asked(*indices: int) -> list[Request]:
    return [Request(seed=index, number=index) for index in indices]


def pixels(drawn: list[Drawn]) -> list[np.ndarray]:
    found = [one.pixels for one in drawn if one.pixels is not None]
    assert len(found) == len(drawn), [one.reason for one in drawn]
    return found


@pytest.mark.parametrize("which", ["kl", "vq", "sd1"])
def test_each_request_is_one_real_image_in_the_order_of_ids(which: str, opened: Open) -> None:
    drawer = opened(which)
    assert drawer.sources() == 5, "e cannot be used"
    drawn = drawer.draw(asked(0, 1, 2, 3))
    assert [one.about["pair_id"] for one in drawn] == ["a", "b", "c", "d"]
    assert [one.shape[:2] for one in pixels(drawn)[:3]] == [(24, 24)] * 3
    assert len({one.tobytes() for one in pixels(drawn)}) == 4
    with pytest.raises(AssayError, match="there is no real image 6 to reconstruct, only 5: set the"):
        drawer.draw(asked(6))


def test_what_the_real_image_shows_goes_with_it(opened: Open) -> None:
    photo, art = (one.about for one in opened().draw(asked(0, 1)))
    assert dict(photo) == {"pair_id": "a", "group": "a-of", "class_name": "dog", "class_index": 207}
    assert dict(art) == {"pair_id": "b", "group": "b-of", "content": "painting"}
    assert json.loads(json.dumps(dict(photo))) == photo


def test_an_image_is_that_of_the_autoencoder_s_mode(opened: Open) -> None:
    drawer = opened(batch=1)
    (image,) = pixels(drawer.draw(asked(0)))
    real = torch.tensor(textured(1, 24, 24)).permute(2, 0, 1)[None].contiguous().float() / 127.5 - 1
    with torch.no_grad():
        made = drawer.autoencoder.decode(drawer.autoencoder.encode(real).latent_dist.mode()).sample
    expected = ((made[0] / 2 + 0.5).clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    assert np.array_equal(image, expected)


def test_an_image_depends_on_its_request_alone(opened: Open) -> None:
    drawer = opened()
    five = drawer.draw(asked(0, 1, 2, 3))
    for index in (2, 3):
        (alone,) = drawer.draw([Request(seed=99, number=index)])
        assert np.array_equal(pixels([alone])[0], pixels([five[index]])[0])
    assert drawer.draw([]) == []


def test_the_middle_is_cropped_to_what_the_autoencoder_takes(opened: Open) -> None:
    (odd,) = opened().draw(asked(3))
    assert odd.note == {"crop": [0, 1, 32, 25]} and pixels([odd])[0].shape == (24, 32, 3)
    large = {"photos": {"a": textured(1, 70, 100)}}
    (cut,) = opened(sources=large, options={"largest": 66}).draw(asked(0))
    assert cut.note == {"crop": [18, 3, 82, 67]} and pixels([cut])[0].shape == (64, 64, 3)
    (whole,) = opened(sources=large, options={"largest": None}).draw(asked(0))
    assert whole.note == {"crop": [0, 1, 100, 69]}


def test_an_image_that_is_too_small_is_a_row_with_a_reason(opened: Open) -> None:
    one, other = opened().draw(asked(4, 0))
    assert one.pixels is None and one.about["pair_id"] == "f"
    assert one.reason == "smaller than the 4 pixels that the autoencoder takes at least"
    assert other.pixels is not None


def test_a_real_file_that_is_damaged_since_is_a_row_with_a_reason(opened: Open) -> None:
    drawer = opened()
    shard = next((drawer.reals[0].source.path).glob("*.tar"))
    row = ImageSet(drawer.reals[0].source.path).rows.set_index("id").loc["a"]
    data = bytearray(shard.read_bytes())
    middle = int(row["offset"]) + int(row["size"]) // 2
    data[middle : middle + 40] = b"\0" * 40
    shard.write_bytes(bytes(data))
    one, other = drawer.draw(asked(0, 1))
    assert one.pixels is None and str(one.reason).startswith("damaged:")
    assert other.pixels is not None


def test_memory_that_ends_halves_the_batch(
    opened: Open, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    whole = pixels(opened(batch=3).draw(asked(0, 1, 2)))
    drawer = opened(batch=3)
    through = drawer._through

    def cramped(pictures: np.ndarray) -> np.ndarray:
        if len(pictures) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return through(pictures)

    monkeypatch.setattr(drawer, "_through", cramped)
    drawn = drawer.draw(asked(0, 1, 2))
    assert [one.note["batch"] for one in drawn] == [1, 1, 1]
    for one, other in zip(pixels(drawn), whole, strict=True):
        assert np.abs(one.astype(int) - other).max() <= 1
    assert "3 images at a time do not fit in memory; drawing 1 at a time" in capsys.readouterr().err


def test_the_record_names_the_weights_and_the_real_images(opened: Open, pipelines: dict[str, Path]) -> None:
    record = opened("sd1").record
    assert json.loads(json.dumps(record)) == record
    assert (record["kind"], record["autoencoder"], record["subfolder"]) == (
        "reconstruction",
        "AutoencoderKL",
        "vae",
    )
    assert record["model_id"] == str(pipelines["sd1"]) and set(record["reals"]) == {"photos", "art"}
    assert len(record["sha256"]) == 64
    assert OPTIONS["reconstruction"].reals == "linked"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("steps", 5),
        ("guidance", 2.0),
        ("scheduler", "DDIMScheduler"),
        ("height", 64),
        ("negative_prompt", "no"),
    ],
)
def test_a_sampler_s_other_parameters_are_refused(field: str, value: Any, opened: Open) -> None:
    with pytest.raises(AssayError, match=f"sampler.{field}: a reconstruction does not take it"):
        opened(**{field: value})


def test_a_request_without_a_number_is_refused(opened: Open) -> None:
    with pytest.raises(AssayError, match="needs the running number of every image"):
        opened().draw([Request(1)])


def test_real_images_that_changed_since_are_refused(opened: Open) -> None:
    def change(out: Path) -> None:
        write_real(out / REALS / "photos", {"a": textured(9, 24, 24)})

    with pytest.raises(
        AssayError, match=r"photos/manifest.parquet is missing or has changed since.*--force fit"
    ):
        opened(change=change)


def test_sets_without_a_usable_image_are_refused(opened: Open) -> None:
    with pytest.raises(AssayError, match="holds no real image that can be used"):
        opened(sources={"photos": {"a": b"no picture"}})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"subfolder": "unet"},
            "unet is a UNet2DConditionModel, no autoencoder .*Allowed: AutoencoderKL, VQModel",
        ),
        ({"subfolder": "vea"}, "vea/config.json is not there"),
        ({"id": "someone/sd"}, "pin its weights with revision"),
        ({"id": "someone/sd", "revision": "0" * 40}, "neither a folder here nor in the Hugging Face cache"),
        ({"largest": 8}, "largest is 8"),
    ],
)
def test_what_is_no_autoencoder_is_refused(options: dict[str, Any], words: str, opened: Open) -> None:
    with pytest.raises(AssayError, match=words):
        opened("sd1", options=options)


def test_a_generator_of_reconstructions_is_drawn_by_the_stages(
    pipelines: dict[str, Path], tmp_path: Path
) -> None:
    """As `assay run` has it: real sets linked by the fit, a row an image, and each drawn again."""
    for source, pictures in SOURCES.items():
        write_real(tmp_path / "artifacts/collect" / source, pictures)
    generator = {
        "from": "artifacts/fit/traces",
        "family": "latent-diffusion",
        "released": "2022-10",
        "count": 5,
        "sampler": {"batch": 2, "chunk": 3},
    }
    settings = params(
        real={source: {"from": f"data/{source}"} for source in SOURCES},
        fit={"traces": {"kind": "reconstruction", "options": {"id": str(pipelines["kl"]), "subfolder": ""}}},
        generators={"traces": generator},
        train={"generators": ["traces"], "sets": {}, "samples": {}, "seeds": [0]},
    )
    tasks.fit.fit(tmp_path, settings, "traces")
    tasks.generate.generate(tmp_path, settings, "traces")
    rows = ImageSet(tmp_path / "artifacts/generate/traces").rows.set_index("id")
    assert rows["pair_id"].tolist() == ["a", "b", "c", "d", "f"]
    assert rows["group"].tolist() == ["a-of", "b-of", "c-of", "d-of", "f-of"]
    assert rows["status"].tolist() == ["ok"] * 4 + ["unreadable"]
    assert rows["reason"].iloc[4] == "smaller than the 4 pixels that the autoencoder takes at least"
    assert json.loads(rows["record"].iloc[3])["crop"] == [0, 1, 32, 25]
    assert all(redraw(tmp_path, image).same for image in ("traces-000002", "traces-000003"))
