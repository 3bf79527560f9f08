"""VQ-Diffusion, ours and diffusers': the numbers of its authors' code, its layout, errors that help."""

import json
import shutil
import string
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import Transformer2DModel, VQDiffusionPipeline, VQDiffusionScheduler, VQModel
from diffusers.pipelines.deprecated.vq_diffusion.pipeline_vq_diffusion import (
    LearnedClassifierFreeSamplingEmbeddings,
)
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from assets.errors import AssayError
from assets.params import Sampler
from models.generators import Drawn, Request, fit, open_model
from models.generators.nets.token_diffusion import LEAST, Schedule, drawn, earlier_chances, guided, truncated
from models.generators.nets.vqgan_decoder import CodeDecoder, first_of_each
from models.generators.options import VqdiffusionOptions
from models.generators.vqdiffusion import DECODER, Diffusion, _built
from tests.conftest import REPO
from tests.released_weights import filled, layout, shapes_of

TINY = {
    "classes": 6, "timesteps": 25, "tokens": 20, "side": 4, "positions": 8, "width": 32, "depth": 2,
    "heads": 4, "expansion": 2, "codebook": 32, "embed": 8, "latent": 16, "channels": 32,
    "multipliers": [1, 2],
    "blocks": 1, "attention": [4],
}  # fmt: skip
CODES = [
    5, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19,
    12, 13, 14, 15, 16, 17, 18, 19, 0, 1, 2, 0,
]  # fmt: skip
SEEDS, CLASSES = (21, 22, 23), (0, 5, 2)
LEARNT = {"classes": 1000, "empty_class": True}
"""Options of a checkpoint that knows what no class is; the authors' code looks for it at index 1000."""

