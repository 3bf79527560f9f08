"""Generators: real folders, repeatable fits, images that depend on their seed alone, errors that help."""

import json
import os
import shutil
import string
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import pytest
import torch

from assets.errors import AssayError
from assets.params import Sampler
from models.generators import Drawn, Request, fit, open_model

TINY = {
    "dcgan": {"steps": 40, "batch": 4, "channels": 4, "latent": 8},
    "ddpm": {"steps": 2, "batch": 4, "channels": [16, 16]},
    "ldm": {
        "steps": 2,
        "batch": 4,
        "channels": [16, 16],
        "vae_steps": 2,
        "vae_batch": 2,
        "vae_channels": [8, 8],
    },
    "vqdm": {
        "steps": 2,
        "batch": 4,
        "channels": 16,
        "width": 16,
        "depth": 1,
        "codes": 16,
        "vae_steps": 4,
        "vae_batch": 2,
        "vae_channels": [8, 8],
    },
}
LAYOUT = {
    "dcgan": {"generator.safetensors", "config.json"},
    "ddpm": {"unet/diffusion_pytorch_model.safetensors", "scheduler/scheduler_config.json"},
    "ldm": {"vqvae/diffusion_pytorch_model.safetensors", "unet/diffusion_pytorch_model.safetensors"},
    "vqdm": {"vqvae/diffusion_pytorch_model.safetensors", "transformer/diffusion_pytorch_model.safetensors"},
}
KINDS = sorted(TINY)


def sampler_of(kind: str, **changes) -> Sampler:
    steps = {} if kind == "dcgan" else {"steps": 2}
    return Sampler(**{"batch": 4, **steps, **changes})


def requests(*seeds: int) -> list[Request]:
    return [Request(seed) for seed in seeds]


def pixels(drawn: list[Drawn]) -> list[np.ndarray]:
    found = [one.pixels for one in drawn if one.pixels is not None]
    assert len(found) == len(drawn)
    return found


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="session")
def images() -> np.ndarray:
    """(16, 32, 32, 3) smooth coloured noise."""
    coarse = np.random.default_rng(0).integers(0, 256, (16, 8, 8, 3), dtype=np.uint8)
    return coarse.repeat(4, axis=1).repeat(4, axis=2)


@pytest.fixture(scope="session")
def fitted(images, tmp_path_factory) -> dict[str, Path]:
    """One folder per kind, fitted in a few steps."""
    root = tmp_path_factory.mktemp("fit")
    for kind in KINDS:
        fit(kind, images, root / kind, TINY[kind], seed=1, device="cpu")
    return {kind: root / kind for kind in KINDS}


