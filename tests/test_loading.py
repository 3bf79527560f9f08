"""Folders and hub ids that cannot be loaded: each ends in one message that says what to do."""

import errno
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from diffusers import AutoencoderKL
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

from assets.errors import AssayError
from models.generators.hub import fetching, loading
from models.generators.hub.fetching import INDEX, fetched
from models.generators.hub.loading import load_part, load_pipeline
from tests.hub_server import COMMIT, hub
from tests.tiny_pipelines import made

UNET = "unet/diffusion_pytorch_model.safetensors"
TEXT = "text_encoder/model.safetensors"
VAE = "vae/diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made("sd1", tmp_path_factory.mktemp("whole"))


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    """A copy of a tiny Stable Diffusion to do harm to."""
    return Path(shutil.copytree(whole, tmp_path / "sd"))


def load(source: str | Path, **more: Any) -> Any:
    return load_pipeline(source, "float32", "cpu", **more)


def rewrite(path: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> None:
    save_file(change(load_file(path)), path, metadata={"format": "pt"})


@pytest.mark.parametrize("name", [UNET, TEXT, VAE])
def test_weights_cut_short_are_named(name: str, folder: Path) -> None:
    path = folder / name
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(AssayError, match=f"{name} is damaged, perhaps a download that was cut short.*again"):
        load(folder)


@pytest.mark.parametrize("name", [UNET, TEXT])
def test_weights_of_another_architecture_name_the_first_keys(name: str, folder: Path) -> None:
    victim = sorted(load_file(folder / name))[0]
    rewrite(folder / name, lambda state: {f"{key}x" if key == victim else key: v for key, v in state.items()})
    with pytest.raises(AssayError) as error:
        load(folder)
    said = str(error.value)
    assert name.split("/")[0] in said and "of another architecture" in said
    assert "missing " in said and f"unexpected {victim}x" in said and "\n" not in said


@pytest.mark.parametrize("name", [UNET, TEXT])
def test_missing_weights_are_never_made_up(name: str, folder: Path) -> None:
    victim = sorted(load_file(folder / name))[-1]
    rewrite(folder / name, lambda state: {key: v for key, v in state.items() if key != victim})
    with pytest.raises(AssayError, match=r"of another architecture than its config.json: missing"):
        load(folder)


@pytest.mark.parametrize("name", [UNET, TEXT])
def test_weights_of_another_shape_are_named(name: str, folder: Path) -> None:
    victim = next(key for key, v in sorted(load_file(folder / name).items()) if v.ndim == 2)
    rewrite(folder / name, lambda state: {k: v[:-1].clone() if k == victim else v for k, v in state.items()})
    with pytest.raises(AssayError) as error:
        load(folder)
    assert victim.split(".")[-2] in str(error.value) and "\n" not in str(error.value)


def test_weights_that_no_model_takes_are_counted(folder: Path, whole: Path) -> None:
    rewrite(folder / TEXT, lambda state: {**state, "text_model.counter": torch.zeros(1)})
    pipeline, unused = load(folder)
    assert unused == {"text_encoder": 1} and load(whole)[1] == {}
    assert pipeline.text_encoder is not None


def test_the_old_names_of_attention_weights_are_known(folder: Path, whole: Path) -> None:
    """The autoencoders of SD 1.4 and 1.5 are stored with names that diffusers has given up."""
    old = {".to_q.": ".query.", ".to_k.": ".key.", ".to_v.": ".value.", ".to_out.0.": ".proj_attn."}

    def renamed(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        for new, was in old.items():
            state = {key.replace(new, was): value for key, value in state.items()}
        return state

    rewrite(folder / VAE, renamed)
    assert any(".proj_attn." in key for key in load_file(folder / VAE))
    (mended, unused), (plain, _) = load(folder), load(whole)
    assert unused == {}
    for key, value in plain.vae.state_dict().items():
        assert torch.equal(mended.vae.state_dict()[key], value), key


def test_the_libraries_are_as_they_were_after_loading(whole: Path, folder: Path) -> None:
    from diffusers import ModelMixin
    from transformers import PreTrainedModel

    before = ModelMixin.__dict__["from_pretrained"], PreTrainedModel.__dict__["from_pretrained"]
    load(whole)
    (folder / "unet/config.json").write_text("{")
    with pytest.raises(AssayError, match="cannot be opened as a diffusers pipeline"):
        load(folder)
    assert before == (ModelMixin.__dict__["from_pretrained"], PreTrainedModel.__dict__["from_pretrained"])


def test_a_variant_is_taken_where_there_is_one(folder: Path) -> None:
    (folder / UNET).rename(folder / UNET.replace(".safetensors", ".fp16.safetensors"))
    assert load(folder, variant="fp16")[0].unet is not None
    with pytest.raises(AssayError, match="no weights of the variant 'bf16'; it has fp16"):
        load(folder, variant="bf16")


def test_a_variant_that_is_not_there_is_named(whole: Path) -> None:
    with pytest.raises(AssayError, match="no weights of the variant 'fp16'; leave 'variant' out"):
        load(whole, variant="fp16")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("TomorrowsPipeline", "pipeline class 'TomorrowsPipeline' is not in diffusers 0"),
        (["pipeline", "TheirPipeline"], "code of its own in the repository, which is never run"),
    ],
)
def test_pipelines_of_unknown_classes_are_refused(name: Any, words: str, folder: Path) -> None:
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps({**index, "_class_name": name}))
    with pytest.raises(AssayError, match=words):
        load(folder)