# Made with github.com/microsoft/VQ-Diffusion at commit d1d39487: its C_DALLE around its DiffusionTransformer,
# Condition2ImageTransformer and TamingVQVAE, configured as configs/imagenet.yaml and
# vqgan_imagenet_f16_16384.yaml but with the sizes of TINY (spatial_size [8, 8], class_number 6 or 1001,
# decoder resolution 8) and the code list CODES, on a CPU, with the weights of tests/released_weights.py by
# its own names. The present tokens are torch.randint(0, 21, (3, 16)) with seed 5, at step 12 of 0..24.
# Largest differences to ours: logits 1.1e-6, log-probabilities of clean codes 1.4e-6, posterior 3.8e-6,
# truncation 1.4e-6, decoder 2.3e-6 (of pictures in [-1, 1]); 0 of 432 tokens and no pixel by more than 1 in
# nine loops of 25 or 100 steps (with guidance 1, 1.5 and 3; with and without a learnt empty class).
LOGITS = [  # transformer(tokens, CLASSES, 12)[:, ::7, ::5]
    [0.120205, -1.409507, 0.03322, 0.794689, -0.159143, 0.343226,
     -1.4291, -1.182767, -1.027037, -0.546586, 0.945618, 1.134761],
    [-0.380034, -1.024132, 0.118986, 0.759816, 0.067038, -0.997723,
     -0.445829, -1.487283, -0.5056, -1.078512, 1.209863, 0.348813],
    [-0.525614, -1.440006, 0.262796, 0.51397, -0.154454, 0.027161,
     -0.556755, -0.750778, -0.456917, -0.679435, 1.951898, 0.339661],
]  # fmt: skip
LOGITS_MEAN, LOGITS_DEVIATION = -0.176738, 0.999242
# q_posterior(predict_start(tokens), tokens with every third one masked, 12)[:, ::5, ::5]
POSTERIOR = [
    [-5.784166, -7.322525, -5.603313, -5.210699, -6.27388, -6.663439, -7.160202,
     -6.946885, -7.194757, -8.299162, -7.844471, -6.899894, -5.473505, -4.435081,
     -5.446087, -7.342464, -0.08701, -53.093769, -53.057632, -0.08701],
    [-6.184403, -6.668425, -5.768003, -5.776081, -6.987674, -6.829136, -7.166996,
     -7.200798, -6.588527, -6.567797, -8.566196, -7.090911, -6.023793, -0.073675,
     -5.250134, -7.853195, -0.08701, -53.126213, -53.089226, -0.08701],
    [-6.203312, -6.923409, -5.757618, -5.849778, -7.097867, -0.077768, -8.054548,
     -7.550617, -6.755375, -5.528173, -6.909557, -6.58706, -6.203182, -5.758711,
     -7.48505, -8.049049, -0.08701, -53.074165, -53.056561, -0.08701],
]  # fmt: skip
# predict_start_with_truncation(..., "top0.86r"): the codes that it keeps of each picture, and their sum.
KEPT, KEPT_SUMS = [178, 179, 177], [13.99586, 14.00408, 13.98379]
# content_codec.decode(torch.randint(0, 20, (3, 16)) with seed 6) / 255 * 2 - 1, at [:, 1::4, 2::5].
PICTURES = [
    [1.0, -0.330963, 0.568859, -0.230739, -1.0, -1.0,
     -0.209053, -1.0, -0.591291, -0.342472, -1.0, -0.168501],
    [0.929742, 0.02284, 0.590626, -0.833639, -1.0, -1.0,
     -0.590205, -1.0, 0.212116, -0.116064, -0.459789, -0.069346],
    [0.531174, 0.012457, -0.29852, -0.024119, -0.770698, -1.0,
     -1.0, -1.0, -0.162177, 0.039442, 0.792458, -0.3337],
]  # fmt: skip
# generate_content(CLASSES, sample_type="top{truncation}r") with guidance_scale, where torch.rand_like gave
# each image torch.rand(21, 16) of its own CPU generator with the seeds SEEDS: the tokens that it decodes, and
# the sum of each picture as uint8.
LOOPS = {
    "plain": ({}, 0.86, 1.0, [
        [18, 7, 0, 11, 9, 15, 6, 18, 7, 17, 9, 18, 15, 18, 11, 14],
        [18, 4, 4, 18, 13, 5, 8, 14, 4, 10, 9, 18, 2, 4, 11, 18],
        [1, 18, 14, 18, 15, 13, 2, 19, 13, 18, 4, 14, 19, 5, 2, 13],
    ], [19778, 20376, 19656]),
    "guided": ({}, 0.94, 1.5, [
        [18, 7, 0, 11, 9, 15, 3, 18, 7, 17, 9, 18, 15, 18, 11, 14],
        [18, 4, 8, 11, 13, 5, 11, 14, 1, 10, 9, 18, 0, 4, 2, 18],
        [1, 18, 14, 1, 15, 13, 10, 19, 12, 18, 4, 14, 19, 5, 2, 13],
    ], [19827, 20445, 19538]),
    "learnt": (LEARNT, 0.94, 1.5, [
        [18, 7, 0, 11, 9, 15, 6, 18, 7, 18, 9, 18, 15, 18, 11, 18],
        [18, 4, 8, 11, 4, 0, 11, 14, 1, 10, 9, 18, 0, 3, 2, 10],
        [1, 18, 14, 1, 15, 13, 2, 19, 13, 18, 18, 14, 19, 5, 2, 13],
    ], [19833, 19962, 19820]),
    "hundred": ({"timesteps": 100}, 0.86, 1.0, [
        [19, 4, 17, 9, 9, 8, 13, 15, 4, 18, 1, 13, 19, 5, 18, 2],
        [17, 11, 2, 4, 11, 4, 13, 14, 4, 18, 4, 18, 10, 18, 18, 10],
        [14, 1, 19, 4, 9, 0, 13, 3, 13, 8, 19, 4, 10, 4, 4, 16],
    ], [20214, 20432, 20033]),
}  # fmt: skip


def requests() -> list[Request]:
    return [Request(seed, class_index=index) for seed, index in zip(SEEDS, CLASSES, strict=True)]


def pixels(found: list[Drawn]) -> list[np.ndarray]:
    pictures = [one.pixels for one in found if one.pixels is not None]
    assert len(pictures) == len(found)
    return pictures


def numbers(seed: int, below: int) -> Tensor:
    return torch.randint(0, below, (3, 16), generator=torch.Generator().manual_seed(seed))


def weights(**changes) -> dict[str, Tensor]:
    """All of a checkpoint's model, by the authors' names, besides the encoder."""
    options = VqdiffusionOptions(**{"checkpoint": "-", "codes": "-", **TINY, **changes})
    diffusion, decoder = _built(options)
    shapes = {f"transformer.{name}": shape for name, shape in shapes_of(diffusion).items()}
    shapes |= {f"{DECODER}{name}": shape for name, shape in shapes_of(decoder).items()}
    tables = Schedule(options.timesteps, options.tokens).tables()
    return {**filled(shapes), **{f"transformer.{name}": table for name, table in tables.items()}}


