"""ADM: the numbers of the public implementation, its checkpoints' layout, images that depend on themselves.

Expected numbers come from github.com/openai/guided-diffusion at 22e0df8183507e13a7813f8d38d51b072ca1e67c. Its
`UNetModel` and `EncoderUNetModel` (pool="attention") were built in the small shape below, with
use_scale_shift_norm and resblock_updown, and given the weights of tests/random_weights.py, which follow from
the parameters' names; inputs come from there too. Its `p_sample_loop` (clip_denoised, learned range of
variances, respaced by `space_timesteps`) was run with `torch.randn` and `torch.randn_like` replaced, for each
picture of a batch, by a CPU generator with the seed 11 or 12. Both sides ran in float32 on one CPU thread.
"""

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from assets.errors import AssayError
from assets.params import Sampler
from models.generators import Request, fit, open_model
from models.generators.adm import pull
from models.generators.nets.gaussian import Diffusion, Noise, fast27, spread
from models.generators.nets.unet import Classifier, UNet
from models.generators.options import AdmOptions, UNetShape
from tests.random_weights import layout, normal, probe, random_state, shapes_of

SMALL = {"side": 16, "channels": 32, "multipliers": [1, 2], "depth": 1, "attention": [8], "head_channels": 16}
CLASSES = 10
STEPS, LABELS = torch.tensor([3, 777]), torch.tensor([2, 7])
ASKED = [Request(11, class_index=2), Request(12, class_index=7)]


def shape(**changes) -> UNetShape:
    return UNetShape(**{**SMALL, **changes})


def filled(model):
    model.load_state_dict(random_state(shapes_of(model)))
    return model.eval().requires_grad_(False)


def save(path: Path, model) -> Path:
    torch.save(random_state(shapes_of(model)), path)
    return path


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> dict[str, str]:
    """Small checkpoints in the real layout: of a U-Net told a class, of one not told, of a classifier."""
    folder = tmp_path_factory.mktemp("weights")
    models = {
        "checkpoint": UNet(shape(), classes=CLASSES),
        "untold": UNet(shape()),
        "classifier": Classifier(shape(), CLASSES),
    }
    return {role: str(save(folder / f"{role}.pt", model)) for role, model in models.items()}


def options(weights: dict[str, str], **changes) -> dict:
    small = {"shape": SMALL, "classifier_shape": SMALL, "classes": CLASSES}
    named = {role: weights[role] for role in ("checkpoint", "classifier")}
    return {**named, **small, **changes}


def pointer(out: Path, chosen: dict) -> Path:
    fit("adm", np.zeros((0, 8, 8, 3), np.uint8), out, chosen, seed=0, device="cpu")
    return out


@pytest.fixture(scope="module")
def folder(weights, tmp_path_factory) -> Path:
    return pointer(tmp_path_factory.mktemp("fit") / "adm", options(weights))


def sampler(**changes) -> Sampler:
    return Sampler(**{"steps": 7, "batch": 2, **changes})


def images(drawn) -> list[np.ndarray]:
    return [one.pixels for one in drawn]


@pytest.mark.parametrize(
    ("changes", "told", "expected"),
    [
        (
            {},
            True,
            [-0.1729919, -0.6024193, -0.09149995, -0.1398827, 0.3470166, -0.2141355, -0.4577661, -0.2648888,
             -0.1974779, 0.5791803],
        ),
        (
            {"head_channels": None, "heads": 2},
            True,
            [-0.2546663, -0.8300093, -0.002698466, 0.1094529, 0.183603, -0.02004306, -0.5977246, -0.185699,
             -0.1954064, 0.5821859],
        ),
        (
            {"qkv_first": True},
            True,
            [-0.1479166, -0.9652587, -0.02128401, -0.2400583, 0.07154359, -0.3005129, -0.7024654, -0.2672422,
             -0.1972109, 0.5815812],
        ),
        (
            {},
            False,
            [-0.1799423, -0.6043228, -0.100294, -0.2168599, 0.2629135, -0.2586489, -0.4108926, -0.228839,
             -0.1976364, 0.5789267],
        ),
    ],
)  # fmt: skip
def test_the_unet_is_the_public_one(changes, told, expected):
    unet = filled(UNet(shape(**changes), classes=CLASSES if told else None))
    found = unet(normal("x", 2, 3, 16, 16), STEPS, unet.label_emb(LABELS) if told else None)
    assert probe(found) == pytest.approx(expected, abs=1e-5)


