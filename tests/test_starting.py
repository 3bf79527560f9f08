"""Where a detector starts from: every way to name weights, and every way in which that goes wrong."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import timm
import torch
import yaml
from huggingface_hub import constants
from safetensors.torch import load_file, save_file
from timm.layers import resample_abs_pos_embed
from torch import Tensor

from assets.detection import Judge
from assets.errors import AssayError
from assets.files import sha256_of, write_json
from assets.params import Params
from models.detectors import build
from models.detectors.detector import save_weights
from models.detectors.trained import load_trained, start_folder, trained_folder
from tasks.start import main, start
from tasks.train import train
from tests.bench import benchmark, write_benchmark
from tests.hub_server import hub
from tests.random_detectors import pictures
from tests.random_weights import random_state, shapes_of
from tests.samples import params
from tests.tiny_vits import clip_tower

FOLDER = start_folder(Path(), "mine")


def parameters(**values: Any) -> Params:
    return params(detectors={"mine": {"model": "tiny_clip", "crop": 32, **values}})


def run(**values: Any) -> dict[str, Any]:
    """Run the stage; returns start.json."""
    start(Path(), parameters(**values), "mine")
    about: dict[str, Any] = json.loads((FOLDER / "start.json").read_text("utf-8"))
    return about


def refusal(**values: Any) -> str:
    """The message that the stage ends with; it leaves nothing behind."""
    with pytest.raises(AssayError) as caught:
        run(**values)
    assert not FOLDER.exists() or not list(FOLDER.iterdir())
    return str(caught.value)


def written() -> dict[str, Tensor]:
    return load_file(FOLDER / "weights.safetensors")


def state_of(model: str, **more: Any) -> dict[str, Tensor]:
    return random_state(shapes_of(timm.create_model(model, **more)))


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def trained(root: Path, values: dict[str, Any]) -> Tensor:
    """Put a detector with a changed head where a training would; returns its logits of some pictures."""
    spec = parameters(**values).detectors["mine"]
    weights = start_folder(root, "mine") / "weights.safetensors"
    detector = build(spec, 3, "mine", start=weights)
    with torch.no_grad():
        detector.net.head.weight.normal_()
    folder = trained_folder(root, "fake", "mine", 0)
    save_weights(detector, folder / "weights.safetensors", started=True)
    card = {"spec": spec.model_dump(), "classes": ["real", "generated"], "threshold": 0.0}
    write_json(folder / "card.json", {**card, "weights": sha256_of(folder / "weights.safetensors")})
    return torch.from_numpy(detector.score(pictures(spec.crop)))


def test_a_random_start_has_no_weights(workdir: Path) -> None:
    assert run()["weights"] is None
    assert [path.name for path in FOLDER.iterdir()] == ["start.json"]


@pytest.fixture
def online(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A hub with the weights of `tiny_clip`, on this machine; the list fills with what it is asked."""
    served = tmp_path / "served"
    served.mkdir()
    save_file(state_of("tiny_clip"), served / "model.safetensors")
    with hub({"timm/tiny_clip.made": served}) as (address, asked):
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        template = address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(huggingface_hub.hf_api.api, "endpoint", address)
        yield asked


def test_weights_that_timm_has(workdir: Path, online: list[str]) -> None:
    values = {"kind": "probe", "weights": "timm"}
    about = run(**values)
    assert same(written(), state_of("tiny_clip"))
    digest = sha256_of(FOLDER / "weights.safetensors")
    assert about["weights"] == {"from": "timm tiny_clip", "sha256": digest} and about["model"] == "tiny_clip"
    assert online
    online.clear()
    expected = trained(Path(), values)
    loaded = load_trained(Path(), "fake", "mine", 0).detector
    assert torch.equal(torch.from_numpy(loaded.score(pictures(32))), expected)
    assert not online, "the hub is asked by the stage alone"


