"""GLIDE: the numbers of the public implementation, its tokens, its checkpoints' layout.

Expected numbers come from github.com/openai/glide-text2im at 69b530740eb6cef69442d6180579ef5ba9ef063e. Its
`Text2ImUNet` and `SuperResText2ImUNet` were built in the small shape below, with use_scale_shift_norm,
resblock_updown, xf_final_ln and xf_padding, and given the weights of tests/random_weights.py, which follow
from the parameters' names; inputs come from there too. Its `Encoder` got the 256 bytes, the first 40 merges
of its vocab.bpe (MERGES below) and an end token. Pictures come from the loops of its text2im notebook (7
steps, guidance 3, then `ddim_sample_loop` with 5 or 27 steps and a temperature of 0.997), with `torch.randn`
and `torch.randn_like` replaced, for each picture, by a CPU generator with the seed 11 or 12; the upsampler's
noise comes from the same generator, after what the small picture took. All in float32 on one CPU thread.
"""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from assets.errors import AssayError
from assets.params import Sampler
from models.generators import Request, fit, open_model
from models.generators.nets.bytepair import BytePairs
from models.generators.nets.gaussian import Noise
from models.generators.nets.glide_text import TextUNet
from models.generators.options import GlideOptions
from tests.random_weights import layout, normal, probe, random_state, shapes_of

MERGES = [
    "Ġ t", "Ġ a", "h e", "i n", "r e", "o n", "Ġt he", "e r", "Ġ s", "a t", "Ġ w", "Ġ o", "e n", "Ġ c", "i t",
    "i s", "a n", "o r", "e s", "Ġ b", "e d", "Ġ f", "in g", "Ġ p", "o u", "Ġa n", "a l", "a r", "Ġt o",
    "Ġ m", "Ġo f", "Ġ in", "Ġ d", "Ġ h", "Ġan d", "i c", "a s", "l e", "Ġt h", "i on",
]  # fmt: skip
LEVELS = {"channels": 32, "multipliers": [1, 2], "depth": 1, "attention": [8], "head_channels": 16}
SMALL = {
    "context": 12,
    "text_width": 32,
    "text_depth": 2,
    "text_heads": 4,
    "base_shape": {"side": 16, **LEVELS},
    "upsampler_shape": {"side": 32, **LEVELS},
    "upsampler_steps": 5,
}
PROMPTS = ["a red hat", "An Oil painting of the sea at night"]
ASKED = [Request(11, PROMPTS[0]), Request(12, PROMPTS[1])]
STEPS = torch.tensor([3, 777])


def network(inputs: int = 3, **changes) -> TextUNet:
    chosen = GlideOptions(base="-", upsampler="-", merges="-", **{**SMALL, **changes})
    shape = chosen.base_shape if inputs == 3 else chosen.upsampler_shape
    return TextUNet(shape, chosen, vocabulary=256 + len(MERGES) + 1, inputs=inputs)


def filled(model):
    model.load_state_dict(random_state(shapes_of(model)))
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> dict[str, str]:
    """Small checkpoints in the real layout, and the merges."""
    folder = tmp_path_factory.mktemp("weights")
    paths = {"base": folder / "base.pt", "upsampler": folder / "upsample.pt", "merges": folder / "vocab.bpe"}
    torch.save(random_state(shapes_of(network())), paths["base"])
    torch.save(random_state(shapes_of(network(inputs=6))), paths["upsampler"])
    paths["merges"].write_text("\n".join(["#version: 0.2", *MERGES, ""]), "utf-8")
    return {role: str(path) for role, path in paths.items()}


@pytest.fixture(scope="module")
def pairs(weights) -> BytePairs:
    return BytePairs(Path(weights["merges"]))


def pointer(out: Path, weights: dict[str, str], **changes) -> Path:
    fit("glide", np.zeros((0, 8, 8, 3), np.uint8), out, {**weights, **SMALL, **changes}, seed=0, device="cpu")
    return out


@pytest.fixture(scope="module")
def folder(weights, tmp_path_factory) -> Path:
    return pointer(tmp_path_factory.mktemp("fit") / "glide", weights)


def sampler(**changes) -> Sampler:
    return Sampler(**{"steps": 7, "batch": 2, **changes})


def images(drawn) -> list[np.ndarray]:
    return [one.pixels for one in drawn]


