"""BigGAN: the same pictures as its authors' code, the layout of its released weights, errors that help."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from assets.errors import AssayError
from assets.params import Sampler
from models.generators import Drawn, Request, fit, open_model
from models.generators.biggan import Generator
from models.generators.options import BigganOptions
from tests.conftest import REPO
from tests.released_weights import filled, layout, shapes_of

TINY = {
    "resolution": 64, "channels": 8, "latent": 43, "embedding": 12, "attention": [16, 32], "classes": 7,
}  # fmt: skip
SEEDS, CLASSES = (11, 12, 13), (0, 6, 2)

# Made with github.com/ajbrock/BigGAN-PyTorch at commit 98459431: its BigGAN.Generator(resolution=64, G_ch=8,
# dim_z=43, shared_dim=12, G_attn="16_32", n_classes=7, G_shared=True, hier=True, SN_eps=1e-6) in eval mode,
# with the weights of tests/released_weights.py. Noise: torch.randn(40) of a CPU generator with each of
# SEEDS; classes: CLASSES. EXPECTED is its output at [:, 13::40, 22::30] of every image, flattened; STORED the
# first image's uint8 pixels at [13::40, 22::30] as its sample.py stores them. The largest difference of any
# output to ours was 0.0, here and at 128 and 256 pixels (G_ch=8, attention at 64).
EXPECTED = [
    [0.348698, 0.320885, 0.316418, 0.312237, 0.175843, 0.12774,
     0.246374, 0.134181, -0.152521, -0.17786, -0.159333, -0.28235],
    [0.169314, 0.146889, 0.220011, 0.265359, 0.695191, 0.643836,
     0.632829, 0.613603, 0.018593, 0.166966, 0.229347, 0.066381],
    [0.341367, 0.354497, 0.405458, 0.530548, 0.691741, 0.642649,
     0.748048, 0.7315, 0.025092, 0.106109, 0.071056, -0.077616],
]  # fmt: skip
MEANS, DEVIATIONS = [0.150378, 0.310272, 0.382047], [0.247088, 0.295457, 0.301365]
STORED = [[[171, 149, 108], [168, 143, 104]], [[167, 158, 107], [167, 144, 91]]]
STORED_SUMS = [1796153, 2046731, 2159136]


def requests() -> list[Request]:
    return [Request(seed, class_index=index) for seed, index in zip(SEEDS, CLASSES, strict=True)]


def pixels(drawn: list[Drawn]) -> list[np.ndarray]:
    found = [one.pixels for one in drawn if one.pixels is not None]
    assert len(found) == len(drawn)
    return found


def built(**changes) -> Generator:
    with torch.device("meta"):
        return Generator(BigganOptions(**{"checkpoint": "-", **changes}))


def fitted(checkpoint: Path, out: Path, **changes) -> Path:
    options = {"checkpoint": str(checkpoint), **TINY, **changes}
    fit("biggan", np.zeros((0, 1, 1, 3), np.uint8), out, options, seed=0, device="cpu")
    return out


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory) -> Path:
    """Tiny weights as torch 1.0 stored them, which is what the authors used."""
    path = tmp_path_factory.mktemp("weights") / "G_ema.pth"
    torch.save(filled(shapes_of(built(**TINY))), path, _use_new_zipfile_serialization=False)
    return path


@pytest.fixture(scope="session")
def folder(checkpoint, tmp_path_factory) -> Path:
    return fitted(checkpoint, tmp_path_factory.mktemp("fit") / "biggan")


def test_pictures_are_those_of_the_authors_code(folder):
    drawer = open_model(folder, Sampler(batch=3), "cpu")
    noise = torch.stack([torch.randn(40, generator=torch.Generator().manual_seed(seed)) for seed in SEEDS])
    with torch.no_grad():
        found = drawer.generator(noise, torch.tensor(CLASSES))
    assert found.shape == (3, 3, 64, 64)
    np.testing.assert_allclose(found[:, :, 13::40, 22::30].flatten(1), EXPECTED, atol=2e-5)
    np.testing.assert_allclose(found.mean((1, 2, 3)), MEANS, atol=2e-5)
    np.testing.assert_allclose(found.std((1, 2, 3)), DEVIATIONS, atol=2e-5)


def test_a_drawn_image_is_stored_as_the_authors_store_it(folder):
    images = pixels(open_model(folder, Sampler(batch=2), "cpu").draw(requests()))
    assert all(image.shape == (64, 64, 3) and image.dtype == np.uint8 for image in images)
    assert np.abs(images[0][13::40, 22::30].astype(int) - STORED).max() <= 1  # a last bit may tip one over
    sums = [int(image.sum(dtype=np.int64)) for image in images]
    np.testing.assert_allclose(sums, STORED_SUMS, atol=20)


def test_the_released_layout_is_that_of_the_authors_code():
    shapes = shapes_of(built())
    # Of Generator(G_ch=96, dim_z=120, shared_dim=128, resolution=128, hier=True, G_shared=True) there.
    assert layout(shapes) == (
        166,
        70_497_632,
        "8a45b26b8707c8c465f015533940746336c4489a2917d62a0a9154739ce4ef4a",
    )
    assert sum(parameter.numel() for parameter in built().parameters()) == 70_433_988
    assert shapes["shared.weight"] == (1000, 128)
    assert shapes["linear.weight"] == (24576, 20)
    assert shapes["linear.u0"] == (1, 24576) and shapes["linear.sv0"] == (1,)
    assert shapes["blocks.0.0.conv1.weight"] == (1536, 1536, 3, 3)
    assert shapes["blocks.0.0.bn1.gain.weight"] == (1536, 148)
    assert shapes["blocks.0.0.bn1.stored_mean"] == (1536,)
    assert shapes["blocks.3.1.theta.weight"] == (24, 192, 1, 1)
    assert shapes["blocks.3.1.gamma"] == ()
    assert shapes["output_layer.0.stored_var"] == (96,)
    assert shapes["output_layer.2.weight"] == (3, 96, 3, 3)
    # The tiny model of the comparison, over there and here.
    assert layout(shapes_of(built(**TINY)))[2].startswith("cb5492396aad12fe")


def test_an_image_depends_on_its_request_alone(folder):
    drawer = open_model(folder, Sampler(batch=4), "cpu")
    asked = [Request(seed, class_index=seed % 7) for seed in (3, 1, 4, 15, 9, 2, 6)]
    seven = pixels(drawer.draw(asked))
    assert len({image.tobytes() for image in seven}) == 7
    (alone,) = pixels(drawer.draw([asked[4]]))
    assert np.array_equal(alone, seven[4])
    again = pixels(open_model(folder, Sampler(batch=4), "cpu").draw(asked[::-1]))
    assert all(map(np.array_equal, again, seven[::-1]))
    (other,) = pixels(drawer.draw([Request(9, class_index=3)]))
    assert not np.array_equal(other, alone)
    assert drawer.draw([]) == []


def test_a_fresh_process_draws_the_same(folder):
    drawn = pixels(open_model(folder, Sampler(batch=2), "cpu").draw(requests()))
    program = (
        "import sys, numpy as np; from pathlib import Path; from assets.params import Sampler; "
        "from models.generators import Request, open_model; "
        "drawer = open_model(Path(sys.argv[1]), Sampler(batch=2), 'cpu'); "
        f"asked = [Request(s, class_index=c) for s, c in zip({SEEDS}, {CLASSES})][1:]; "
        "sys.stdout.buffer.write(b''.join(one.pixels.tobytes() for one in drawer.draw(asked)))"
    )
    ran = subprocess.run([sys.executable, "-c", program, folder], cwd=REPO, capture_output=True, check=True)
    assert ran.stdout == b"".join(image.tobytes() for image in drawn[1:])


def test_a_picture_that_is_no_number_has_a_reason(folder):
    drawer = open_model(folder, Sampler(batch=2), "cpu")
    spoilt = torch.tensor([1.0, float("nan")])[:, None, None, None]
    drawer.generator.register_forward_hook(lambda module, asked, made: made * spoilt)
    good, bad = drawer.draw(requests()[:2])
    assert good.pixels is not None and good.reason is None
    assert bad.pixels is None and bad.reason == "not a number in it"


def test_the_record_is_json_and_says_what_was_used(folder, checkpoint):
    record = open_model(folder, Sampler(batch=2, dtype="bfloat16"), "cpu").record
    assert json.loads(json.dumps(record)) == record
    model = json.loads((folder / "model.json").read_text())
    assert (record["kind"], record["model_id"], record["sha256"]) == ("biggan", "biggan", model["sha256"])
    assert record["checkpoints"]["checkpoint"]["path"] == str(checkpoint)
    assert len(record["checkpoints"]["checkpoint"]["sha256"]) == 64
    assert record["options"]["truncation"] is None and record["options"]["deviation"] == 1.0
    assert (record["dtype"], record["batch"]) == ("bfloat16", 2)
    assert record["safety_checker"] is False and record["watermarker"] is False
    assert record["versions"]["torch"]


def test_truncation_and_deviation_shape_the_noise(checkpoint, tmp_path):
    def noise(**changes) -> torch.Tensor:
        drawer = open_model(fitted(checkpoint, tmp_path / str(changes), **changes), Sampler(batch=1), "cpu")
        return torch.stack([drawer._noise(seed) for seed in range(200)])

    plain = noise()
    assert torch.equal(plain[7], torch.randn(40, generator=torch.Generator().manual_seed(7)))
    assert torch.equal(noise(deviation=0.5), plain * 0.5)
    cut = noise(truncation=0.5)
    assert cut.abs().max() <= 0.5
    # Deviation of the standard normal within +-t: sqrt(1 - 2 t phi(t) / (2 Phi(t) - 1)); 0.283858 for 0.5.
    assert abs(cut.mean().item()) < 0.01 and abs(cut.std().item() - 0.283858) < 0.005


def test_weights_converted_to_safetensors_draw_the_same(folder, checkpoint, tmp_path):
    save_file(torch.load(checkpoint, weights_only=True), tmp_path / "g.safetensors")
    converted = open_model(fitted(tmp_path / "g.safetensors", tmp_path / "fit"), Sampler(batch=3), "cpu")
    drawn = open_model(folder, Sampler(batch=3), "cpu").draw(requests())
    assert all(map(np.array_equal, pixels(converted.draw(requests())), pixels(drawn)))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"resolution": 128}, "not a checkpoint of BigGAN's generator.*missing blocks.4.0"),
        ({"attention": [32]}, "unexpected blocks.1.1.gamma"),
        ({"attention": [8, 16, 32]}, "missing blocks.0.1.gamma"),
        ({"classes": 1000}, r"shared.weight is \(7, 12\), not \(1000, 12\)"),
        ({"channels": 16}, r"linear.weight is \(2048, 8\), not \(4096, 8\)"),
        ({"resolution": 100}, "resolution is 100"),
        ({"truncation": 0}, "truncation is 0"),
        ({"shared_dim": 128}, "shared_dim is not a parameter"),
    ],
)
def test_weights_that_are_not_of_these_options_are_refused(changes, words, checkpoint, tmp_path):
    with pytest.raises(AssayError, match=words):
        fitted(checkpoint, tmp_path / "out", **changes)


def test_damaged_files_and_pickles_are_refused(checkpoint, tmp_path):
    for name, share in (("cut.pth", 0.6), ("stub.pth", 0.001)):
        whole = checkpoint.read_bytes()
        (tmp_path / name).write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(AssayError, match=f"{name} (cannot be read|is refused)"):
            fitted(tmp_path / name, tmp_path / "out")
    torch.save({"shared.weight": Path("a")}, tmp_path / "code.pth")
    with pytest.raises(AssayError, match=r"code\.pth is refused: reading it could run code"):
        fitted(tmp_path / "code.pth", tmp_path / "out")
    with pytest.raises(AssayError, match=r"gone\.pth is not there; download it"):
        fitted(tmp_path / "gone.pth", tmp_path / "out")


def test_weights_that_changed_since_the_fit_are_refused(checkpoint, tmp_path):
    own = tmp_path / "own.pth"
    own.write_bytes(checkpoint.read_bytes())
    folder = fitted(own, tmp_path / "fit")
    own.write_bytes(own.read_bytes() + b" ")
    with pytest.raises(AssayError, match=r"own\.pth has changed since the model was fitted"):
        open_model(folder, Sampler(), "cpu")
    own.unlink()
    with pytest.raises(AssayError, match=r"own\.pth is gone"):
        open_model(folder, Sampler(), "cpu")


@pytest.mark.parametrize(
    "asked",
    [
        {"steps": 5},
        {"guidance": 2.0},
        {"scheduler": "DDIMScheduler"},
        {"height": 64},
        {"negative_prompt": ""},
    ],
)
def test_settings_that_it_does_not_take_are_refused(asked, folder):
    with pytest.raises(AssayError, match=f"sampler.{next(iter(asked))}: BigGAN does not take it; it takes"):
        open_model(folder, Sampler(**asked), "cpu")


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (Request(1, "photo of tench"), "BigGAN needs a class_index for every image"),
        (Request(1, class_index=7), "class_index 7: BigGAN knows classes 0 to 6"),
        (Request(1, class_index=-1), "class_index -1: BigGAN knows"),
    ],
)
def test_an_image_needs_a_class_that_the_weights_know(request_, words, folder):
    with pytest.raises(AssayError, match=words):
        open_model(folder, Sampler(batch=2), "cpu").draw([*requests(), request_])