def test_the_classifier_and_its_gradient_are_the_public_ones():
    classifier, x = filled(Classifier(shape(), CLASSES)), normal("x", 2, 3, 16, 16)
    expected = [-0.6533083, 0.1411655, 0.3586246, 0.6062559, -0.6496661, -0.02523171, -0.002027355,
                -0.00125359, 0.07381191, 0.36233]  # fmt: skip
    assert probe(classifier(x, STEPS)) == pytest.approx(expected, abs=1e-5)
    expected = [0.001221604, -0.0007817645, -0.0007218956, 2.178777e-05, -0.001829077, 0.003021683,
                0.0002825123, -0.000570558, -0.0002317847, 0.00256568]  # fmt: skip
    assert probe(pull(classifier, LABELS, 1.0)(x, STEPS)) == pytest.approx(expected, abs=1e-7)
    assert probe(pull(classifier, LABELS, 3.0)(x, STEPS))[0] == pytest.approx(3 * expected[0], abs=1e-7)


@pytest.mark.parametrize(
    ("asked", "expected", "pixels"),
    [
        (
            {"guidance": 0.0},
            {2: 0.92222, 210: 0.155576, 416: 0.669463, 654: -0.902291, 868: 0.945419, 1535: 0.152943},
            [[255, 255, 145], [0, 255, 241], [0, 224, 255], [255, 254, 2]],
        ),
        (
            {"guidance": 100.0},
            {2: 0.909779, 213: -0.730715, 412: 0.289416, 656: 0.830123, 866: 0.4216, 1535: 0.350781},
            [[255, 255, 21], [0, 255, 246], [54, 92, 255], [255, 255, 1]],
        ),
        (
            {"steps": 25, "guidance": 3.0},
            {0: -0.58892, 214: 0.471054, 432: 0.0668468, 668: 0.185407, 878: -0.274695, 1535: 0.630621},
            [[246, 15, 2], [192, 0, 139], [90, 167, 254], [252, 254, 255]],
        ),
    ],
)
def test_drawing_is_the_public_loop(asked, expected, pixels, folder):
    drawer = open_model(folder, sampler(**asked), "cpu")
    found = drawer.sample(ASKED).flatten()
    assert {place: found[place].item() for place in expected} == pytest.approx(expected, abs=2e-4)
    drawn = images(drawer.draw(ASKED))[1][8, 8:12]
    assert np.abs(drawn.astype(int) - pixels).max() <= 1


def test_the_cosine_schedule_is_the_public_one():
    unet = filled(UNet(shape(), classes=CLASSES))
    told = unet.label_emb(LABELS)
    diffusion = Diffusion("cosine", spread(7))
    found = diffusion.ancestral(lambda x, steps: unet(x, steps, told), Noise([11, 12], "cpu"), 16).flatten()
    expected = {1: 0.0677022, 210: 0.891063, 425: 0.359533, 643: 0.801993, 857: -0.563972, 1535: -0.738237}
    assert {place: found[place].item() for place in expected} == pytest.approx(expected, abs=2e-4)


def test_steps_are_spread_as_the_public_code_spreads_them():
    assert spread(7) == [0, 166, 333, 500, 666, 832, 999]
    assert spread(1000) == list(range(1000))
    assert spread(3, 2) == [0, 250, 499, 500, 999]
    assert spread(10, 15, 20, steps=300)[8:12] == [88, 99, 100, 107]
    assert fast27() == [0, 22, 44, 66, 88, 111, 133, 155, 177, 199, 200, 222, 244, 266, 288, 311, 333, 355,
                        377, 399, 400, 500, 599, 600, 799, 800, 997]  # fmt: skip


