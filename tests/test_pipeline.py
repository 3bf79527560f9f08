"""Every family of diffusers pipelines through one adapter: its images, its refusals, its memory."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import diffusers
import numpy as np
import pytest
import torch

from assets.errors import AssayError
from assets.params import Sampler
from models.generators import Drawn, Request, fit, open_model
from models.generators.hub import asking
from models.generators.hub.asking import asked_of
from models.generators.pipeline import BLACK, BLOCKED, PipelineDrawer, drawn_from, lay_out_for_convolutions
from tests.tiny_pipelines import MAKERS, made, sd1

SMALL = {"flux": {"height": 16, "width": 16}, "ldm_text": {"height": 64, "width": 64, "guidance": 30.0}}
CALL: dict[str, dict[str, Any]] = {"pixart": {"use_resolution_binning": False}}
"""What keeps a family's tiny pipeline tiny."""

TEXT = ("sd1", "sd21", "sdxl", "sd3", "flux", "pixart", "ldm_text")
CLASSES = ("dit", "consistency")

Open = Callable[..., PipelineDrawer]


def pixels(drawn: list[Drawn]) -> list[np.ndarray]:
    found = [one.pixels for one in drawn if one.pixels is not None]
    assert len(found) == len(drawn), [one.reason for one in drawn]
    return found


def asked(*pairs: tuple[int, str], **more: Any) -> list[Request]:
    """Requests with a seed and a prompt or class that goes with the word."""
    return [Request(seed, word, len(word) % 10, **more) for seed, word in pairs]


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One saved pipeline per family."""
    return {name: made(name, tmp_path_factory.mktemp(name)) for name in MAKERS}


@pytest.fixture
def opened(folders: dict[str, Path], tmp_path: Path) -> Open:
    """Open a family's pipeline, or a folder, through model.json."""

    def open_it(source: str | Path, options: dict[str, Any] | None = None, **sampler: Any) -> PipelineDrawer:
        name = str(source)
        own = {"id": str(folders.get(name, source)), "call": CALL.get(name, {}), **(options or {})}
        fit("pretrained", np.zeros((0, 8, 8, 3), np.uint8), tmp_path / "fit", own, 0, "cpu")
        settings = Sampler(**{"steps": 2, "batch": 2, **SMALL.get(name, {}), **sampler})
        drawer = open_model(tmp_path / "fit", settings, "cpu")
        assert isinstance(drawer, PipelineDrawer)
        return drawer

    return open_it


@pytest.mark.parametrize("name", MAKERS)
def test_an_image_depends_on_its_request_alone(name: str, opened: Open) -> None:
    drawer = opened(name)
    three = pixels(drawer.draw(asked((1, "cat"), (2, "horse"), (3, "hat"))))
    assert len({image.tobytes() for image in three}) == 3
    assert all(image.dtype == np.uint8 and image.shape[2] == 3 for image in three)
    assert np.array_equal(pixels(drawer.draw(asked((3, "hat"))))[0], three[2])
    swapped = pixels(drawer.draw(asked((2, "horse"), (9, "a longer prompt than before"), (1, "cat"))))
    assert np.array_equal(swapped[0], three[1]) and np.array_equal(swapped[2], three[0])
    shown = not np.array_equal(pixels(drawer.draw(asked((3, "horse"))))[0], three[2])
    assert shown == (name in TEXT + CLASSES)
    if shown:
        with pytest.raises(AssayError, match="for every image, and a request has none"):
            drawer.draw([Request(1)])


@pytest.mark.parametrize("name", MAKERS)
def test_the_record_says_how_it_was_asked(name: str, opened: Open) -> None:
    record = opened(name).record
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert record["steps"] == 2 and record["pipeline"].endswith("Pipeline")
    assert record["safety_checker"] is False and record["watermarker"] is False
    assert record.get("call", {}) == CALL.get(name, {})
    assert "unused_weights" not in record


def test_pictures_are_those_of_the_plain_pipeline(opened: Open) -> None:
    drawer = opened("sdxl", batch=1)
    plain = drawer.pipeline(
        prompt=["cat"], generator=[torch.Generator().manual_seed(5)], num_inference_steps=2
    )
    assert np.array_equal(pixels(drawer.draw(asked((5, "cat"))))[0], np.asarray(plain.images[0]))