def test_positions_are_resampled_to_the_crop(workdir: Path, online: list[str]) -> None:
    state = state_of("tiny_clip")
    save_file(state, "given.safetensors")
    run(weights="timm", crop=48)
    downloaded = written()
    run(weights="given.safetensors", crop=48)
    expected = resample_abs_pos_embed(state["pos_embed"], new_size=[6, 6], num_prefix_tokens=1)
    assert expected.shape == (1, 37, 32) and torch.equal(downloaded["pos_embed"], expected)
    assert same(written(), downloaded), "a file as well as a download"


def test_names_of_other_projects_are_translated(workdir: Path) -> None:
    tower, state = clip_tower()
    torch.save(state, "ViT.pth")
    run(weights="ViT.pth")
    assert written().keys() == state_of("tiny_clip").keys()
    assert torch.equal(written()["head.weight"], tower.visual_projection.weight)


def test_every_form_of_a_checkpoint_gives_the_same_weights(workdir: Path) -> None:
    state = state_of("tiny_clip")
    parallel = {f"module.{name}": value for name, value in state.items()}
    save_file(state, "plain.safetensors")
    torch.save(state, "plain.pth")
    torch.save({"state_dict": parallel, "epoch": 7, "optimizer": {"lr": 0.1}}, "training.pth")
    torch.save({"model": {"net": state}, "args": None}, "nested.ckpt")
    digests = set()
    for name in ("plain.safetensors", "plain.pth", "training.pth", "nested.ckpt"):
        about = run(weights=name)
        assert about["weights"]["from"] == name
        digests.add(about["weights"]["sha256"])
        assert same(written(), state)
    assert digests == {sha256_of(FOLDER / "weights.safetensors")}


def test_frozen_weights_are_read_from_the_start_again(workdir: Path) -> None:
    save_file(state_of("tiny_clip"), "given.safetensors")
    values = {"kind": "probe", "weights": "given.safetensors"}
    run(**values)
    expected = trained(Path(), values)
    Path("given.safetensors").unlink()  # it was needed by the stage alone
    assert set(load_file(trained_folder(Path(), "fake", "mine", 0) / "weights.safetensors")) == {
        "head.weight",
        "head.bias",
    }
    loaded = load_trained(Path(), "fake", "mine", 0).detector
    assert torch.equal(torch.from_numpy(loaded.score(pictures(32))), expected)
    (FOLDER / "weights.safetensors").unlink()
    with pytest.raises(AssayError, match=r"weights.safetensors is not there: `dvc pull"):
        load_trained(Path(), "fake", "mine", 0)


@pytest.mark.parametrize(
    ("kind", "saved"),
    [
        ("probe", {"weight", "bias"}),
        ("effort", {"weight", "bias", "u", "s", "v", "u0", "s0", "v0"}),
        ("lora", {"weight", "bias", "a", "b"}),
    ],
)
def test_kinds_that_freeze_are_trained_by_the_stages(workdir: Path, kind: str, saved: set[str]) -> None:
    state = state_of("tiny_clip")
    save_file(state, "given.safetensors")
    mine = {"kind": kind, "model": "tiny_clip", "weights": "given.safetensors", "crop": 32, "batch": 16}
    options = {"contrastive": 0.5} if kind == "lora" else {}
    benchmark_ = benchmark(detectors={"mine": {**mine, "epochs": 1, "options": options}})
    write_benchmark(benchmark_)
    start(Path(), benchmark_, "mine")
    train(Path(), benchmark_, "fake", "mine", 0)
    file = load_file(trained_folder(Path(), "fake", "mine", 0) / "weights.safetensors")
    assert {name.rsplit(".", 1)[1] for name in file} == saved
    assert {name for name in file if name.endswith(("weight", "bias"))} == {"head.weight", "head.bias"}
    loaded = load_trained(Path(), "fake", "mine", 0).detector.net.state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in file.items())
    names = [name for name in state if not name.startswith("head.")]
    assert all(torch.equal(loaded[f"backbone.{name}"], state[name]) for name in names)


