"""Hostile and odd files: what `assets.images.picture` makes of each."""

import io

import numpy as np
import pytest
from PIL import Image

from assets.images import picture
from assets.images.picture import PictureError, decode, encode, examine, jpeg_quality, phash
from tests.conftest import file_bytes, textured


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty file"),
        (b"this is no picture, whatever it is called\n" * 9, "not an image"),
        (file_bytes(textured(1))[:-300], "damaged"),
        (file_bytes(textured(1, 200, 200), "JPEG")[:-2000], "damaged"),
        (b"%PDF-1.7 or postscript, which Pillow would hand to other programs", "not an image"),
    ],
    ids=["zero bytes", "text", "truncated PNG", "truncated JPEG", "another format"],
)
def test_bad_bytes_give_a_reason_and_no_pixels(data: bytes, reason: str) -> None:
    with pytest.raises(PictureError, match=reason):
        decode(data)
    found = examine(data)
    assert found.facts is None and found.pixels is None and reason in (found.reason or "")


def test_a_decompression_bomb_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    data = saved(Image.new("L", (30_000, 30_000)), "PNG")
    assert len(data) < 2_000_000
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    with pytest.raises(PictureError, match="pixels"):
        decode(data)


def test_cmyk_and_progressive_jpegs_decode() -> None:
    cmyk = saved(Image.fromarray(textured(2)).convert("CMYK"), "JPEG", quality=95)
    assert decode(cmyk).shape == (48, 48, 3)
    assert examine(cmyk).facts.mode == "CMYK"
    progressive = file_bytes(textured(2), "JPEG", progressive=True, quality=95)
    baseline = file_bytes(textured(2), "JPEG", quality=95)
    assert np.array_equal(decode(progressive), decode(baseline))


def test_sixteen_bit_grey_is_scaled_not_clipped() -> None:
    ramp = np.linspace(0, 65535, 48 * 48).reshape(48, 48).astype(np.uint16)
    pixels = decode(saved(Image.fromarray(ramp), "PNG"))
    assert pixels[0, 0, 0] == 0 and pixels[-1, -1, 0] == 255
    assert abs(int(pixels[24, 0, 0]) - 128) <= 2


def test_palette_and_transparency_are_laid_over_white() -> None:
    palette = saved(Image.fromarray(textured(3)).quantize(16), "PNG")
    assert examine(palette).facts.mode == "P" and decode(palette).shape == (48, 48, 3)
    clear = Image.new("RGBA", (8, 8), (200, 0, 0, 0))
    assert (decode(saved(clear, "PNG")) == 255).all()


def test_the_first_frame_of_an_animation_and_the_main_picture_of_an_mpo() -> None:
    first, second = Image.fromarray(textured(4)), Image.fromarray(textured(5))
    for kind, options in (("WEBP", {"lossless": True}), ("MPO", {"quality": 95}), ("GIF", {})):
        data = saved(first, kind, save_all=True, append_images=[second], **options)
        found = examine(data)
        assert found.facts.frames == 2, kind
        assert np.abs(decode(data).astype(int) - textured(4)).mean() < 12, kind


def test_exif_rotation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees clockwise to view
    data = saved(Image.fromarray(textured(6, 20, 40)), "JPEG", exif=exif, quality=95)
    assert decode(data).shape == (40, 20, 3)
    assert examine(data).facts[:2] == (40, 20)  # as stored


def test_one_pixel_is_a_picture() -> None:
    found = examine(file_bytes(textured(7, 1, 1)))
    assert found.facts.width == 1 and len(found.phash or "") == 16


@pytest.mark.parametrize("quality", [1, 30, 50, 65, 75, 92, 96, 100])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_jpeg_quality_and_subsampling_are_read_back(quality: int, subsampling: str) -> None:
    facts = examine(file_bytes(textured(8), "JPEG", quality=quality, subsampling=subsampling)).facts
    assert (facts.jpeg_quality, facts.jpeg_subsampling) == (quality, subsampling)


def test_a_table_between_two_qualities_gets_the_nearer_one() -> None:
    with Image.open(io.BytesIO(file_bytes(textured(8), "JPEG", quality=80))) as image:
        table = list(image.quantization[0])
    table[5] += 1
    assert jpeg_quality(table) == 80


def test_equal_pixels_in_unlike_files_share_their_digest() -> None:
    png, bmp = file_bytes(textured(9)), file_bytes(textured(9), "BMP")
    assert examine(png).pixels == examine(bmp).pixels != examine(file_bytes(textured(10))).pixels
    assert examine(png).sha256 != examine(bmp).sha256
    wide = np.zeros((2, 8, 3), np.uint8)
    assert picture.pixels_digest(wide) != picture.pixels_digest(wide.reshape(8, 2, 3))


def test_the_perceptual_hash_survives_a_jpeg_and_tells_pictures_apart() -> None:
    def distance(a: int, b: int) -> int:
        return (a ^ b).bit_count()

    same = [distance(phash(textured(s)), phash(decode(file_bytes(textured(s), "JPEG")))) for s in range(20)]
    other = [distance(phash(textured(s)), phash(textured(s + 1))) for s in range(20)]
    assert max(same) <= 4 < 12 < min(other)


def test_png_of_one_shape_has_one_length() -> None:
    assert len({len(encode(textured(seed))) for seed in range(5)}) == 1
    assert np.array_equal(decode(encode(textured(1))), textured(1))