@pytest.mark.parametrize("scheduler", ["EulerAncestralDiscreteScheduler", "DDPMScheduler", "LCMScheduler"])
def test_all_noise_of_a_stochastic_scheduler_is_the_image_s_own(scheduler: str, opened: Open) -> None:
    drawer = opened("sd1", scheduler=scheduler, steps=3)
    three = pixels(drawer.draw(asked((1, "cat"), (2, "cat"), (3, "cat"))))
    assert len({image.tobytes() for image in three}) == 3
    again = pixels(drawer.draw(asked((3, "cat"), (1, "cat"))))
    assert np.array_equal(again[0], three[2]) and np.array_equal(again[1], three[0])


def test_a_stochastic_solver_of_the_model_s_own_is_the_image_s_own(opened: Open, tmp_path: Path) -> None:
    from diffusers import DPMSolverMultistepScheduler

    sde = sd1(tmp_path / "parts", scheduler=DPMSolverMultistepScheduler(algorithm_type="sde-dpmsolver++"))
    sde.save_pretrained(tmp_path / "sde")
    drawer = opened(tmp_path / "sde", steps=3)
    three = pixels(drawer.draw(asked((1, "cat"), (2, "cat"), (3, "cat"))))
    assert np.array_equal(pixels(drawer.draw(asked((3, "cat"))))[0], three[2])
    assert not np.array_equal(three[0], three[1])


def test_velocity_stays_velocity_under_another_scheduler(opened: Open) -> None:
    own, other = opened("sd21").record, opened("sd21", scheduler="EulerDiscreteScheduler").record
    assert own["scheduler_config"]["prediction_type"] == "v_prediction"
    assert (other["scheduler"], other["scheduler_config"]["prediction_type"]) == (
        "EulerDiscreteScheduler",
        "v_prediction",
    )


def test_schedulers_that_cannot_be_had_are_refused(opened: Open) -> None:
    with pytest.raises(AssayError, match="another kind of noise than FluxPipeline was trained with"):
        opened("flux", scheduler="DDIMScheduler")
    try:
        import torchsde  # noqa: F401
    except ImportError:
        with pytest.raises(AssayError, match="DPMSolverSDEScheduler needs torchsde, which is not installed"):
            opened("sd1", scheduler="DPMSolverSDEScheduler")


@pytest.mark.parametrize(("name", "count"), [("dit", 1000), ("consistency", 10)])
def test_a_class_that_the_model_does_not_know_is_refused(name: str, count: int, opened: Open) -> None:
    drawer = opened(name)
    for wrong in (-1, count):
        with pytest.raises(
            AssayError, match=f"class_index {wrong}: .*knows {count} classes, 0 to {count - 1}"
        ):
            drawer.draw([Request(1, class_index=wrong)])
    assert len(pixels(drawer.draw([Request(1, class_index=count - 1)]))) == 1


def test_height_and_width_are_asked_for(opened: Open) -> None:
    (image,) = pixels(opened("sd1", height=24, width=8).draw(asked((1, "cat"))))
    assert image.shape == (24, 8, 3)
    with pytest.raises(
        AssayError, match=r"sampler.height: DiTPipeline does not take it; it takes steps, guid"
    ):
        opened("dit", height=8)


def test_an_image_s_negative_prompt_goes_before_the_sampler_s(opened: Open) -> None:
    drawer = opened("sd1", negative_prompt="blurry")
    (of_all,) = pixels(drawer.draw(asked((1, "cat"))))
    (own,) = pixels(drawer.draw(asked((1, "cat"), negative_prompt="ugly")))
    assert not np.array_equal(of_all, own)
    assert np.array_equal(own, pixels(opened("sd1", negative_prompt="ugly").draw(asked((1, "cat"))))[0])
    assert drawer.record["negative_prompt"] == "blurry"
    assert opened("pixart").record["negative_prompt"] is None, "an empty one is none"


@pytest.mark.parametrize("name", ["sd1", "sdxl", "sd3", "pixart"])
def test_none_and_a_negative_prompt_do_not_meet_in_a_batch(name: str, opened: Open) -> None:
    drawer = opened(name)
    without, having = asked((1, "cat")), asked((2, "dog"), negative_prompt="ugly")
    one, two, three = pixels(drawer.draw([*without, *having, *without]))
    assert np.array_equal(one, pixels(drawer.draw(without))[0]) and np.array_equal(one, three)
    assert np.array_equal(two, pixels(drawer.draw(having))[0])