def training_checkpoint(path: Path, state: dict[str, Tensor]) -> Path:
    """A file as the authors' training writes it: the model, averages of the transformer, the optimizer."""
    average = {name.removeprefix("transformer."): state[name] for name in state if name.startswith("transf")}
    history = {"transformer.Lt_history": torch.ones(9), "transformer.Lt_count": torch.ones(9)}
    last = {name: tensor * 0.5 if ".blocks." in name else tensor for name, tensor in state.items()}
    encoder = {"content_codec.enc.encoder.conv_in.weight": torch.ones(4, 3, 3, 3)}
    torch.save(
        {
            "last_epoch": 99,
            "last_iter": 12345,
            "model": {**last, **history, **encoder},
            "ema": {**average, **{name.removeprefix("transformer."): history[name] for name in history}},
            "clip_grad_norm": {"last_epoch": 0},
            "optimizer_and_scheduler": {"none": {"optimizer": {"module": {"param_groups": [{"lr": 1e-4}]}}}},
        },
        path,
    )
    return path


@pytest.fixture(scope="session")
def released(tmp_path_factory) -> Path:
    """A folder of tiny weights in the released layout: plain.pth, learnt.pth, hundred.pth and codes.pt."""
    folder = tmp_path_factory.mktemp("weights")
    training_checkpoint(folder / "plain.pth", weights())
    training_checkpoint(folder / "learnt.pth", weights(**LEARNT))
    training_checkpoint(folder / "hundred.pth", weights(timesteps=100))
    torch.save(torch.tensor(CODES), folder / "codes.pt")
    return folder


def fitted(released: Path, out: Path, name: str = "plain.pth", **changes) -> Path:
    options = {"checkpoint": str(released / name), "codes": str(released / "codes.pt"), **TINY, **changes}
    fit("vqdiffusion", np.zeros((0, 1, 1, 3), np.uint8), out, options, seed=0, device="cpu")
    return out


@pytest.fixture(scope="session")
def folder(released, tmp_path_factory) -> Path:
    return fitted(released, tmp_path_factory.mktemp("fit") / "vqdm")


@pytest.fixture(scope="session")
def drawer(folder):
    return open_model(folder, Sampler(batch=3), "cpu")


@torch.no_grad()
def test_logits_are_those_of_the_authors_code(drawer):
    logits = drawer.diffusion.transformer(numbers(5, 21), 12, torch.tensor(CLASSES))
    assert logits.shape == (3, 20, 16)
    np.testing.assert_allclose(logits[:, ::7, ::5].flatten(1), LOGITS, atol=2e-5)
    assert abs(logits.mean().item() - LOGITS_MEAN) < 2e-5
    assert abs(logits.std().item() - LOGITS_DEVIATION) < 2e-5


@torch.no_grad()
def test_posterior_and_truncation_are_those_of_the_authors_code(drawer):
    present = numbers(5, 21)
    clean = drawer.diffusion(present, 12, torch.tensor(CLASSES))
    present[:, ::3] = 20
    chances = earlier_chances(Schedule(25, 20), clean, present, 13, 12)
    assert chances.shape == (3, 21, 16)
    expected = np.array(POSTERIOR)
    expected[expected < -50] = (
        LEAST  # that a code turns back into a mask: e^-53 there, e^-70 here, never drawn
    )
    np.testing.assert_allclose(chances[:, ::5, ::5].flatten(1), expected, atol=2e-5)
    kept = truncated(clean, 0.86)
    assert (kept > LEAST).sum((1, 2)).tolist() == KEPT
    np.testing.assert_allclose(kept.exp().sum((1, 2)), KEPT_SUMS, atol=5e-5)


@torch.no_grad()
def test_decoded_pictures_are_those_of_the_authors_code(drawer):
    pictures = drawer.decoder(drawer.entries[numbers(6, 20)].unflatten(1, (4, 4))).clamp(-1, 1)
    assert pictures.shape == (3, 3, 8, 8)
    np.testing.assert_allclose(pictures[:, :, 1::4, 2::5].flatten(1), PICTURES, atol=2e-5)
    assert abs(pictures.mean().item() + 0.171653) < 2e-5 and abs(pictures.std().item() - 0.577036) < 2e-5


@pytest.mark.parametrize("name", LOOPS)
def test_whole_loops_end_at_the_same_tokens_as_the_authors_code(name, released, tmp_path):
    changes, truncation, guidance, tokens, sums = LOOPS[name]
    weights = f"{name}.pth" if changes else "plain.pth"
    folder = fitted(released, tmp_path / "fit", weights, truncation=truncation, **changes)
    drawer = open_model(folder, Sampler(batch=3, guidance=guidance), "cpu")
    with torch.no_grad():
        assert drawer._tokens(requests()).tolist() == tokens
    found = [int(image.sum(dtype=np.int64)) for image in pixels(drawer.draw(requests()))]
    np.testing.assert_allclose(found, sums, atol=3)  # a last bit may tip a value over to the next one