IMAGENET_64 = {"side": 64, "multipliers": (1, 2, 3, 4)}
IMAGENET_128 = {"side": 128, "multipliers": (1, 1, 2, 3, 4)}
IMAGENET_512 = {"side": 512, "multipliers": (0.5, 1, 1, 2, 2, 4, 4)}


@pytest.mark.parametrize(
    ("build", "names", "numbers", "sha256"),
    [
        (partial(UNet, UNetShape(), classes=1000), 567, 553_838_086, "408c4d65687d2b6d"),
        (partial(UNet, UNetShape()), 566, 552_814_086, "b9c90be1570d1541"),
        (partial(Classifier, UNetShape(channels=128), 1000), 249, 54_096_360, "80623bcac5ce31ac"),
        (
            partial(UNet, UNetShape(**IMAGENET_64, channels=192, depth=3, qkv_first=True), classes=1000),
            541,
            295_904_454,
            "b879ba9ed4fe94bb",
        ),
        (partial(UNet, UNetShape(**IMAGENET_128, head_channels=None), classes=1000), 493, 421_529_606,
         "d91b9be2449a697e"),
        (partial(Classifier, UNetShape(**IMAGENET_512, channels=128), 1000), 281, 54_448_360,
         "14a2ce08b1e153d1"),
    ],
)  # fmt: skip
def test_full_size_layouts_are_the_public_ones(build, names, numbers, sha256):
    """Counts and hash of names and shapes of the models that the public README's flags build."""
    with torch.device("meta"):
        found = layout(shapes_of(build()))
    assert (found[0], found[1], found[2][:16]) == (names, numbers, sha256)


def test_the_defaults_are_the_imagenet_model_at_256():
    defaults = AdmOptions(checkpoint="256x256_diffusion.pt")
    with torch.device("meta"):
        shapes = shapes_of(UNet(defaults.shape, classes=defaults.classes))
        judged = shapes_of(Classifier(defaults.classifier_shape, defaults.classes))
    assert shapes["time_embed.0.weight"] == (1024, 256)
    assert shapes["label_emb.weight"] == (1000, 1024)
    assert shapes["input_blocks.10.0.in_layers.0.bias"] == (512,)
    assert shapes["input_blocks.17.1.qkv.weight"] == (3072, 1024, 1)
    assert shapes["output_blocks.2.2.emb_layers.1.weight"] == (2048, 1024)
    assert shapes["out.2.bias"] == (6,)
    assert judged["out.2.positional_embedding"] == (512, 65)
    assert judged["out.2.c_proj.weight"] == (1000, 512, 1)


def test_an_image_depends_on_its_request_alone(folder):
    drawer = open_model(folder, sampler(), "cpu")
    asked = [Request(seed, class_index=seed % CLASSES) for seed in (3, 1, 4, 15, 9)]
    five = images(drawer.draw(asked))
    assert all(image.shape == (16, 16, 3) and image.dtype == np.uint8 for image in five)
    assert len({image.tobytes() for image in five}) == 5
    assert np.array_equal(images(drawer.draw(asked[4:]))[0], five[4])
    torch.rand(3)
    assert all(map(np.array_equal, images(drawer.draw(asked[::-1])), five[::-1]))
    (other,) = images(drawer.draw([asked[0]._replace(class_index=8)]))
    assert not np.array_equal(other, five[0])
    assert drawer.draw([]) == []


def test_a_fresh_process_draws_the_same(folder):
    code = (
        "import sys; from pathlib import Path; from assets.params import Sampler\n"
        "from models.generators import Request, open_model\n"
        "drawer = open_model(Path(sys.argv[1]), Sampler(steps=7, batch=2), 'cpu')\n"
        "print(drawer.draw([Request(11, class_index=2)])[0].pixels.tobytes().hex())"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True
    )
    (image,) = images(open_model(folder, sampler(), "cpu").draw(ASKED[:1]))
    assert run.stdout.strip() == image.tobytes().hex()