def tokens(pairs: BytePairs, prompts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
    encoded = [pairs.encode(prompt, SMALL["context"]) for prompt in prompts]
    return torch.tensor([one for one, _ in encoded]), torch.tensor([own for _, own in encoded])


def test_the_text_is_read_as_the_public_code_reads_it(pairs):
    summary, states = filled(network()).read(*tokens(pairs, [*PROMPTS, ""]))
    assert probe(summary) == pytest.approx(
        [-0.8033156, 0.758208, -0.1582305, -0.4394981, 1.053713, 0.6676593, -0.6732222, -2.021882,
         -0.05680556, 1.054776],
        abs=1e-5,
    )  # fmt: skip
    assert probe(states) == pytest.approx(
        [-1.555659, -0.1377627, 0.3649115, 0.1884931, 1.804561, 0.009687353, -0.954064, -0.6350815,
         -0.01436016, 1.083185],
        abs=1e-5,
    )  # fmt: skip


def test_both_unets_are_the_public_ones(pairs):
    base, upsampler = filled(network()), filled(network(inputs=6))
    small, large = normal("x", 2, 3, 16, 16), normal("large", 2, 3, 32, 32)
    assert probe(base(small, STEPS, *base.read(*tokens(pairs, PROMPTS)))) == pytest.approx(
        [-0.4465861, -0.7074367, 0.136467, -1.05281, -0.7733389, 0.4331566, -0.5152823, -0.5086447,
         -0.1945257, 0.5753438],
        abs=2e-5,
    )  # fmt: skip
    seen = torch.cat([large, functional.interpolate(small, (32, 32), mode="bilinear")], dim=1)
    assert probe(upsampler(seen, STEPS, *upsampler.read(*tokens(pairs, PROMPTS)))) == pytest.approx(
        [0.1286838, -1.005856, 0.6021791, -0.4907134, 0.2672746, -0.504724, -1.527312, 0.4764492,
         -0.1935761, 0.6160388],
        abs=2e-5,
    )  # fmt: skip


def test_drawing_is_the_public_notebook(folder, weights, tmp_path):
    drawer = open_model(folder, sampler(), "cpu")
    noise = Noise([11, 12], "cpu")
    small = drawer.small(PROMPTS, noise)
    expected = {1: 0.351161, 235: -0.902354, 466: -0.473504, 694: -0.423147, 880: -0.336841, 1535: -0.18365}
    assert {place: small.flatten()[place].item() for place in expected} == pytest.approx(expected, abs=5e-4)
    large = drawer.upsampled(small, PROMPTS, noise)
    expected = {
        11: 0.827098,
        1035: -0.875556,
        1979: -0.741446,
        2651: -0.866714,
        3623: 0.496731,
        6138: 0.764395,
    }
    assert {place: large.flatten()[place].item() for place in expected} == pytest.approx(expected, abs=1e-3)
    pixels = [[0, 252, 235], [0, 255, 255], [255, 255, 255], [255, 0, 78]]
    assert np.abs(images(drawer.draw(ASKED))[1][8, 8:12].astype(int) - pixels).max() <= 1

    usual = pointer(tmp_path / "usual", weights, upsampler_steps="fast27")
    drawn = images(open_model(usual, sampler(), "cpu").draw(ASKED))
    pixels = [[0, 255, 241], [0, 255, 255], [255, 255, 255], [155, 0, 163]]
    assert np.abs(drawn[1][8, 8:12].astype(int) - pixels).max() <= 1


def test_full_size_layouts_are_the_public_ones():
    """Counts and hash of names and shapes of the models that the public defaults build."""
    defaults = GlideOptions(base="base.pt", upsampler="upsample.pt", merges="merges.txt")
    with torch.device("meta"):
        base = shapes_of(TextUNet(defaults.base_shape, defaults, vocabulary=50_257))
        upsampler = shapes_of(TextUNet(defaults.upsampler_shape, defaults, vocabulary=50_257, inputs=6))
    names, numbers, sha256 = layout(base)
    assert (names, numbers, sha256[:16]) == (783, 385_030_726, "5831aceada817bc8")
    names, numbers, sha256 = layout(upsampler)
    assert (names, numbers, sha256[:16]) == (797, 398_361_286, "6508b479e01fb271")
    assert base["token_embedding.weight"] == (50_257, 512)
    assert base["padding_embedding"] == base["positional_embedding"] == (128, 512)
    assert base["transformer.resblocks.15.attn.c_qkv.weight"] == (1536, 512)
    assert base["transformer_proj.weight"] == (768, 512)
    assert base["input_blocks.5.1.encoder_kv.weight"] == (768, 512, 1)
    assert upsampler["input_blocks.0.0.weight"] == (192, 6, 3, 3)


def test_text_is_cut_into_the_public_tokens(pairs, weights, tmp_path):
    """Tokens of the public encoder with this vocabulary."""
    assert (pairs.count, pairs.end) == (297, 296)
    assert pairs.encode("The Hat", 6) == ([83, 258, 289, 265, 296, 296], [True] * 4 + [False] * 2)
    assert pairs.encode("", 3) == ([296] * 3, [False] * 3)
    assert pairs.encode("it's 12 é!", 12)[0] == [270, 6, 82, 220, 16, 17, 220, 127, 102, 0, 296, 296]
    assert pairs.encode("<|endoftext|>", 3)[0] == [27, 91, 268]
    assert pairs.encode("hat " * 9, 4) == ([71, 265, 289, 265], [True] * 4)
    packed = tmp_path / "merges.txt"
    packed.write_bytes(gzip.compress(Path(weights["merges"]).read_bytes()))
    assert BytePairs(packed).encode(PROMPTS[1], 12) == pairs.encode(PROMPTS[1], 12)


def test_an_image_depends_on_its_request_alone(folder):
    drawer = open_model(folder, sampler(), "cpu")
    asked = [Request(3, "a cat"), Request(1, "the sea and a dog"), Request(4, "")]
    three = images(drawer.draw(asked))
    assert all(image.shape == (32, 32, 3) and image.dtype == np.uint8 for image in three)
    assert len({image.tobytes() for image in three}) == 3
    assert np.array_equal(images(drawer.draw(asked[1:2]))[0], three[1])
    torch.rand(3)
    assert all(map(np.array_equal, images(drawer.draw(asked[::-1])), three[::-1]))
    (other,) = images(drawer.draw([asked[0]._replace(prompt="a mug")]))
    assert not np.array_equal(other, three[0])
    assert drawer.draw([]) == []


@pytest.mark.parametrize("changes", [{"guidance": 9.0}, {"steps": 8}])
def test_what_is_asked_changes_the_image(changes, folder):
    usual = images(open_model(folder, sampler(), "cpu").draw(ASKED[:1]))
    assert not np.array_equal(images(open_model(folder, sampler(**changes), "cpu").draw(ASKED[:1])), usual)


def test_a_fresh_process_draws_the_same(folder):
    code = (
        "import sys; from pathlib import Path; from assets.params import Sampler\n"
        "from models.generators import Request, open_model\n"
        "drawer = open_model(Path(sys.argv[1]), Sampler(steps=7, batch=2), 'cpu')\n"
        "print(drawer.draw([Request(11, 'a red hat')])[0].pixels.tobytes().hex())"
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
    assert {role: one["path"] for role, one in record["checkpoints"].items()} == weights
    assert (record["steps"], record["guidance"], record["height"]) == (7, 3.0, 32)
    assert (record["options"]["upsampler_steps"], record["options"]["temperature"]) == (5, 0.997)
    assert record["safety_checker"] is False and record["watermarker"] is False
    assert open_model(folder, Sampler(), "cpu").record["steps"] == 100


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_half_precision_trunk_keeps_the_rest_in_float32(dtype, folder):
    drawer = open_model(folder, sampler(dtype=dtype, steps=2), "cpu")
    halved = {
        name for name, value in drawer.base.state_dict().items() if value.dtype == getattr(torch, dtype)
    }
    assert {
        "token_embedding.weight",
        "transformer.resblocks.0.mlp.c_fc.bias",
        "transformer_proj.weight",
        "middle_block.1.encoder_kv.weight",
    } <= halved
    assert not [name for name in halved if "norm" in name or "ln_" in name or "emb_layers" in name]
    assert not halved & {"final_ln.weight", "positional_embedding", "time_embed.0.weight", "out.2.weight"}
    noise = Noise([11, 12], "cpu")
    found = drawer.small(PROMPTS, noise)
    exact = open_model(folder, sampler(steps=2), "cpu").small(PROMPTS, Noise([11, 12], "cpu"))
    assert found.dtype == torch.float32
    assert 0 < (found - exact).abs().mean() < 0.2
    assert drawer.upsampled(found, PROMPTS, noise).isfinite().all()


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (
            {"scheduler": "DDIMScheduler"},
            r"sampler\.scheduler: GLIDE does not take it; it takes steps, guidance",
        ),
        ({"width": 64}, r"sampler\.width: GLIDE does not take it"),
        ({"negative_prompt": "ugly"}, r"sampler\.negative_prompt: GLIDE does not take it"),
        ({"steps": 2000}, r"sampler\.steps is 2000: .* 2 to 1000"),
    ],
)
def test_what_glide_does_not_take_is_refused(asked, words, folder):
    with pytest.raises(AssayError, match=words):
        open_model(folder, sampler(**asked), "cpu")