def test_the_schedule_is_that_of_the_authors_code():
    tables = Schedule(100, 974).tables()
    assert all(len(table) == (101 if "cumprod" in name else 100) for name, table in tables.items())
    expected = {  # its buffers at [0, 49, 98, 99] with diffusion_step=100 and 974 codes
        "log_at": [-1e-05, -0.019802, -0.692702, -7.024038],
        "log_bt": [-20.696922, -23.965471, -17.489017, -16.103662],
        "log_ct": [-11.618286, -3.931845, -0.693642, -0.00099],
        "log_1_min_ct": [-9e-06, -0.019802, -0.692653, -6.918776],
        "log_cumprod_at": [-1e-05, -0.683098, -4.594248, -11.618286],
        "log_cumprod_bt": [-20.696922, -20.696922, -20.696922, -20.696922],
        "log_cumprod_ct": [-11.618286, -0.7033, -0.010162, -1e-05],
        "log_1_min_cumprod_ct": [-9e-06, -0.683096, -4.594149, -11.512925],
    }
    assert tables.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(tables[name][[0, 49, 98, 99]], values, atol=1e-6)


@pytest.mark.parametrize(("later", "earlier"), [(10, 9), (10, 6), (10, 0), (4, 1), (1, 0)])
def test_chances_are_those_of_the_matrices(later, earlier):
    """Bayes' rule with the transition matrices themselves, multiplied up, for one step and for several."""
    schedule, mask = Schedule(10, 4), 4

    def matrix(time: int) -> np.ndarray:
        keeps, turns, masked = schedule.between(time, time + 1)
        step = np.full((5, 5), turns) + keeps * np.eye(5)  # [from, to]
        step[:, mask], step[mask] = masked, np.eye(5)[mask]
        np.testing.assert_allclose(step.sum(1), 1)
        return step

    to_earlier = np.linalg.multi_dot([np.eye(5), np.eye(5), *map(matrix, range(earlier))])
    step = np.linalg.multi_dot([np.eye(5), np.eye(5), *map(matrix, range(earlier, later))])
    guess = np.random.default_rng(0).dirichlet(np.ones(4), 5)  # of one place with each token
    expected = np.zeros((5, 5))
    for token in range(5):
        for clean in range(4):
            joint = to_earlier[clean] * step[:, token]
            expected[token] += guess[token, clean] * joint / joint.sum()
    clean = torch.from_numpy(guess).float().log()[:, :, None]
    found = earlier_chances(schedule, clean, torch.arange(5)[:, None], later, earlier)
    np.testing.assert_allclose(found.exp()[:, :, 0], expected, atol=2e-5)


def test_steps_are_even_and_end_clean():
    schedule = Schedule(100, 4)
    assert schedule.times(100) == list(range(100, -1, -1))
    assert schedule.times(4) == [100, 75, 50, 25, 0]
    for steps in range(1, 101):
        times = schedule.times(steps)
        gaps = [later - earlier for later, earlier in pairwise(times)]
        assert (len(gaps), times[0], times[-1]) == (steps, 100, 0)
        assert max(gaps) - min(gaps) <= 1 and min(gaps) >= 1


def test_truncation_keeps_the_likeliest_up_to_the_share():
    chances = torch.tensor([0.1, 0.5, 0.15, 0.25]).log()[None, :, None]
    for share, kept in ((0.3, [1]), (0.6, [1, 3]), (0.8, [1, 2, 3]), (1.0, [0, 1, 2, 3])):
        found = truncated(chances, share)[0, :, 0]
        assert (found > LEAST).nonzero().flatten().tolist() == kept
        assert torch.equal(found[kept], chances[0, kept, 0])


def test_guidance_pushes_away_from_no_class():
    conditional, unconditional = torch.tensor([[0.5, 0.3, 0.2], [0.2, 0.3, 0.5]]).log()[:, None, :, None]
    assert torch.allclose(guided(conditional, unconditional, 1.0), conditional)
    expected = torch.tensor([0.5**2 / 0.2, 0.3**2 / 0.3, 0.2**2 / 0.5])
    found = guided(conditional, unconditional, 2.0).exp()[0, :, 0]
    assert torch.allclose(found, expected / expected.sum())