def test_the_record_is_json_and_says_what_was_used(folder, weights):
    record = open_model(folder, sampler(), "cpu").record
    assert json.loads(json.dumps(record)) == record
    model = json.loads((folder / "model.json").read_text())
    assert record["sha256"] == model["sha256"]
    assert set(record["checkpoints"]) == {"checkpoint", "classifier"}
    assert record["checkpoints"]["checkpoint"]["path"] == weights["checkpoint"]
    assert (record["steps"], record["guidance"], record["height"]) == (7, 1.0, 16)
    assert record["options"]["shape"]["channels"] == 32
    assert record["safety_checker"] is False and record["watermarker"] is False
    usual = open_model(folder, Sampler(), "cpu").record
    assert (usual["steps"], usual["guidance"], usual["dtype"]) == (250, 1.0, "float32")


def test_without_a_classifier_nothing_pulls(weights, tmp_path, folder):
    plain = pointer(tmp_path / "plain", options(weights, classifier=None))
    drawer = open_model(plain, sampler(), "cpu")
    assert drawer.record["guidance"] is None
    unpulled = open_model(folder, sampler(guidance=0.0), "cpu")
    assert all(map(np.array_equal, images(drawer.draw(ASKED)), images(unpulled.draw(ASKED))))
    with pytest.raises(AssayError, match=r"fit\.plain\.options\.classifier"):
        open_model(plain, sampler(guidance=2.0), "cpu")


def test_a_model_that_is_told_no_class_can_still_be_guided_to_one(weights, tmp_path):
    chosen = {"checkpoint": weights["untold"], "conditional": False}
    guided = open_model(
        pointer(tmp_path / "guided", options(weights, **chosen)), sampler(guidance=300.0), "cpu"
    )
    one, other = images(guided.draw([Request(5, class_index=1), Request(5, class_index=2)]))
    assert not np.array_equal(one, other)
    with pytest.raises(AssayError, match="needs a class_index"):
        guided.draw([Request(1)])
    free = pointer(tmp_path / "free", options(weights, **chosen, classifier=None))
    (image,) = images(open_model(free, sampler(), "cpu").draw([Request(5)]))
    assert image.shape == (16, 16, 3)


def test_an_image_that_is_not_finite_has_a_reason(folder, monkeypatch):
    drawer = open_model(folder, sampler(), "cpu")
    samples = torch.stack([torch.ones(3, 16, 16), torch.ones(3, 16, 16)])
    samples[1, 0, 5, 5] = torch.nan
    monkeypatch.setattr(drawer, "sample", lambda requests: samples)
    good, bad = drawer.draw(ASKED)
    assert (good.pixels == 255).all() and good.reason is None
    assert bad.pixels is None and bad.reason == "not a number in it"


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_half_precision_trunk_keeps_the_rest_in_float32(dtype, folder):
    drawer = open_model(folder, sampler(dtype=dtype, steps=2), "cpu")
    half = getattr(torch, dtype)
    state = drawer.unet.state_dict()
    blocks = ("input_blocks.", "middle_block.", "output_blocks.")
    for name, value in state.items():
        convolution = name.startswith(blocks) and value.ndim > 2
        biases = name.startswith(blocks) and name.removesuffix("bias") + "weight" in state
        halved = convolution or (biases and state[name.removesuffix("bias") + "weight"].ndim > 2)
        assert value.dtype == (half if halved else torch.float32), name
    assert all(value.dtype == torch.float32 for value in drawer.classifier.state_dict().values())
    found, exact = drawer.sample(ASKED), open_model(folder, sampler(steps=2), "cpu").sample(ASKED)
    assert found.dtype == torch.float32
    assert 0 < (found - exact).abs().mean() < 0.1


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (
            {"scheduler": "DDIMScheduler"},
            r"sampler\.scheduler: ADM does not take it; it takes steps, guidance",
        ),
        ({"height": 64}, r"sampler\.height: ADM does not take it"),
        ({"negative_prompt": "ugly"}, r"sampler\.negative_prompt: ADM does not take it"),
        ({"steps": 1}, r"sampler\.steps is 1: .* 2 to 1000"),
        ({"steps": 1001}, r"sampler\.steps is 1001"),
    ],
)
def test_what_adm_does_not_take_is_refused(asked, words, folder):
    with pytest.raises(AssayError, match=words):
        open_model(folder, sampler(**asked), "cpu")