def test_a_request_must_have_a_prompt(folder):
    with pytest.raises(AssayError, match="GLIDE needs a prompt for every image"):
        open_model(folder, sampler(), "cpu").draw([*ASKED, Request(1, class_index=3)])
    with pytest.raises(AssayError, match="GLIDE takes no negative prompt"):
        open_model(folder, sampler(), "cpu").draw([*ASKED, Request(1, "a hat", negative_prompt="ugly")])


def test_another_architecture_is_named_when_fitting(weights, tmp_path):
    with pytest.raises(
        AssayError, match=r"GLIDE's base model.*input_blocks\.0\.0\.weight is \(32, 6, 3, 3\), not"
    ):
        pointer(tmp_path / "a", {**weights, "base": weights["upsampler"]})
    with pytest.raises(
        AssayError, match=r"unexpected transformer\.resblocks\.1\.attn\.c_qkv\.weight \(and 11 more"
    ):
        pointer(tmp_path / "b", weights, text_depth=1)
    merges = tmp_path / "fewer.txt"
    merges.write_text("\n".join(MERGES[:-1]), "utf-8")
    with pytest.raises(AssayError, match=r"token_embedding\.weight is \(297, 32\), not \(296, 32\)"):
        pointer(tmp_path / "c", {**weights, "merges": str(merges)})