def test_tokens_are_drawn_as_often_as_their_chances_say():
    chances = torch.tensor([0.6, 0.1, 0.3]).log()[None, :, None].expand(1, 3, 20_000)
    found = drawn(chances, torch.rand(chances.shape, generator=torch.Generator().manual_seed(1)))
    shares = found.flatten().bincount() / 20_000
    np.testing.assert_allclose(shares, [0.6, 0.1, 0.3], atol=0.015)


def test_the_released_layout_is_that_of_the_authors_code():
    # Of its DiffusionTransformer as configs/imagenet.yaml has it, without Lt_history and Lt_count.
    with torch.device("meta"):
        diffusion = Diffusion(VqdiffusionOptions(checkpoint="-", codes="-"))
        learnt = Diffusion(VqdiffusionOptions(checkpoint="-", codes="-", empty_class=True))
        decoder = CodeDecoder(16384, 256, 256, 128, (1, 1, 2, 2, 4), 2, (16,), 16)
    shapes = shapes_of(diffusion)
    assert layout(shapes) == (
        447,
        518_026_482,
        "cd8353aeb56e0673f7fb85e823486e1f8a204965645087b14e29cd8954b77870",
    )
    assert sum(parameter.numel() for parameter in diffusion.parameters()) == 518_025_678
    assert shapes["log_cumprod_at"] == (101,) and shapes["log_at"] == (100,)
    assert shapes["transformer.content_emb.emb.weight"] == (975, 512)
    assert shapes["transformer.content_emb.height_emb.weight"] == (32, 512)
    assert shapes["transformer.blocks.23.ln1.emb.weight"] == (100, 512)
    assert shapes["transformer.blocks.23.ln2.emb.weight"] == (1000, 512)
    assert shapes["transformer.blocks.0.attn.proj.bias"] == (512,)
    assert shapes["transformer.blocks.0.mlp.conv1.weight"] == (2048, 512, 3, 3)
    assert shapes["transformer.to_logits.1.weight"] == (974, 512)
    # The same with class_number 1001, as its inference script sets it for imagenet_learnable.pth.
    assert layout(shapes_of(learnt)) == (
        447,
        518_038_770,
        "a23a0bb237643b331ef1e1ff45bdbd3eb552c1149250932a397531805909148d",
    )
    # Of its VQModel as vqgan_imagenet_f16_16384.yaml has it, without encoder, quant_conv and loss.
    shapes = shapes_of(decoder)
    assert layout(shapes) == (
        197,
        46_709_891,
        "ffb5c510b0859c7a176314751888162031326226a6c5b77e0f6aa61f5817c519",
    )
    assert shapes["quantize.embedding.weight"] == (16384, 256)
    assert shapes["post_quant_conv.weight"] == (256, 256, 1, 1)
    assert shapes["decoder.up.4.attn.2.proj_out.weight"] == (512, 512, 1, 1)
    assert shapes["decoder.up.3.block.0.nin_shortcut.bias"] == (256,)
    assert shapes["decoder.conv_out.weight"] == (3, 128, 3, 3)


def test_each_token_is_decoded_by_its_first_code():
    assert first_of_each(torch.tensor([2, 0, 2, 0, 1]), 4).tolist() == [1, 4, 0, 5]


def test_an_image_depends_on_its_request_alone(folder):
    drawer = open_model(folder, Sampler(batch=4, steps=5, guidance=2.0), "cpu")
    asked = [Request(seed, class_index=seed % 6) for seed in (3, 1, 4, 15, 9, 2, 6)]
    seven = pixels(drawer.draw(asked))
    assert all(image.shape == (8, 8, 3) and image.dtype == np.uint8 for image in seven)
    assert len({image.tobytes() for image in seven}) == 7
    (alone,) = pixels(drawer.draw([asked[4]]))
    assert np.array_equal(alone, seven[4])
    again = pixels(open_model(folder, Sampler(batch=4, steps=5, guidance=2.0), "cpu").draw(asked[::-1]))
    assert all(map(np.array_equal, again, seven[::-1]))
    (other,) = pixels(drawer.draw([Request(9, class_index=5)]))
    assert not np.array_equal(other, alone)
    assert drawer.draw([]) == []


def test_a_picture_that_is_no_number_has_a_reason(folder):
    drawer = open_model(folder, Sampler(batch=2, steps=5), "cpu")
    right = drawer.decoder
    drawer.decoder = lambda codes: right(codes) * torch.tensor([1.0, float("nan")])[:, None, None, None]
    good, bad = drawer.draw(requests()[:2])
    assert good.pixels is not None and good.reason is None
    assert bad.pixels is None and bad.reason == "not a number in it"