def test_a_request_must_name_a_class_that_there_is(folder):
    drawer = open_model(folder, sampler(), "cpu")
    with pytest.raises(AssayError, match="ADM needs a class_index for every image"):
        drawer.draw([*ASKED, Request(1)])
    with pytest.raises(AssayError, match="class_index 10: ADM knows classes 0 to 9"):
        drawer.draw([*ASKED, Request(1, class_index=10)])


def test_another_architecture_is_named_when_fitting(weights, tmp_path):
    with pytest.raises(AssayError, match=r"ADM's diffusion model.*: missing label_emb\.weight$"):
        pointer(tmp_path / "a", options(weights, checkpoint=weights["untold"]))
    with pytest.raises(AssayError, match=r"ADM's classifier.*unexpected label_emb\.weight"):
        pointer(tmp_path / "b", options(weights, classifier=weights["checkpoint"]))
    with pytest.raises(AssayError, match=r"missing input_blocks\.4\.0\.in_layers\.0\.weight"):
        pointer(tmp_path / "c", options(weights, shape={**SMALL, "depth": 2}))
    with pytest.raises(AssayError, match=r"time_embed\.0\.weight is \(128, 32\), not \(256, 64\)"):
        pointer(tmp_path / "d", options(weights, shape={**SMALL, "channels": 64}))


def test_damaged_and_dangerous_files_are_refused(weights, tmp_path):
    whole = Path(weights["checkpoint"]).read_bytes()
    (tmp_path / "short.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(AssayError, match=r"short\.pt cannot be read, perhaps a download that was cut short"):
        pointer(tmp_path / "a", options(weights, checkpoint=str(tmp_path / "short.pt")))
    torch.save({"model": print}, tmp_path / "code.pt")
    with pytest.raises(AssayError, match="could run code"):
        pointer(tmp_path / "b", options(weights, checkpoint=str(tmp_path / "code.pt")))
    with pytest.raises(AssayError, match=r"classifier: .*nowhere\.pt is not there"):
        pointer(tmp_path / "c", options(weights, classifier=str(tmp_path / "nowhere.pt")))
    (tmp_path / "kept.pt").write_bytes(whole)
    folder = pointer(tmp_path / "d", options(weights, checkpoint=str(tmp_path / "kept.pt")))
    (tmp_path / "kept.pt").write_bytes(whole + b" ")
    with pytest.raises(AssayError, match=r"kept\.pt has changed since the model was fitted"):
        open_model(folder, sampler(), "cpu")
    (tmp_path / "kept.pt").unlink()
    with pytest.raises(AssayError, match=r"kept\.pt is gone"):
        open_model(folder, sampler(), "cpu")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"shape": {**SMALL, "channel": 32}}, "shape.channel is not a parameter; did you mean 'channels'"),
        ({"shape": {**SMALL, "channels": 48}}, "shape.channels is 48"),
        ({"shape": {**SMALL, "multipliers": [1, 1.5]}}, r"32 channels times 1\.5 are no multiple of 32"),
        ({"shape": {**SMALL, "head_channels": 24}}, "divided into attention heads by 24"),
        ({"shape": {**SMALL, "side": 8, "multipliers": [1] * 5}}, "side 8 cannot be halved 4 times"),
        (
            {"classifier_shape": {**SMALL, "side": 32}},
            r"classifier_shape\.side must be shape\.side, 16, not 32",
        ),
        ({"schedule": "quadratic"}, "schedule is 'quadratic'"),
    ],
)
def test_options_that_build_no_model_are_refused(changes, words, weights, tmp_path):
    with pytest.raises(AssayError, match=words):
        pointer(tmp_path / "out", options(weights, **changes))