def test_damaged_and_dangerous_files_are_refused(weights, tmp_path):
    whole = Path(weights["upsampler"]).read_bytes()
    (tmp_path / "short.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(AssayError, match=r"short\.pt cannot be read, perhaps a download that was cut short"):
        pointer(tmp_path / "a", {**weights, "upsampler": str(tmp_path / "short.pt")})
    torch.save({"model": print}, tmp_path / "code.pt")
    with pytest.raises(AssayError, match="could run code"):
        pointer(tmp_path / "b", {**weights, "base": str(tmp_path / "code.pt")})
    with pytest.raises(AssayError, match=r"merges: .*nowhere\.txt is not there"):
        pointer(tmp_path / "c", {**weights, "merges": str(tmp_path / "nowhere.txt")})


@pytest.mark.parametrize("role", ["base", "upsampler", "merges"])
def test_a_changed_file_is_refused(role, weights, tmp_path):
    kept = tmp_path / "kept"
    kept.write_bytes(Path(weights[role]).read_bytes())
    folder = pointer(tmp_path / "glide", {**weights, role: str(kept)})
    kept.write_bytes(kept.read_bytes() + b"q z\n")
    with pytest.raises(AssayError, match="kept has changed since the model was fitted"):
        open_model(folder, sampler(), "cpu")
    kept.unlink()
    with pytest.raises(AssayError, match="kept is gone"):
        open_model(folder, sampler(), "cpu")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"#version: 0.2\na b\na b c\n", r"line 3: 'a b c' is no merge"),
        (b"a b\n\n", "line 2: '' is no merge"),
        (b'{"!": 0, "a": 1}', "line 1: .* is no merge"),
        (b"\x1f\x8b\x08\x00broken", "cannot be read as a list of byte-pair merges"),
        (b"\xff\xfe\x00", "cannot be read as a list of byte-pair merges"),
        ("a 你\n".encode(), "no list of byte-pair merges"),
    ],
)
def test_a_file_that_is_no_list_of_merges_is_refused(text, words, tmp_path):
    path = tmp_path / "merges.txt"
    path.write_bytes(text)
    with pytest.raises(AssayError, match=words):
        BytePairs(path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"text_heads": 5}, "text_width 32 cannot be divided by text_heads 5"),
        ({"upsampler_steps": "fast28"}, "upsampler_steps"),
        ({"upsampler_steps": 1}, "upsampler_steps"),
        ({"temprature": 1.0}, "temprature is not a parameter; did you mean 'temperature'"),
        ({"base_shape": {**LEVELS, "side": 12}}, r"base_shape\.side is 12"),
    ],
)
def test_options_that_build_no_model_are_refused(changes, words, weights, tmp_path):
    with pytest.raises(AssayError, match=words):
        pointer(tmp_path / "out", weights, **changes)
