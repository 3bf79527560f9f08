"""Recipes: what they parse to, and what they do to pictures."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, features
from scipy.ndimage import gaussian_filter

from assets.images.degradations import _RULES, DegradationError, Recipe, parse
from assets.images.picture import PictureError, decode, encode, jpeg_quality
from assets.seeds import rng
from tests.conftest import textured

OPERATIONS = (
    "",
    "resize(0.5)",
    "resize(1.7)",
    "resize(24)",
    "jpeg(65)",
    "jpeg(30,100)",
    "webp(75)",
    "avif(50)",
    "blur(3)",
    "blur(0,3)",
    "noise(0.05)",
    "crop(0.5)",
    "crop(32)",
    "centre(0.5)",
    "centre(32)",
    "square(40)",
    "square(16,40)",
    "to(24)",
    "zoom(40)",
    "flip",
    "(jpeg(50,95)/webp(50,95)/blur(1)|flip/noise(0.01))@0.8|crop(0.9)",
    "blur(0,3)@0.5|jpeg(30,100)@0.5",
    "jpeg(55)|flip|webp(75)|resize(0.5)",
    "resize(0.5)|jpeg(55)|webp(75)|jpeg(80)",
    "square(256,1000)|to(256)|(jpeg(60,100)/webp(60,100))@0.75",
)


@pytest.mark.parametrize("text", OPERATIONS)
@pytest.mark.parametrize("shape", [(1, 1), (3, 70), (48, 64)])
def test_encoded_bytes_decode_to_the_applied_pixels(text: str, shape: tuple[int, int]) -> None:
    recipe, pixels = parse(text), textured(1, *shape)
    for image in range(4):
        applied = recipe.apply(pixels, rng("x", image))
        assert applied.dtype == np.uint8 and applied.ndim == 3 and applied.shape[2] == 3 and applied.size
        assert np.array_equal(decode(recipe.encode(pixels, rng("x", image))), applied)


@pytest.mark.parametrize("text", OPERATIONS)
def test_the_generator_alone_decides(text: str) -> None:
    recipe, pixels = parse(text), textured(2)
    before = pixels.copy()
    assert recipe.encode(pixels, rng("a")) == recipe.encode(pixels, rng("a"))
    assert np.array_equal(pixels, before), "the caller's pixels were changed"


def test_ranges_are_drawn_anew_for_each_image_and_stay_inside() -> None:
    recipe, pixels = parse("jpeg(30,33)"), textured(3)
    files = {recipe.encode(pixels, rng(image)) for image in range(40)}
    qualities = {jpeg_quality(Image.open(io.BytesIO(data)).quantization[0]) for data in files}
    assert qualities == {30, 31, 32, 33}


def test_probability() -> None:
    pixels = textured(4)
    changed = sum(
        not np.array_equal(parse("flip@0.3").apply(pixels, rng(image)), pixels) for image in range(500)
    )
    assert 110 < changed < 190


def test_each_picture_gets_one_of_the_recipes() -> None:
    pixels = textured(10)
    recipe = parse("(flip/blur(2)/blur(2)|jpeg(50))@0.75")
    alone = [
        parse(text).apply(pixels, rng(0)).tobytes() for text in ("", "flip", "blur(2)", "blur(2)|jpeg(50)")
    ]
    found = [alone.index(recipe.apply(pixels, rng(image)).tobytes()) for image in range(400)]
    assert all(70 < found.count(which) < 130 for which in range(4))
    twice = parse("(flip/blur(2)/blur(2))")
    flipped = sum(twice.apply(pixels, rng(image)).tobytes() == alone[1] for image in range(300))
    assert 70 < flipped < 130, "a recipe that stands twice is twice as likely"
    inner = parse("((flip/blur(2))/blur(2)|jpeg(50))")
    found = [alone.index(inner.apply(pixels, rng(image)).tobytes()) for image in range(400)]
    assert found.count(3) > 160 and found.count(1) > 65 and found.count(2) > 65
    assert [step.name for step in inner.operations()] == ["flip"]
    assert [step.name for step in parse("jpeg(50)|(blur(2)|flip/webp(50))").operations()] == [
        "jpeg",
        "blur",
        "flip",
    ]


def test_recipes_from_before_choices_draw_what_they_drew() -> None:
    """Expected: of the code before there were choices (this repository at ee7c6ab), on `textured(9)`."""
    recipe = parse("blur(0,3)@0.5|noise(0,0.1)@0.5|crop(0.5,1.0)|flip@0.5|resize(0.3,2.0)")
    sizes = [recipe.apply(textured(9), rng("draws", image)).shape[:2] for image in range(4)]
    assert sizes == [(58, 58), (40, 40), (37, 37), (21, 21)]


def test_zoom() -> None:
    pixels = textured(11, 60, 90)
    seen = [parse("zoom(32)").apply(pixels, rng(image)) for image in range(40)]
    assert {picture.shape for picture in seen} == {(32, 32, 3)}
    assert len({picture.tobytes() for picture in seen}) == 40
    long = np.repeat(np.arange(0, 250, 10, dtype=np.uint8)[None, :, None], 3, 2)  # 1 x 25
    assert parse("zoom(8)").apply(long, rng(0)).shape == (8, 8, 3)
    flat = np.full((9, 200, 3), 7, np.uint8)
    assert (parse("zoom(8)").apply(flat, rng(1)) == 7).all()
    steps = np.repeat(np.arange(100, dtype=np.uint8)[None, :, None], 3, 2).repeat(100, 0)
    widths = [int(np.ptp(parse("zoom(64)").apply(steps, rng(image)))) for image in range(60)]
    assert min(widths) < 45 and max(widths) > 85, "windows of many sizes"


def test_last_codec_keeps_its_own_bytes() -> None:
    pixels = textured(5)
    data = parse("resize(0.5)|jpeg(65)").encode(pixels, rng(0))
    image = Image.open(io.BytesIO(data))
    assert image.format == "JPEG" and image.size == (24, 24)
    assert jpeg_quality(image.quantization[0]) == 65 and not image.info.get("progressive")
    assert image.layer[0][1:3] == (2, 2), "chroma is 4:2:0"
    assert data == encode(parse("resize(0.5)").apply(pixels, rng(0)), "JPEG", quality=65, subsampling=2)
    assert Image.open(io.BytesIO(parse("webp(75)").encode(pixels, rng(0)))).format == "WEBP"
    assert Image.open(io.BytesIO(parse("jpeg(65)|flip").encode(pixels, rng(0)))).format == "PNG"
    assert Image.open(io.BytesIO(parse("flip|jpeg(65)@1e-9").encode(pixels, rng(0)))).format == "PNG"


def test_resize() -> None:
    pixels = textured(6, 40, 60)
    assert parse("resize(0.5)").apply(pixels, rng(0)).shape == (20, 30, 3)
    assert parse("resize(20)").apply(pixels, rng(0)).shape == (20, 30, 3)
    assert parse("resize(40)").apply(pixels, rng(0)) is pixels
    assert parse("resize(112)").apply(pixels, rng(0)) is pixels, "a smaller picture is not enlarged"
    assert parse("resize(2.0)").apply(pixels, rng(0)).shape == (80, 120, 3)
    checkerboard = np.indices((64, 64)).sum(0) % 2 * 255
    small = parse("resize(0.25)").apply(np.repeat(checkerboard[..., None], 3, 2).astype(np.uint8), rng(0))
    assert np.abs(small.astype(int) - 127).max() <= 2, "down-scaling is antialiased"


def test_blur_is_the_documented_gaussian() -> None:
    pixels = textured(7)
    found = parse("blur(2)").apply(pixels, rng(0)).astype(int)
    for channel in range(3):
        exact = gaussian_filter(pixels[..., channel].astype(float), 2, mode="reflect", truncate=4)
        assert np.abs(found[..., channel] - exact).max() <= 0.51
    assert parse("blur(0)").apply(pixels, rng(0)) is pixels


def test_noise_has_its_standard_deviation() -> None:
    grey = np.full((200, 200, 3), 128, np.uint8)
    noisy = parse("noise(0.05)").apply(grey, rng(0)).astype(float)
    assert abs(noisy.std() - 0.05 * 255) < 0.3 and abs(noisy.mean() - 128) < 0.3


def test_crop() -> None:
    pixels = textured(8, 40, 60)
    window = parse("crop(0.5)").apply(pixels, rng(0))
    assert window.shape == (20, 30, 3)
    assert parse("crop(50)").apply(pixels, rng(0)).shape == (40, 50, 3)
    windows = {parse("crop(8)").apply(pixels, rng(image)).tobytes() for image in range(20)}
    assert len(windows) > 15


def test_centre() -> None:
    pixels = textured(8, 41, 60)
    window = parse("centre(20)").apply(pixels, rng(0))
    assert np.array_equal(window, pixels[10:30, 20:40]), (
        "(41 - 20) / 2 is rounded to the even number, as torch's"
    )
    assert np.array_equal(parse("centre(50)").apply(pixels, rng(0)), pixels[:, 5:55])
    assert parse("centre(0.5)").apply(pixels, rng(1)).shape == (20, 30, 3)


def test_square() -> None:
    pixels = textured(12, 30, 50)
    sides = {parse("square(16,1000)").apply(pixels, rng(image)).shape for image in range(200)}
    assert sides == {(side, side, 3) for side in range(16, 31)}, "up to the shorter side, and no further"
    found = parse("square(40)").apply(pixels, rng(0))
    assert found.shape == (40, 40, 3)
    assert np.array_equal(found[:5], found[10:5:-1]) and np.array_equal(found[-5:], found[-7:-12:-1])
    whole = parse("square(50)").apply(pixels, rng(0))
    assert np.array_equal(whole[10:40], pixels), "as much on either end"


def test_to_is_opencvs_lanczos() -> None:
    """Expected: cv2.resize(..., interpolation=cv2.INTER_LANCZOS4), OpenCV 5.0.0: red, first row; the sum."""
    values = np.arange(11)[:, None, None] * 23 + np.arange(30)[None, :, None] * 37 + np.arange(3) * 91
    pixels = (values**2 % 251).astype(np.uint8)
    small, large = (parse(f"to({side})").apply(pixels, rng(0)).astype(int) for side in (8, 16))
    assert np.abs(small[0, :, 0] - [169, 81, 205, 146, 106, 138, 127, 1]).max() <= 1
    wanted = [29, 156, 83, 92, 7, 108, 124, 108, 67, 34, 254, 69, 77, 244, 6, 146]
    assert np.abs(large[0, :, 0] - wanted).max() <= 1
    assert abs(small.sum() - 23263) < small.size / 2 and abs(large.sum() - 90851) < large.size / 2
    same = textured(13, 24, 24)
    assert np.array_equal(parse("to(24)").apply(same, rng(0)), same)


def test_imaginets_perturbation() -> None:
    """Public code, delyan-boychev/imaginet at d87b53a, training_utils/datasets.py: p 0.75, JPEG or WebP."""
    recipe = parse("square(256,1000)|to(256)|(jpeg(60,100)/webp(60,100))@0.75")
    pixels = textured(14, 300, 280)
    files = [recipe.encode(pixels, rng(image)) for image in range(60)]
    formats = [Image.open(io.BytesIO(data)).format for data in files]
    assert {decode(data).shape for data in files} == {(256, 256, 3)}
    assert 8 < formats.count("PNG") < 25 and formats.count("JPEG") > 12 and formats.count("WEBP") > 12


def test_a_platform_chain_loses_at_every_step() -> None:
    pixels, last = textured(15, 64, 96), parse("resize(0.5)|jpeg(55)|webp(75)|jpeg(80)")
    data = last.encode(pixels, rng(0))
    once = parse("resize(0.5)|jpeg(80)").apply(pixels, rng(0))
    found = Image.open(io.BytesIO(data))
    assert found.format == "JPEG" and found.size == (48, 32) and jpeg_quality(found.quantization[0]) == 80
    before = parse("resize(0.5)|jpeg(55)|webp(75)").apply(pixels, rng(0))
    assert data == encode(before, "JPEG", quality=80, subsampling="4:2:0")
    assert not np.array_equal(decode(data), once)


def test_avif() -> None:
    pixels = textured(16, 70, 90)
    low, high = (parse(f"avif({quality})").encode(pixels, rng(0)) for quality in (20, 90))
    assert Image.open(io.BytesIO(low)).format == "AVIF" and len(low) < len(high)
    assert (
        np.abs(decode(high).astype(int) - pixels).mean()
        < np.abs(decode(low).astype(int) - pixels).mean()
        < 12
    )


def test_a_pillow_without_avif(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "check", lambda _: False)
    with pytest.raises(DegradationError, match=r"degrade.a: recipe 'avif\(50\)': .* was built without AVIF"):
        parse("avif(50)", "degrade.a")


def test_too_large_for_the_codec() -> None:
    with pytest.raises(PictureError, match="17000 x 1 is too large for webp: at most 16383"):
        parse("webp(75)").encode(np.zeros((1, 17000, 3), np.uint8), rng(0))
    with pytest.raises(PictureError, match="enlarged 8 times has more than"):
        parse("resize(8.0)").encode(np.zeros((1400, 1400, 3), np.uint8), rng(0))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("jpg(65)", "unknown operation 'jpg'; did you mean 'jpeg'?"),
        ("jpeg", "'jpeg': jpeg takes one value or lowest,highest: a quality (whole, 1 to 100)"),
        ("jpeg(65.5)", "65.5 will not do"),
        ("jpeg(0)", "0 will not do"),
        ("jpeg(101)", "101 will not do"),
        ("jpeg(90,30)", "the lowest value comes first: jpeg(30,90)"),
        ("jpeg(1,2,3)", "one value or lowest,highest"),
        ("jpeg(1,)", "one value or lowest,highest"),
        ("resize(1)", "pixels (whole, 8 to 16383) or a factor (with a decimal point"),
        ("resize(0.0)", "0.0 will not do"),
        ("resize(0.5,64)", "0.5 is not of the same kind as 64"),
        ("blur(-1)", "-1 will not do"),
        ("blur(nan)", "nan will not do"),
        ("noise(5)", "as a share of black to white (0 to 1)"),
        ("flip(1)", "flip takes no argument"),
        ("flip@0", "above 0 and at most 1"),
        ("flip@50%", "above 0 and at most 1"),
        ("blur(3)|", "'' is not name(value)"),
        ("blur(3", "'blur(3' is not name(value)"),
        ("jpeg(50)/webp(50)", "nor a choice (RECIPE/RECIPE) of them"),
        ("(jpeg(50)/wepb(50))", "unknown operation 'wepb'; did you mean 'webp'?"),
        ("(jpeg(50)/)@0.5", "'' is not name(value)"),
        ("()", "'' is not name(value)"),
        ("(flip/blur(1))@2", "above 0 and at most 1"),
        ("(flip)/(blur(1))", "is not name(value)"),
        ("zoom(0.5)", "0.5 will not do, zoom takes pixels"),
        ("square(0.5)", "0.5 will not do, square takes pixels (whole, 8 to 8192)"),
        ("center(32)", "unknown operation 'center'; did you mean 'centre'?"),
    ],
)
def test_refused(text: str, message: str) -> None:
    with pytest.raises(DegradationError) as caught:
        parse(text, "degrade.mine")
    assert str(caught.value).startswith(f"degrade.mine: recipe '{text}': ")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("", ""),
        (" blur( 0 , 3.0 )@.5 |jpeg(30,100) @0.50", "blur(0,3)@0.5|jpeg(30,100)@0.5"),
        ("resize(.5)", "resize(0.5)"),
        ("resize(2.)", "resize(2.0)"),
        ("jpeg(65,65)@1.0", "jpeg(65)"),
        ("flip@.25", "flip@0.25"),
        (" ( jpeg(50,95) / blur(2.0)|flip@1 )@ .5", "(jpeg(50,95)/blur(2)|flip)@0.5"),
        ("((flip/zoom(64)))", "((flip/zoom(64)))"),
    ],
)
def test_canonical_text(text: str, canonical: str) -> None:
    assert str(parse(text)) == canonical


def _numbers(name: str) -> st.SearchStrategy[str]:
    rule = _RULES[name]
    assert rule is not None
    kinds = []
    if rule.whole:
        kinds.append(st.tuples(*[st.integers(*rule.whole)] * 2))
    if rule.decimal:
        least = rule.decimal[0] + (1e-6 if rule.above else 0)
        kinds.append(st.tuples(*[st.floats(least, rule.decimal[1])] * 2))
    return st.one_of(kinds).map(lambda pair: f"{name}({min(pair)},{max(pair)})")


_steps = st.one_of([st.just("flip"), *(_numbers(name) for name in _RULES if _RULES[name])])
_chances = st.one_of(st.just(""), st.floats(0.001, 1).map(lambda chance: f"@{chance}"))


_chains = st.lists(st.builds(str.__add__, _steps, _chances), min_size=1, max_size=4).map("|".join)


def _choices(recipes: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    choice = st.lists(recipes, min_size=1, max_size=3).map(lambda texts: f"({'/'.join(texts)})")
    return st.builds(str.__add__, choice, _chances)


@settings(max_examples=60, deadline=None)
@given(st.recursive(_chains, _choices, max_leaves=4) | st.just(""))
def test_canonical_text_reads_back_to_the_same_recipe(text: str) -> None:
    recipe = parse(text)
    assert parse(str(recipe)) == recipe and str(parse(str(recipe))) == str(recipe)
    assert isinstance(recipe, Recipe) and hash(recipe) == hash(parse(text))