def test_a_tokenizer_that_needs_more_packages_names_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = made("pixart", tmp_path)
    (folder / "tokenizer/tokenizer.json").rename(folder / "tokenizer/spiece.model")
    monkeypatch.setattr(loading, "_installed", lambda name: name != "protobuf")
    with pytest.raises(
        AssayError, match=r"its tokenizer needs protobuf, not installed.*pip install protobuf"
    ):
        load(folder)


def test_a_model_that_does_not_fit_on_the_device_says_so() -> None:
    class Large:
        def to(self, device: str) -> None:
            raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(AssayError, match=r"x/y does not fit in the memory of cuda; set the generator"):
        loading.on_device(Large(), "cuda", "x/y")


@pytest.fixture
def online(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A hub with one pipeline, on this machine; the list fills with what it is asked."""
    pickled = Path(shutil.copytree(whole, tmp_path / "pickled"))
    for path in pickled.rglob("*.safetensors"):
        path.rename(path.with_suffix(".bin"))
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare/README.md").write_text("weights of something else")
    served = {"someone/sd": whole, "someone/pickled": pickled, "someone/bare": tmp_path / "bare"}
    with hub(served) as (address, asked):
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(huggingface_hub.hf_api.api, "endpoint", address)
        yield asked


def test_a_hub_id_is_fetched_at_its_commit_once(online: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline, unused = load("someone/sd", revision=COMMIT)
    assert type(pipeline).__name__ == "StableDiffusionPipeline" and unused == {}
    assert any(request == f"GET someone/sd/resolve/{COMMIT}/{UNET}" for request in online)
    assert all(COMMIT in request for request in online if "someone/sd" in request)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    online.clear()
    assert load("someone/sd", revision=COMMIT)[0].unet is not None
    assert online == []


@pytest.mark.parametrize(
    ("source", "commit", "words"),
    [
        (
            "someone/gated",
            COMMIT,
            "is gated: accept its terms at .*co/someone/gated, then `hf auth login`",
        ),
        (
            "someone/gone",
            COMMIT,
            "'someone/gone' is not on the Hugging Face hub: misspelt",
        ),
        ("someone/sd", "f" * 40, "'someone/sd' has no commit ffff"),
        ("someone/bare", COMMIT, "'someone/bare' has no model_index.json: it is not in the layout"),
        ("someone/pickled", COMMIT, "'someone/pickled' has no safetensors weights, and others are not read"),
        ("no/such/id", COMMIT, "the pipeline 'no/such/id' is neither a folder here nor"),
    ],
)
def test_the_hub_s_refusals_end_in_one_message(
    source: str, commit: str, words: str, online: list[str]
) -> None:
    with pytest.raises(AssayError, match=words) as error:
        load(source, revision=commit)
    assert "\n" not in str(error.value)


def test_one_part_of_a_hub_id_is_fetched_alone(online: list[str]) -> None:
    autoencoder = load_part(AutoencoderKL, "someone/sd", "vae", "float32", "cpu", COMMIT)
    assert isinstance(autoencoder, AutoencoderKL)
    fetched_files = {request.split(COMMIT)[1] for request in online if request.startswith("GET someone/sd")}
    assert fetched_files == {"/vae/config.json", f"/{VAE}"}
    with pytest.raises(AssayError, match="someone/sd has no weights of the variant 'fp16'"):
        load_part(AutoencoderKL, "someone/sd", "vae", "float32", "cpu", COMMIT, "fp16")
    with pytest.raises(AssayError, match=r"'someone/pickled' has no vae/diffusion.*safetensors alone"):
        load_part(AutoencoderKL, "someone/pickled", "vae", "float32", "cpu", COMMIT)
    with pytest.raises(AssayError, match=r"'someone/sd' has no vea/config.json"):
        load_part(AutoencoderKL, "someone/sd", "vea", "float32", "cpu", COMMIT)


def test_a_variant_of_one_part_is_never_replaced_by_another(folder: Path) -> None:
    with pytest.raises(AssayError, match="no weights of the variant 'fp16'; leave 'variant' out"):
        load_part(AutoencoderKL, folder, "vae", "float32", "cpu", variant="fp16")


def test_a_hub_s_variant_that_is_not_there_is_named(online: list[str]) -> None:
    with pytest.raises(AssayError, match=r"'?someone/sd'? has no weights of the variant 'fp16'"):
        load("someone/sd", revision=COMMIT, variant="fp16")


def test_a_hub_id_that_is_not_in_the_cache_when_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(AssayError, match=r"nor in the Hugging Face cache.*unset HF_HUB_OFFLINE"):
        load("someone/sd", revision=COMMIT)


def test_a_full_disk_while_downloading_says_so(online: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(fetching.DiffusionPipeline, "download", full)
    with pytest.raises(AssayError, match=r"the disk is full: 'someone/sd' could not.*make room.*HF_HOME"):
        fetched("someone/sd", INDEX, COMMIT, None)