def test_a_fresh_process_draws_the_same(folder, drawer):
    program = (
        "import sys, numpy as np; from pathlib import Path; from assets.params import Sampler; "
        "from models.generators import Request, open_model; "
        "drawer = open_model(Path(sys.argv[1]), Sampler(batch=3), 'cpu'); "
        f"asked = [Request(s, class_index=c) for s, c in zip({SEEDS}, {CLASSES})][1:]; "
        "sys.stdout.buffer.write(b''.join(one.pixels.tobytes() for one in drawer.draw(asked)))"
    )
    ran = subprocess.run([sys.executable, "-c", program, folder], cwd=REPO, capture_output=True, check=True)
    assert ran.stdout == b"".join(image.tobytes() for image in pixels(drawer.draw(requests()))[1:])


def test_every_setting_changes_the_image(released, folder, tmp_path):
    (image,) = pixels(open_model(folder, Sampler(batch=1), "cpu").draw(requests()[:1]))
    for changes in ({"steps": 10}, {"guidance": 4.0}, {"dtype": "bfloat16"}):
        (other,) = pixels(open_model(folder, Sampler(batch=1, **changes), "cpu").draw(requests()[:1]))
        assert not np.array_equal(other, image), changes
    sharp = open_model(fitted(released, tmp_path / "fit", truncation=0.2), Sampler(batch=1), "cpu")
    assert not np.array_equal(pixels(sharp.draw(requests()[:1]))[0], image)


def test_the_record_is_json_and_says_what_was_used(folder, released):
    record = open_model(folder, Sampler(batch=2, steps=10), "cpu").record
    assert json.loads(json.dumps(record)) == record
    model = json.loads((folder / "model.json").read_text())
    assert (record["kind"], record["model_id"], record["sha256"]) == ("vqdiffusion", "vqdm", model["sha256"])
    assert set(record["checkpoints"]) == {"checkpoint", "codes"}
    assert record["checkpoints"]["codes"]["path"] == str(released / "codes.pt")
    assert all(len(entry["sha256"]) == 64 for entry in record["checkpoints"].values())
    assert record["options"]["truncation"] == 0.86 and record["options"]["depth"] == 2
    assert (record["steps"], record["guidance"]) == (10, 1.0)
    assert (record["dtype"], record["batch"]) == ("float32", 2)
    assert record["safety_checker"] is False and record["watermarker"] is False
    whole = open_model(folder, Sampler(guidance=1.5), "cpu").record
    assert (whole["steps"], whole["guidance"]) == (25, 1.5)


def test_a_decoder_of_its_own_file_draws_the_same(released, drawer, tmp_path):
    state = torch.load(released / "plain.pth", weights_only=True)["model"]
    parts = {name.removeprefix(DECODER): state[name] for name in state if name.startswith(DECODER)}
    others = {
        "encoder.conv_in.bias": torch.ones(4),
        "quant_conv.bias": torch.ones(4),
        "loss.a": torch.ones(1),
    }
    torch.save({"state_dict": {**parts, **others}, "epoch": 3}, tmp_path / "vqgan.pth")
    folder = fitted(released, tmp_path / "fit", decoder=str(tmp_path / "vqgan.pth"))
    assert set(json.loads((folder / "model.json").read_text())["checkpoints"]) == {
        "checkpoint", "codes", "decoder",
    }  # fmt: skip
    same = open_model(folder, Sampler(batch=3), "cpu").draw(requests())
    assert all(map(np.array_equal, pixels(same), pixels(drawer.draw(requests()))))
    torch.save({"state_dict": others}, tmp_path / "other.pth")
    with pytest.raises(
        AssayError, match=r"other\.pth is not a checkpoint of a VQGAN.*missing quantize\.embedding"
    ):
        fitted(released, tmp_path / "bad", decoder=str(tmp_path / "other.pth"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"depth": 3}, "not a checkpoint of VQ-Diffusion's class.*missing transformer.blocks.2.ln1"),
        ({"depth": 1}, "unexpected transformer.blocks.1.ln1"),
        ({"classes": 1000}, r"ln2.emb.weight is \(6, 32\), not \(1000, 32\)"),
        ({"empty_class": True}, r"ln2.emb.weight is \(6, 32\), not \(7, 32\)"),
        ({"codebook": 64}, r"quantize.embedding.weight is \(32, 8\), not \(64, 8\)"),
        (
            {"multipliers": [1, 1, 2]},
            "not a checkpoint of VQ-Diffusion's decoder.*missing decoder.up.1.block.0.nin",
        ),
        ({"timesteps": 26}, r"log_at is \(25,\), not \(26,\)"),
        ({"truncation": 1.5}, "truncation is 1.5"),
        ({"channels": 40}, "channels is 40"),
        ({"n_layer": 2}, "n_layer is not a parameter"),
    ],
)
def test_weights_that_are_not_of_these_options_are_refused(changes, words, released, tmp_path):
    with pytest.raises(AssayError, match=words):
        fitted(released, tmp_path / "out", **changes)