def test_a_file_with_another_number_of_classes(workdir: Path) -> None:
    """A classifier begins anew, for it is trained here; a projection that features come from does not."""
    save_file(state_of("tiny_clip", num_classes=7), "seven.safetensors")
    projected = {"kind": "probe", "options": {"feature": "projected"}}
    message = refusal(weights="seven.safetensors", **projected)
    assert message.endswith("2 have another shape, first head.weight: (7, 32) instead of (24, 32)")
    assert run(weights="seven.safetensors")["weights"]["from"] == "seven.safetensors"


def test_weights_of_another_network_are_refused(workdir: Path) -> None:
    save_file(state_of("test_resnet"), "resnet.safetensors")
    message = refusal(weights="resnet.safetensors")
    assert message.startswith("detectors.mine.weights does not fit the network: ")
    assert "weights are missing, first cls_token" in message and "are not the network's, first " in message
    deeper = state_of("tiny_clip", depth=3)
    save_file(deeper, "deeper.safetensors")
    assert "12 are not the network's, first blocks.2." in refusal(weights="deeper.safetensors")
    save_file(state_of("tiny_clip", embed_dim=64), "wider.safetensors")
    assert "have another shape, first cls_token: (1, 1, 64) instead of (1, 1, 32)" in refusal(
        weights="wider.safetensors"
    )


def test_files_that_cannot_be_read(workdir: Path) -> None:
    assert refusal(weights="gone.pth") == (
        "detectors.mine.weights: gone.pth is not there; put it there, or start with `weights: none`"
    )
    Path("torn.safetensors").write_bytes(b"torn")
    assert "torn.safetensors cannot be read, perhaps a download" in refusal(weights="torn.safetensors")
    torch.save(state_of("tiny_clip"), "cut.pth")
    Path("cut.pth").write_bytes(Path("cut.pth").read_bytes()[:-500])
    assert "cut.pth cannot be read" in refusal(weights="cut.pth")
    torch.save({"state_dict": Path("anything")}, "harmful.pth")  # reading a Path means calling a function
    assert "harmful.pth is refused: reading it could run code" in refusal(weights="harmful.pth")
    torch.save({"model": [torch.ones(1)]}, "list.pth")
    assert "list.pth holds no plain state dict" in refusal(weights="list.pth")
    assert "detectors.mine.weights is 'tim': did you mean" in refusal(weights="tim")


def test_a_file_that_is_not_the_one_that_was_meant(workdir: Path) -> None:
    save_file(state_of("tiny_clip"), "given.safetensors")
    found = sha256_of(Path("given.safetensors"))
    assert run(weights="given.safetensors", sha256=found)["weights"]["from"] == "given.safetensors"
    (FOLDER / "start.json").unlink()
    (FOLDER / "weights.safetensors").unlink()
    message = refusal(weights="given.safetensors", sha256="0" * 64)
    assert message.endswith(f"given.safetensors has SHA-256 {found}, not {'0' * 64} as `sha256` says")


def test_no_connection_and_no_weights(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(workdir / "cache"))
    message = refusal(weights="timm")
    assert message.startswith("detectors.mine.weights: timm's weights of tiny_clip cannot be had: ")
    assert "Connect this machine" in message and "https://huggingface.co/timm/tiny_clip.made" in message
    twins = refusal(model="twins_svt_small", weights="timm", crop=40)
    assert "timm cannot build twins_svt_small for a crop of 40 px" in twins, "said before a download"


def test_a_name_that_is_no_detector(workdir: Path) -> None:
    Path("params.yaml").write_text(yaml.safe_dump(parameters().model_dump(mode="json", by_alias=True)))
    with pytest.raises(AssayError, match="unknown detector 'min'; did you mean 'mine'"):
        main(["min"])
    main(["mine"])
    assert (FOLDER / "start.json").is_file()


def test_a_judge_says_which_file_its_hash_is_of() -> None:
    with pytest.raises(ValueError, match="'sha256' is that of a file"):
        Judge(weights="timm", sha256="0" * 64)