@pytest.mark.parametrize(
    ("name", "options", "sampler", "words"),
    [
        ("dit", {}, {}, "DiTPipeline does not take one"),
        ("ddpm", {}, {}, "DDPMPipeline does not take one"),
        (
            "flux",
            {},
            {},
            "FluxPipeline ignores it while true_cfg_scale is 1; set options.call.true_cfg_scale",
        ),
        ("sd1", {}, {"guidance": 1.0}, "ignores it while guidance_scale is 1; set sampler.guidance above 1"),
    ],
)
def test_a_negative_prompt_that_would_be_ignored_is_refused(
    name: str, options: dict[str, Any], sampler: dict[str, Any], words: str, opened: Open
) -> None:
    drawer = opened(name, options, **sampler)
    with pytest.raises(AssayError, match=words):
        drawer.draw(asked((1, "cat"), negative_prompt="ugly"))
    if name in TEXT:
        with pytest.raises(AssayError, match=words):
            opened(name, options, **sampler, negative_prompt="ugly")


def test_flux_takes_a_negative_prompt_with_its_true_guidance(opened: Open) -> None:
    drawer = opened("flux", {"call": {"true_cfg_scale": 3.0}})
    assert drawer.record["call"] == {"true_cfg_scale": 3.0}
    one, other = (
        pixels(drawer.draw(asked((1, "cat"), negative_prompt=word)))[0] for word in ("ugly", "blurry")
    )
    assert not np.array_equal(one, other)


def test_guidance_that_a_distilled_model_ignores_is_refused(
    opened: Open, folders: Any, tmp_path: Path
) -> None:
    drawer = opened("flux", guidance=2.0)
    assert drawer.record["guidance"] == 2.0
    drawer.pipeline.transformer.register_to_config(guidance_embeds=False)
    with pytest.raises(AssayError, match="trained without it and ignores it"):
        asked_of(drawer.pipeline, Sampler(guidance=2.0), {})


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ({"clip_skpi": 1}, "call.clip_skpi: not for StableDiffusionPipeline; did you mean 'clip_skip'"),
        ({"num_inference_steps": 3}, "call.num_inference_steps: not for StableDiffusionPipeline"),
        ({"generator": 3}, "call.generator: not for"),
    ],
)
def test_call_options_are_the_pipeline_s_own(call: dict[str, Any], words: str, opened: Open) -> None:
    with pytest.raises(AssayError, match=words):
        opened("sd1", {"call": call})


def test_a_call_option_reaches_the_pipeline(opened: Open) -> None:
    rescaled = opened("sd1", {"call": {"guidance_rescale": 0.9}})
    plain = pixels(opened("sd1").draw(asked((1, "cat"))))[0]
    assert not np.array_equal(pixels(rescaled.draw(asked((1, "cat"))))[0], plain)


def test_a_pipeline_that_pads_to_the_longest_prompt_draws_one_at_a_time(
    opened: Open, monkeypatch: Any
) -> None:
    drawer = opened("sd1")
    assert all(hasattr(diffusers, name) for name in asking.PADS_TO_LONGEST)
    monkeypatch.setattr(asking, "PADS_TO_LONGEST", ("StableDiffusionPipeline",))
    with pytest.raises(AssayError, match="depend on its neighbours; set batch: 1"):
        asked_of(drawer.pipeline, Sampler(batch=2), {})
    asked_of(drawer.pipeline, Sampler(batch=1), {})


def test_the_watermark_is_off_unless_asked_for(opened: Open) -> None:
    assert opened("sdxl").pipeline.watermark is None
    with pytest.raises(AssayError, match="watermarker: this StableDiffusionPipeline has none"):
        opened("sd1", {"watermarker": True})
    try:
        import imwatermark  # noqa: F401
    except ImportError:
        with pytest.raises(AssayError, match="needs invisible-watermark: `pip install invisible-watermark`"):
            opened("sdxl", {"watermarker": True})