def test_other_schedules_and_code_lists_are_refused(released, tmp_path):
    state = weights()
    state["transformer.log_cumprod_ct"] = state["transformer.log_cumprod_ct"] * 1.1
    training_checkpoint(tmp_path / "other.pth", state)
    with pytest.raises(AssayError, match=r"other\.pth has another schedule of noise.*log_cumprod_ct"):
        fitted(tmp_path, tmp_path / "out", "other.pth", codes=str(released / "codes.pt"))
    for bad in (torch.tensor(CODES)[:30], torch.tensor(CODES) + 1, torch.tensor(CODES).float(), {"a": 1}):
        torch.save(bad, tmp_path / "codes.pt")
        with pytest.raises(AssayError, match=r"codes\.pt does not say which token each of 32 codes is"):
            fitted(released, tmp_path / "out", codes=str(tmp_path / "codes.pt"))
    torch.save(torch.tensor(CODES).clamp(max=18), tmp_path / "codes.pt")
    with pytest.raises(AssayError, match=r"codes\.pt has no code for token 19"):
        fitted(released, tmp_path / "out", codes=str(tmp_path / "codes.pt"))


def test_a_checkpoint_without_a_decoder_asks_for_one(released, tmp_path):
    state = {name: tensor for name, tensor in weights().items() if not name.startswith("content_codec.")}
    torch.save(state, tmp_path / "bare.pth")
    with pytest.raises(AssayError, match="no copy of the decoder; name the VQGAN's own file as 'decoder'"):
        fitted(tmp_path, tmp_path / "out", "bare.pth", codes=str(released / "codes.pt"))


def test_damaged_files_and_pickles_are_refused(released, tmp_path):
    codes = str(released / "codes.pt")
    for share in (0.7, 0.01):
        whole = (released / "plain.pth").read_bytes()
        (tmp_path / "cut.pth").write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(AssayError, match=r"cut\.pth (cannot be read|is refused)"):
            fitted(tmp_path, tmp_path / "out", "cut.pth", codes=codes)
    torch.save({"model": weights(), "args": Path("a")}, tmp_path / "code.pth")
    with pytest.raises(AssayError, match=r"code\.pth is refused: reading it could run code"):
        fitted(tmp_path, tmp_path / "out", "code.pth", codes=codes)
    torch.save({"model": {"epoch": 3}}, tmp_path / "none.pth")
    with pytest.raises(AssayError, match=r"none\.pth holds no plain state dict"):
        fitted(tmp_path, tmp_path / "out", "none.pth", codes=codes)
    with pytest.raises(AssayError, match=r"codes: .*gone\.pt is not there"):
        fitted(released, tmp_path / "out", codes=str(tmp_path / "gone.pt"))


def test_files_that_changed_since_the_fit_are_refused(released, tmp_path):
    for name in ("plain.pth", "codes.pt"):
        (tmp_path / name).write_bytes((released / name).read_bytes())
    folder = fitted(tmp_path, tmp_path / "fit")
    for name in ("codes.pt", "plain.pth"):
        before = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(before + b" ")
        with pytest.raises(AssayError, match=f"{name} has changed since the model was fitted"):
            open_model(folder, Sampler(), "cpu")
        (tmp_path / name).unlink()
        with pytest.raises(AssayError, match=f"{name} is gone"):
            open_model(folder, Sampler(), "cpu")
        (tmp_path / name).write_bytes(before)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (
            {"scheduler": "DDIMScheduler"},
            "sampler.scheduler: VQ-Diffusion does not take it; it takes steps, g",
        ),
        ({"width": 256}, "sampler.width: VQ-Diffusion does not take it"),
        ({"negative_prompt": "blurry"}, "sampler.negative_prompt: VQ-Diffusion does not take it"),
        ({"steps": 26}, "sampler.steps is 26: VQ-Diffusion has 1 to 25 steps"),
    ],
)
def test_settings_that_it_does_not_take_are_refused(asked, words, folder):
    with pytest.raises(AssayError, match=words):
        open_model(folder, Sampler(**asked), "cpu")


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (Request(1, "photo of tench"), "VQ-Diffusion needs a class_index for every image"),
        (Request(1, class_index=6), "class_index 6: VQ-Diffusion knows classes 0 to 5"),
        (Request(1, class_index=-1), "class_index -1: VQ-Diffusion knows"),
    ],
)
def test_an_image_needs_a_class_that_the_weights_know(request_, words, drawer):
    with pytest.raises(AssayError, match=words):
        drawer.draw([*requests(), request_])


