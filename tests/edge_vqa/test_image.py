"""Pictures as cameras and people make them."""

import contextlib
import io
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from edge_vqa.errors import ImageError
from edge_vqa.image import load_image, picture_pixels

RED, BLUE = (200, 30, 30), (30, 30, 200)
COLOUR_MODES = ("RGBA", "CMYK", "YCbCr", "HSV", "P")


def two_halves(width: int = 64, height: int = 64) -> Image.Image:
    """Red on the left, blue on the right."""
    image = Image.new("RGB", (width, height), RED)
    image.paste(BLUE, (width // 2, 0, width, height))
    return image


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def close(a: tuple[int, ...], b: tuple[int, ...], most: int = 12) -> bool:
    return all(abs(x - y) <= most for x, y in zip(a, b))


def assert_two_halves(image: Image.Image) -> None:
    assert image.mode == "RGB"
    w, h = image.size
    assert close(image.getpixel((w // 8, h // 2)), RED)
    assert close(image.getpixel((w - 1 - w // 8, h // 2)), BLUE)


def test_path_bytes_pil_and_array_give_the_same_pixels(tmp_path: Path) -> None:
    picture = Image.effect_noise((300, 200), 60).convert("RGB")
    path = tmp_path / "món ăn ngon.png"
    path.write_bytes(encoded(picture))
    ways = [path, str(path), path.read_bytes(), bytearray(path.read_bytes()), picture, np.array(picture)]
    pixels = [picture_pixels(way, 224) for way in ways]
    assert all(p == pixels[0] for p in pixels)
    assert len(pixels[0]) == 224 * 224 * 3


@pytest.mark.parametrize(
    ("orientation", "transform"),
    [
        (2, Image.Transpose.FLIP_LEFT_RIGHT),
        (3, Image.Transpose.ROTATE_180),
        (4, Image.Transpose.FLIP_TOP_BOTTOM),
        (6, Image.Transpose.ROTATE_90),
        (8, Image.Transpose.ROTATE_270),
    ],
)
def test_exif_orientation_is_applied_to_path_bytes_and_pil(
    tmp_path: Path, orientation: int, transform: Image.Transpose
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(two_halves(80, 60).transpose(transform), "JPEG", exif=exif, quality=95)
    path = tmp_path / "sideways.jpg"
    path.write_bytes(data)
    for source in (path, data, Image.open(io.BytesIO(data))):
        upright = load_image(source)
        assert upright.size == (80, 60)
        assert_two_halves(upright)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "1", "RGBA", "CMYK", "YCbCr", "HSV", "LAB", "I", "F", "I;16"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    grey = two_halves().convert("L")
    if mode == "I;16":
        source = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    elif mode == "LAB":
        source = Image.new("LAB", (64, 64), (128, 128, 128))
    else:
        colours = two_halves().convert(mode, palette=Image.Palette.ADAPTIVE) if mode in COLOUR_MODES else None
        source = colours or grey.convert(mode)
    image = load_image(source)
    assert image.mode == "RGB"
    assert image.size == (64, 64)
    if mode in COLOUR_MODES:
        assert_two_halves(image)
    elif mode not in ("1", "LAB"):
        assert close(image.getpixel((8, 32)), (grey.getpixel((8, 32)),) * 3)


def test_sixteen_bit_png_keeps_its_brightness() -> None:
    array = np.full((40, 40), 40_000, np.uint16)
    image = load_image(encoded(Image.fromarray(array)))
    assert close(image.getpixel((5, 5)), (40_000 // 256,) * 3, 2)


def test_transparency_is_laid_on_white() -> None:
    clear = Image.new("RGBA", (20, 20), (0, 0, 0, 0))
    assert load_image(encoded(clear)).getpixel((3, 3)) == (255, 255, 255)
    palette = Image.new("P", (20, 20), 0)
    assert load_image(encoded(palette, transparency=0)).getpixel((3, 3)) == (255, 255, 255)


def test_the_first_frame_of_an_animation_is_read() -> None:
    frames = [Image.new("RGB", (30, 30), c) for c in (RED, BLUE)]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert close(load_image(data).getpixel((3, 3)), RED)


@pytest.mark.parametrize("size", [(1, 1), (1, 2000), (2000, 1), (2, 3)])
def test_tiny_and_narrow_pictures_work(size: tuple[int, int]) -> None:
    for kind in ("PNG", "JPEG"):
        pixels = picture_pixels(encoded(Image.new("RGB", size, RED), kind), 224)
        image = Image.frombytes("RGB", (224, 224), pixels)
        assert close(image.getpixel((100, 100)), RED)


def test_a_large_jpeg_is_decoded_scaled_and_stays_at_least_the_side() -> None:
    image = load_image(encoded(two_halves(3000, 2000), "JPEG"), 224)
    assert image.size == (375, 250)
    assert_two_halves(image)
    assert load_image(encoded(two_halves(400, 300), "JPEG"), 224).size == (400, 300)


def square_wave(width: int, height: int) -> Image.Image:
    """Stripes and blotches of several sizes, which scaling must not shift."""
    y, x = np.mgrid[:height, :width] / max(width, height)
    waves = [np.sin(x * 40 + 8 * np.sin(y * 9)), np.sin(y * 60 + 4 * np.cos(x * 14)), np.sin((x + y) * 25)]
    return Image.fromarray((np.stack(waves, -1) * 100 + 128).astype(np.uint8))


@pytest.mark.parametrize("orientation", [1, 5, 6, 8])
@pytest.mark.parametrize("size", [(1155, 866), (2394, 1797), (4001, 2703)])
def test_a_scaled_decode_neither_shifts_nor_blurs_what_the_model_sees(size: tuple[int, int], orientation: int) -> None:
    picture = square_wave(*size)
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(picture, "JPEG", quality=95, exif=exif)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    wanted = np.asarray(upright.resize((224, 224), Image.Resampling.BILINEAR)).astype(float)
    found = np.frombuffer(picture_pixels(data, 224), np.uint8).reshape(224, 224, 3)
    noise = np.mean((found - wanted) ** 2)
    assert 10 * np.log10(255**2 / noise) > 48  # 33 to 43 where a scaled picture's last, partial pixel counts as whole


def test_a_phone_picture_in_two_parts_is_decoded_scaled_too() -> None:
    data = encoded(two_halves(3000, 2000), "MPO", save_all=True, append_images=[Image.new("RGB", (300, 200))])
    image = load_image(data, 224)
    assert image.size == (375, 250)
    assert_two_halves(image)


def test_formats_that_run_programs_are_refused() -> None:
    stream = io.BytesIO()
    two_halves().save(stream, "EPS")
    with pytest.raises(ImageError, match="EPS is not a format"):
        load_image(stream.getvalue())


def test_a_pil_picture_of_the_caller_is_left_alone() -> None:
    theirs = Image.open(io.BytesIO(encoded(two_halves(3000, 2000), "JPEG")))
    load_image(theirs, 224)
    assert theirs.size == (3000, 2000)


def test_fifty_megapixels_are_read_and_more_are_refused_before_decoding() -> None:
    flat = encoded(Image.new("L", (10_000, 5_000), 90))
    assert load_image(flat).size == (10_000, 5_000)
    data = bytearray(encoded(Image.new("L", (10_000, 5_001), 90)))
    with pytest.raises(ImageError, match=r"megapixels"):
        load_image(bytes(data))
    # The pixels are cut off: only a check made before decoding can answer with the size.
    with pytest.raises(ImageError, match=r"megapixels"):
        load_image(bytes(data[:200]))


def test_a_decompression_bomb_is_refused_without_a_warning() -> None:
    header = bytearray(encoded(Image.new("L", (10, 10))))
    header[16:24] = (60_000).to_bytes(4, "big") * 2
    import zlib

    header[29:33] = zlib.crc32(header[12:29]).to_bytes(4, "big")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ImageError, match=r"too large|megapixels"):
            load_image(bytes(header))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_file_is_a_typed_error(kind: str, share: float) -> None:
    data = encoded(Image.effect_noise((200, 200), 80).convert("RGB"), kind)
    with pytest.raises(ImageError):
        load_image(data[: int(len(data) * share)])


def test_broken_bytes_never_raise_anything_but_image_error() -> None:
    rng = np.random.default_rng(5)
    originals = [encoded(two_halves(), kind) for kind in ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP")]
    for n in range(600):
        data = bytearray(originals[n % len(originals)])
        for _ in range(rng.integers(1, 12)):
            data[rng.integers(0, len(data))] = rng.integers(0, 256)
        with contextlib.suppress(ImageError):
            assert load_image(bytes(data)).mode == "RGB"


@pytest.mark.parametrize("data", [b"", b"not a picture", b"\xff\xd8\xff", bytes(5000)])
def test_what_is_no_picture_is_a_typed_error(data: bytes) -> None:
    with pytest.raises(ImageError):
        load_image(data)


def test_missing_files_and_folders_are_typed_errors(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"nowhere.jpg"):
        load_image(tmp_path / "nowhere.jpg")
    with pytest.raises(ImageError):
        load_image(tmp_path)
    with pytest.raises(ImageError):
        load_image("a\0b.jpg")


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((5, 5, 2), np.uint8), np.zeros(5, np.uint8), np.zeros((0, 5, 3), np.uint8), np.zeros((2, 2), complex),
        np.array([["a"]]), np.full((3, 3), np.nan), np.zeros((2, 3, 4, 5)),
    ],
)  # fmt: skip
def test_arrays_that_are_no_pictures_are_typed_errors(array: np.ndarray) -> None:
    with pytest.raises(ImageError):
        load_image(array)


def test_arrays_of_any_number_type_mean_the_same_picture() -> None:
    base = np.asarray(two_halves())
    ways = [base, base.astype(np.int64), base / 255.0, (base / 255.0).astype(np.float32), base.astype(np.uint16) * 256]
    for way in ways:
        got = np.asarray(load_image(way)).astype(int)
        assert abs(got - base).max() <= 1
    assert np.asarray(load_image(base[:, ::-1])).shape == (64, 64, 3)


@pytest.mark.parametrize("thing", [None, 5, ["a.jpg"], object()])
def test_other_things_are_typed_errors(thing: object) -> None:
    with pytest.raises(ImageError, match=r"must be"):
        load_image(thing)  # type: ignore[arg-type]