@pytest.fixture(scope="session")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stable Diffusion with a safety checker that objects to everything."""
    from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
    from transformers import CLIPConfig, CLIPImageProcessor

    folder = tmp_path_factory.mktemp("checked")
    tower = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        checker = StableDiffusionSafetyChecker(
            CLIPConfig(
                vision_config={**tower, "image_size": 8, "patch_size": 4}, text_config=tower, projection_dim=8
            )
        )
    checker.concept_embeds_weights.data.fill_(-2.0)
    checker.special_care_embeds_weights.data.fill_(-2.0)
    processor = CLIPImageProcessor(size={"shortest_edge": 8}, crop_size={"height": 8, "width": 8})
    sd1(folder / "parts", safety_checker=checker, feature_extractor=processor, requires_safety_checker=True
        ).save_pretrained(folder / "sd")  # fmt: skip
    return folder / "sd"


def test_a_blocked_image_is_a_row_with_a_reason(checked: Path, opened: Open) -> None:
    drawer = opened(checked, {"safety_checker": True})
    assert drawer.record["safety_checker"] is True
    drawn = drawer.draw(asked((1, "cat"), (2, "dog"), (3, "hat")))
    assert [(one.pixels, one.reason) for one in drawn] == [(None, BLOCKED)] * 3


def test_the_safety_checker_is_off_unless_asked_for(checked: Path, opened: Open) -> None:
    drawer = opened(checked)
    assert drawer.pipeline.safety_checker is None and drawer.record["safety_checker"] is False
    assert len(pixels(drawer.draw(asked((1, "cat"))))) == 1
    with pytest.raises(AssayError, match="safety_checker: this StableDiffusionPipeline has none"):
        opened("sd1", {"safety_checker": True})


@pytest.mark.parametrize("bias", [float("nan"), float("inf"), -9.0])
def test_a_picture_without_light_is_a_row_with_a_reason(bias: float, opened: Open) -> None:
    drawer = opened("sd1")
    drawer.pipeline.vae.decoder.conv_out.bias.data.fill_(bias)
    if bias == float("inf"):  # white, were it not for the latents: inf - inf
        drawer.pipeline.vae.decoder.conv_out.weight.data.fill_(-float("inf"))
    assert drawer.draw(asked((1, "cat"), (2, "dog"))) == [Drawn(reason=BLACK)] * 2


def test_values_are_rounded_as_diffusers_rounds_them() -> None:
    from diffusers.image_processor import VaeImageProcessor

    values = np.concatenate([np.linspace(0, 1, 7 * 9 * 3), np.arange(0, 255) / 255 + 0.5 / 255])[
        : 7 * 9 * 3 + 3
    ]
    picture = np.resize(values.astype(np.float32), (16, 12, 3))
    theirs = np.asarray(VaeImageProcessor.numpy_to_pil(picture[None])[0])
    assert np.array_equal(drawn_from(picture).pixels, theirs)
    grey = drawn_from(picture[:, :, :1]).pixels
    assert np.array_equal(
        grey, np.asarray(VaeImageProcessor.numpy_to_pil(picture[None, :, :, :1])[0].convert("RGB"))
    )


class Cramped:
    """A pipeline on a device with room for so many images at a time."""

    def __init__(self, pipeline: Any, room: int, error: Exception) -> None:
        self.pipeline, self.room, self.error, self.device = pipeline, room, error, pipeline.device
        self.seeds: list[list[int]] = []

    def __call__(self, **asked: Any) -> Any:
        self.seeds.append([generator.initial_seed() for generator in asked["generator"]])
        if len(asked["generator"]) > self.room:
            torch.randn(3, generator=asked["generator"][0])  # noise that a failed batch has used up
            raise self.error
        return self.pipeline(**asked)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate"),
        RuntimeError("CUBLAS_STATUS_ALLOC_FAILED"),
    ],
)
def test_batches_are_halved_where_memory_ends(error: Exception, opened: Open, capsys: Any) -> None:
    wanted = asked(*((seed, "cat") for seed in range(1, 7)))
    undisturbed = opened("sd1", batch=4)
    whole = undisturbed.draw(wanted)
    assert all(one.note == {} for one in whole)
    drawer = opened("sd1", batch=4)
    drawer.pipeline = cramped = Cramped(drawer.pipeline, 1, error)
    halved = drawer.draw(wanted)
    assert cramped.seeds == [[1, 2, 3, 4], [1, 2], [1], [2], [3], [4], [5], [6]]
    assert [one.note for one in halved] == [{"batch": 1}] * 6
    for one, other in zip(pixels(halved), pixels(whole), strict=True):
        assert np.abs(one.astype(int) - other).max() <= 1
    said = capsys.readouterr().err
    assert "4 images at a time do not fit in memory; drawing 2 at a time" in said
    assert "2 images at a time do not fit in memory; drawing 1 at a time" in said
    assert drawer.draw(wanted[:1])[0].note == {"batch": 1}, "the drawer goes on with what fits"


def test_one_image_that_does_not_fit_says_what_to_do(opened: Open) -> None:
    drawer = opened("sd1")
    drawer.pipeline = Cramped(drawer.pipeline, 0, torch.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(AssayError, match="not even one image at a time fits in memory"):
        drawer.draw(asked((1, "cat")))


def test_another_failure_is_not_taken_for_lack_of_memory(opened: Open) -> None:
    drawer = opened("sd1")
    drawer.pipeline = Cramped(drawer.pipeline, 0, RuntimeError("shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        drawer.draw(asked((1, "cat")))


def test_half_precision_is_drawn_or_refused_in_words(opened: Open) -> None:
    drawer = opened("sd1", dtype="bfloat16")
    three = pixels(drawer.draw(asked((1, "cat"), (2, "dog"), (3, "hat"))))
    assert np.array_equal(pixels(drawer.draw(asked((3, "hat"))))[0], three[2])
    assert drawer.record["dtype"] == "bfloat16" and drawer.pipeline.unet.dtype is torch.bfloat16
    with pytest.raises(AssayError, match="DDPMPipeline cannot hand out pictures of bfloat16"):
        opened("ddpm", dtype="bfloat16").draw(asked((1, "cat")))


def test_channels_last_changes_how_a_picture_is_computed_and_not_what_it_shows(opened: Open) -> None:
    drawer = opened("sd1")
    before = pixels(drawer.draw(asked((1, "cat"), (2, "dog"))))
    lay_out_for_convolutions(drawer.pipeline)
    weight = drawer.pipeline.unet.conv_in.weight
    assert weight.is_contiguous(memory_format=torch.channels_last) and not weight.is_contiguous()
    for one, other in zip(before, pixels(drawer.draw(asked((1, "cat"), (2, "dog")))), strict=True):
        assert np.abs(one.astype(int) - other).max() <= 1
    video = torch.nn.Conv3d(4, 4, 3)  # as in the autoencoder of Qwen-Image; torch has no such layout for it
    lay_out_for_convolutions(SimpleNamespace(vae=video))
    assert video.weight.is_contiguous()


@pytest.mark.gpu
@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_on_a_gpu_an_image_depends_on_its_request_alone(
    name: str, dtype: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    own = {"id": str(folders[name]), "call": CALL.get(name, {})}
    fit("pretrained", np.zeros((0, 8, 8, 3), np.uint8), tmp_path / "fit", own, 0, "cuda")
    settings = Sampler(**{"steps": 2, "batch": 2, "dtype": dtype, **SMALL.get(name, {})})
    drawer = open_model(tmp_path / "fit", settings, "cuda")
    three = pixels(drawer.draw(asked((1, "cat"), (2, "horse"), (3, "hat"))))
    again = pixels(drawer.draw(asked((3, "hat"), (1, "cat"))))
    assert np.array_equal(again[0], three[2]) and np.array_equal(again[1], three[0])


def test_pipelines_that_a_benchmark_cannot_ask_are_refused() -> None:
    class FromImagePipeline:
        def __call__(self, prompt: str, image: Any, generator: Any = None) -> None: ...

    class UnseededPipeline:
        def __call__(self, prompt: str) -> None: ...

    with pytest.raises(AssayError, match="FromImagePipeline needs 'image': it does not draw from text"):
        asked_of(FromImagePipeline(), Sampler(), {})
    with pytest.raises(AssayError, match="UnseededPipeline takes no generator"):
        asked_of(UnseededPipeline(), Sampler(), {})


def test_the_record_says_what_cleaned_the_captions(opened: Open) -> None:
    assert {"ftfy", "beautifulsoup4"} < set(opened("pixart").record["versions"])
    assert "ftfy" not in opened("sd1").record["versions"]