@pytest.fixture(scope="session")
def by_text(tmp_path_factory) -> Path:
    """diffusers' VQDiffusionPipeline in the layout of microsoft/vq-diffusion-ithq, tiny, random weights."""
    folder = tmp_path_factory.mktemp("by_text")
    letters = [*string.ascii_lowercase, *(f"{letter}</w>" for letter in string.ascii_lowercase)]
    words = [*letters, "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: index for index, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        learnt = LearnedClassifierFreeSamplingEmbeddings(learnable=True, hidden_size=16, length=16)
        torch.nn.init.normal_(learnt.embeddings)
        pipeline = VQDiffusionPipeline(
            vqvae=VQModel(
                block_out_channels=(8,), latent_channels=4, norm_num_groups=4, num_vq_embeddings=12,
                vq_embed_dim=4,
            ),
            text_encoder=CLIPTextModel(
                CLIPTextConfig(
                    vocab_size=len(words), hidden_size=16, intermediate_size=16, num_hidden_layers=1,
                    num_attention_heads=2, max_position_embeddings=16, bos_token_id=len(words) - 2,
                    eos_token_id=len(words) - 1,
                )
            ),
            tokenizer=CLIPTokenizer(
                str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=16
            ),
            transformer=Transformer2DModel(
                num_attention_heads=2, attention_head_dim=8, num_layers=1, cross_attention_dim=16,
                sample_size=8, num_vector_embeds=13, num_embeds_ada_norm=100,
                activation_fn="geglu-approximate", attention_bias=True, norm_num_groups=4,
            ),
            scheduler=VQDiffusionScheduler(num_vec_classes=13),
            learned_classifier_free_sampling_embeddings=learnt,
        )  # fmt: skip
    pipeline.save_pretrained(folder / "tiny-ithq")
    return folder / "tiny-ithq"


def test_the_text_conditional_pipeline_runs_through_the_diffusers_adapter(by_text, tmp_path):
    fit("pretrained", np.zeros((0, 8, 8, 3), np.uint8), tmp_path / "m", {"id": str(by_text)}, 0, "cpu")
    drawer = open_model(tmp_path / "m", Sampler(steps=4, guidance=3.0, batch=2), "cpu")
    record = drawer.record
    assert (record["pipeline"], record["steps"], record["guidance"]) == ("VQDiffusionPipeline", 4, 3.0)
    assert json.loads(json.dumps(record)) == record
    asked = [Request(1, "a cat"), Request(2, "a dog"), Request(3, "a hat")]
    three = pixels(drawer.draw(asked))
    assert len({image.tobytes() for image in three}) == 3
    assert np.array_equal(pixels(drawer.draw([Request(2, "a dog")]))[0], three[1])
    assert not np.array_equal(pixels(drawer.draw([Request(2, "a mug")]))[0], three[1])


@pytest.mark.parametrize("library", ["diffusers", "vq_diffusion"])
def test_one_at_a_time_it_is_what_diffusers_draws(library, by_text, tmp_path):
    shutil.copytree(by_text, tmp_path / "ithq")
    index = json.loads((by_text / "model_index.json").read_text())
    index["learned_classifier_free_sampling_embeddings"][0] = library  # today's name, and that of the release
    (tmp_path / "ithq/model_index.json").write_text(json.dumps(index))
    options = {"id": str(tmp_path / "ithq"), "call": {"truncation_rate": 0.8}}
    fit("pretrained", np.zeros((0, 8, 8, 3), np.uint8), tmp_path / "m", options, 0, "cpu")
    drawer = open_model(tmp_path / "m", Sampler(steps=4, guidance=3.0, batch=1), "cpu")
    (image,) = pixels(drawer.draw([Request(1, "a cat")]))
    parts = dict(drawer.pipeline.components)
    parts["scheduler"] = VQDiffusionScheduler.from_pretrained(tmp_path / "ithq/scheduler")
    plain = VQDiffusionPipeline(**parts)
    plain.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(1)
    drawn = plain(
        "a cat", num_inference_steps=4, guidance_scale=3.0, truncation_rate=0.8, generator=generator
    )
    assert np.array_equal(image, np.asarray(drawn.images[0]))