@pytest.fixture(scope="session")
def stable_diffusion(tmp_path_factory) -> Path:
    """A Stable Diffusion pipeline in the real layout, tiny and with random weights."""
    from diffusers import AutoencoderKL, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    folder = tmp_path_factory.mktemp("pretrained")
    letters = [*string.ascii_lowercase, *(f"{letter}</w>" for letter in string.ascii_lowercase)]
    words = [*letters, "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: index for index, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        pipeline = StableDiffusionPipeline(
            vae=AutoencoderKL(block_out_channels=(8,), latent_channels=4, norm_num_groups=4),
            text_encoder=CLIPTextModel(
                CLIPTextConfig(
                    vocab_size=len(words),
                    hidden_size=16,
                    intermediate_size=16,
                    num_hidden_layers=1,
                    num_attention_heads=2,
                    max_position_embeddings=16,
                    bos_token_id=len(words) - 2,
                    eos_token_id=len(words) - 1,
                )
            ),
            tokenizer=CLIPTokenizer(
                str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=16
            ),
            unet=UNet2DConditionModel(
                sample_size=16,
                in_channels=4,
                out_channels=4,
                layers_per_block=1,
                block_out_channels=(8, 16),
                down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
                up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
                norm_num_groups=4,
                attention_head_dim=4,
                cross_attention_dim=16,
            ),
            scheduler=PNDMScheduler(skip_prk_steps=True, steps_offset=1),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    pipeline.save_pretrained(folder / "tiny-sd")
    return folder / "tiny-sd"


def pointer_to(source: Path, out: Path) -> Path:
    fit("pretrained", np.zeros((0, 8, 8, 3), np.uint8), out, {"id": str(source)}, seed=0, device="cpu")
    return out


@pytest.mark.parametrize("kind", KINDS)
def test_fit_writes_the_real_layout(kind, fitted):
    found = files(fitted[kind])
    assert LAYOUT[kind] <= set(found)
    assert kind == "dcgan" or "model_index.json" in found
    model = json.loads(found["model.json"])
    assert model["kind"] == kind
    assert set(model["files"]) == set(found) - {"model.json"}
    assert str(fitted[kind].parent).encode() not in b"".join(found.values())


@pytest.mark.parametrize("kind", KINDS)
def test_two_fits_are_byte_identical(kind, images, fitted, tmp_path):
    torch.rand(7)  # what was drawn before must not matter
    fit(kind, images, tmp_path / "again", TINY[kind], seed=1, device="cpu")
    assert files(tmp_path / "again") == files(fitted[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_depends_on_its_seed_alone(kind, fitted):
    drawer = open_model(fitted[kind], sampler_of(kind), "cpu")
    seven = pixels(drawer.draw(requests(3, 1, 4, 15, 9, 2, 6)))
    assert all(image.shape == (32, 32, 3) and image.dtype == np.uint8 for image in seven)
    assert len({image.tobytes() for image in seven}) == 7
    (alone,) = pixels(drawer.draw(requests(9)))
    assert np.array_equal(alone, seven[4])
    reopened = open_model(fitted[kind], sampler_of(kind), "cpu")
    assert all(map(np.array_equal, pixels(reopened.draw(requests(6, 2, 9))), (seven[6], seven[5], seven[4])))
    assert drawer.draw([]) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_process_that_fitted_nothing_can_draw(kind, fitted, monkeypatch):
    for module in KINDS:
        monkeypatch.delitem(sys.modules, f"models.generators.{module}", raising=False)
    (image,) = pixels(open_model(fitted[kind], sampler_of(kind), "cpu").draw(requests(3)))
    assert image.shape == (32, 32, 3)


@pytest.mark.parametrize("kind", KINDS)
def test_the_record_is_json_and_says_what_was_used(kind, fitted):
    record = open_model(fitted[kind], sampler_of(kind), "cpu").record
    assert json.loads(json.dumps(record)) == record
    assert record["kind"] == record["model_id"] == kind
    assert record["sha256"] == json.loads((fitted[kind] / "model.json").read_text())["sha256"]
    assert record["versions"]["torch"] == torch.__version__.split("+")[0] or record["versions"]["torch"]
    assert record["safety_checker"] is False and record["watermarker"] is False
    assert kind == "dcgan" or record["steps"] == 2


def test_stable_diffusion_runs_through_the_same_adapter(stable_diffusion, tmp_path):
    folder = pointer_to(stable_diffusion, tmp_path / "sd")
    assert [path.name for path in folder.iterdir()] == ["model.json"]
    asked = Sampler(scheduler="DDIMScheduler", steps=3, guidance=4.0, negative_prompt="blurry", batch=2)
    drawer = open_model(folder, asked, "cpu")
    record = drawer.record
    assert (record["pipeline"], record["scheduler"]) == ("StableDiffusionPipeline", "DDIMScheduler")
    assert (record["steps"], record["guidance"], record["negative_prompt"]) == (3, 4.0, "blurry")
    assert drawer.pipeline.safety_checker is None
    three = pixels(drawer.draw([Request(1, "a cat"), Request(2, "a dog"), Request(3, "a hat")]))
    assert three[0].shape == (16, 16, 3)
    assert np.array_equal(pixels(drawer.draw([Request(3, "a hat")]))[0], three[2])
    assert not np.array_equal(pixels(drawer.draw([Request(3, "a mug")]))[0], three[2])
    for changed in ({"negative_prompt": "ugly"}, {"guidance": 9.0}, {"steps": 4}):
        other = open_model(folder, asked.model_copy(update=changed), "cpu")
        assert not np.array_equal(pixels(other.draw([Request(3, "a hat")]))[0], three[2]), changed
    with pytest.raises(AssayError, match="needs a prompt for every image"):
        drawer.draw(requests(1))


def test_a_pipeline_keeps_its_own_defaults(stable_diffusion, tmp_path):
    record = open_model(pointer_to(stable_diffusion, tmp_path / "sd"), Sampler(), "cpu").record
    assert (record["scheduler"], record["steps"], record["guidance"]) == ("PNDMScheduler", 50, 7.5)
    assert record["negative_prompt"] is None


def test_a_class_conditional_pipeline_takes_class_indices(tmp_path):
    from diffusers import AutoencoderKL, DDIMScheduler, DiTPipeline, DiTTransformer2DModel

    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformer = DiTTransformer2DModel(
            num_attention_heads=2, attention_head_dim=4, in_channels=4, out_channels=4, num_layers=1,
            norm_num_groups=4, sample_size=8, patch_size=2, num_embeds_ada_norm=1000,
        )  # fmt: skip
        vae = AutoencoderKL(block_out_channels=(8,), latent_channels=4, norm_num_groups=4)
        DiTPipeline(transformer, vae, DDIMScheduler()).save_pretrained(tmp_path / "dit")
    drawer = open_model(pointer_to(tmp_path / "dit", tmp_path / "fit"), Sampler(steps=2, batch=2), "cpu")
    one, other = pixels(drawer.draw([Request(1, class_index=5), Request(1, class_index=6)]))
    assert one.shape == (8, 8, 3) and not np.array_equal(one, other)
    with pytest.raises(AssayError, match="needs a class_index"):
        drawer.draw(requests(1))


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        ("dcgn", {}, "'dcgn' is not a kind of generator; did you mean 'dcgan'"),
        ("dcgan", {"step": 3}, "step is not a parameter; did you mean 'steps'"),
        ("ddpm", {"lr": 0}, "lr is 0: .*greater than 0"),
        ("vqdm", {"codes": 1}, "codes is 1"),
        ("pretrained", {"id": "nobody/nothing"}, "pin its weights with revision"),
        ("pretrained", {"id": "nobody/nothing", "revision": "main"}, "revision is 'main'"),
        ("pretrained", {}, "id is missing"),
    ],
)
def test_fit_refuses_what_it_does_not_know(kind, options, words, images, tmp_path):
    with pytest.raises(AssayError, match=words):
        fit(kind, images, tmp_path / "out", options, seed=1, device="cpu")


@pytest.mark.parametrize("kind", KINDS)
def test_fit_refuses_images_it_cannot_learn(kind, tmp_path):
    with pytest.raises(AssayError, match="there are no images"):
        fit(kind, np.zeros((0, 32, 32, 3), np.uint8), tmp_path, {}, seed=1, device="cpu")
    with pytest.raises(AssayError, match="squares whose side is a multiple of"):
        fit(kind, np.zeros((2, 32, 48, 3), np.uint8), tmp_path, {}, seed=1, device="cpu")


@pytest.mark.parametrize(
    ("kind", "changes", "words"),
    [
        ("ddpm", {"scheduler": "DDIMSchedular"}, "no scheduler 'DDIMSchedular'; did you mean DDIMScheduler"),
        ("ddpm", {"guidance": 3.0}, "sampler.guidance: DDIMPipeline does not take it; it takes steps"),
        ("vqdm", {"scheduler": "DDIMScheduler"}, "whose own scheduler is MaskScheduler"),
        ("vqdm", {"height": 64}, "sampler.height: TokenPipeline does not take it"),
        ("dcgan", {"steps": 5}, "sampler.steps: a dcgan does not take it"),
    ],
)
def test_open_refuses_what_the_pipeline_does_not_take(kind, changes, words, fitted):
    with pytest.raises(AssayError, match=words):
        open_model(fitted[kind], sampler_of(kind, **changes), "cpu")


def test_noise_that_no_seed_reaches_is_refused(fitted):
    drawer = open_model(fitted["ldm"], sampler_of("ldm", scheduler="DDPMScheduler"), "cpu")
    with pytest.raises(AssayError, match="draws noise that no seed of an image reaches"):
        drawer.draw(requests(1))


@pytest.mark.parametrize("kind", KINDS)
def test_missing_and_changed_weights_are_named(kind, fitted, tmp_path):
    folder = tmp_path / kind
    shutil.copytree(fitted[kind], folder)
    weights = next(iter(sorted(folder.rglob("*.safetensors"))))
    name = str(weights.relative_to(folder))
    weights.write_bytes(weights.read_bytes() + b" ")
    with pytest.raises(AssayError, match=f"{name} has changed since the model was fitted"):
        open_model(folder, sampler_of(kind), "cpu")
    weights.unlink()
    with pytest.raises(AssayError, match=f"{name} is missing"):
        open_model(folder, sampler_of(kind), "cpu")
    (folder / "model.json").unlink()
    with pytest.raises(AssayError, match="fit the model first"):
        open_model(folder, sampler_of(kind), "cpu")


def test_a_hub_model_that_is_not_cached_says_what_to_do(images, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    fit("pretrained", images, tmp_path / "m", {"id": "nobody/nothing", "revision": "0" * 40}, 0, "cpu")
    with pytest.raises(AssayError, match=r"neither a folder here nor in the Hugging Face cache.*hf download"):
        open_model(tmp_path / "m", Sampler(), "cpu")


def test_weights_that_are_not_safetensors_are_refused(stable_diffusion, tmp_path):
    shutil.copytree(stable_diffusion, tmp_path / "sd")
    weights = tmp_path / "sd/unet/diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(AssayError, match="cannot be opened as a diffusers pipeline with safetensors"):
        open_model(pointer_to(tmp_path / "sd", tmp_path / "fit"), Sampler(), "cpu")


def test_a_pretrained_folder_that_changed_is_refused(stable_diffusion, tmp_path):
    shutil.copytree(stable_diffusion, tmp_path / "sd")
    pointer = pointer_to(tmp_path / "sd", tmp_path / "fit")
    (tmp_path / "sd/scheduler/scheduler_config.json").write_text("{}")
    with pytest.raises(AssayError, match="has changed since the model was fitted"):
        open_model(pointer, Sampler(), "cpu")
    shutil.rmtree(tmp_path / "sd")
    with pytest.raises(AssayError, match="is gone"):
        open_model(pointer, Sampler(), "cpu")
