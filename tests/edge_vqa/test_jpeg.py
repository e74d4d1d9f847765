"""JPEGs go past Pillow where the native engine decodes them, and nobody can tell by the pixels or the errors."""

from __future__ import annotations

import ctypes
import io
import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from native_library import needs_native
from PIL import Image

from edge_vqa import VQA, image, pillow_image
from edge_vqa.engines import native
from edge_vqa.errors import EngineError, ImageError
from edge_vqa.image import load_image, picture_pixels

CARROT = Path(__file__).parents[2] / "examples" / "ca_rot.jpg"
SIDE = 32
ERROR_ARGUMENT, ERROR_PICTURE = 1, 7


def jpeg(width: int = 300, height: int = 200, **options: object) -> bytes:
    pixels = np.random.default_rng(1).integers(0, 256, (height // 8, width // 8, 3)).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC).save(stream, "JPEG", **options)
    return stream.getvalue()


def pillow(source: image.ImageLike, side: int = SIDE) -> bytes:
    return pillow_image.picture_pixels(source, side)


def without_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("Pillow was asked")

    monkeypatch.setattr(pillow_image, "picture_pixels", refuse)


@needs_native
def test_every_source_of_a_jpeg_gives_pillows_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = jpeg()
    path = tmp_path / "món ăn.jpg"
    path.write_bytes(data)
    expected = pillow(data)
    without_pillow(monkeypatch)
    for source in (data, bytearray(data), memoryview(data), path, str(path)):
        assert picture_pixels(source, SIDE) == expected


@needs_native
@pytest.mark.parametrize("side", [1, 64, 224, 500, 1024, 1100])
def test_sides(side: int) -> None:
    assert picture_pixels(jpeg(), side) == pillow(jpeg(), side)


@pytest.mark.parametrize("options", [{"progressive": True}, {"quality": 20, "subsampling": 0}, {"quality": 100}])
def test_pillow_takes_over_without_a_difference(options: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    data = jpeg(**options)
    assert picture_pixels(data, SIDE) == pillow(data)
    monkeypatch.setattr(native, "find_library", lambda: None)
    assert picture_pixels(data, SIDE) == pillow(data)


def frames() -> dict[str, np.ndarray]:
    """Frames of 8 bits, as they lie in memory."""
    rgb = np.random.default_rng(3).integers(0, 256, (97, 143, 3)).astype(np.uint8)
    return {
        "rgb": rgb, "bgr turned": rgb[:, :, ::-1], "part": rgb[5:90, 7:100], "part turned": rgb[5:90, 7:100, ::-1],
        "every other row": rgb[::2], "grey": rgb[..., 0].copy(), "one channel": rgb[..., :1].copy(),
        "one row": rgb[:1], "small": rgb[:3, :4],
    }  # fmt: skip


@needs_native
@pytest.mark.parametrize("name", frames())
def test_frames_in_memory_are_resized_where_they_lie(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = frames()[name]
    expected = pillow(frame)
    without_pillow(monkeypatch)
    assert picture_pixels(frame, SIDE) == expected


ODD = {
    "upside down": lambda a: a[::-1], "mirrored": lambda a: a[:, ::-1], "turned": lambda a: a.transpose(1, 0, 2),
    "every other column": lambda a: a[:, ::2], "grey, apart": lambda a: a[..., 1], "float": lambda a: a / 255,
    "sixteen bits": lambda a: a.astype(np.uint16) * 257, "signed": lambda a: a.astype(np.int8),
    "see-through": lambda a: np.dstack([a, a[..., 1]]),
    "a row again and again": lambda a: np.broadcast_to(a[3], a.shape),
    "a pixel again and again": lambda a: np.broadcast_to(a[3, 4], a.shape),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_odd_arrays_go_through_pillow(name: str) -> None:
    array = ODD[name](frames()["rgb"])
    assert picture_pixels(array, SIDE) == pillow(array)


@pytest.mark.parametrize("shape", [(0, 5, 3), (5, 0), (5,), (2, 3, 4, 3), (4, 4, 2), (8000, 8000)])
def test_arrays_that_are_no_pictures_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ImageError):
        picture_pixels(np.zeros(shape, np.uint8), SIDE)


def test_any_unsigned_sixteen_bits_are_scaled_to_eight() -> None:
    rgb = frames()["rgb"]
    for order in "<>":
        assert picture_pixels((rgb.astype(np.uint16) * 256).astype(f"{order}u2"), SIDE) == pillow(rgb)


class Claims:
    """Says of itself that it is an array."""

    def __init__(self, about: object) -> None:
        self.__array_interface__ = about


@pytest.mark.parametrize("about", [
    None, 3, {}, {"shape": (4, 4, 3), "typestr": "|u1", "version": 3}, {"data": (), "shape": (4, 4), "typestr": "|u1"},
    {"data": ("x", 0), "shape": (4, 4), "typestr": "|u1", "version": 3},
    {"data": (0, False), "shape": (4, 4), "typestr": "|u1", "version": 3},
    {"data": (1, False), "shape": ("a", 4), "typestr": "|u1", "version": 3},
    {"data": (1, False), "shape": (4, 4, 3), "strides": (12,), "typestr": "|u1", "version": 3},
    {"data": (1, False), "shape": (-4, -4), "typestr": "|u1", "version": 3},
], ids=str)  # fmt: skip
def test_what_only_claims_to_be_an_array_is_an_error(about: object) -> None:
    with pytest.raises(ImageError):
        picture_pixels(Claims(about), SIDE)


def test_pil_pictures_are_not_decoded_before_they_are_looked_at() -> None:
    closed = Image.open(io.BytesIO(jpeg()))
    closed.close()
    for picture in (Image.open(io.BytesIO(jpeg()[:1500])), closed):
        with pytest.raises(ImageError):
            picture_pixels(picture, SIDE)
    large = io.BytesIO()
    Image.new("1", (9000, 6000)).save(large, "PNG")
    unread = Image.open(large)
    large.truncate(100)  # what is behind the header is never asked for
    with pytest.raises(ImageError, match="at most 50 megapixels"):
        picture_pixels(unread, SIDE)


def test_views_of_bytes() -> None:
    stream = io.BytesIO()
    Image.new("RGB", (9, 9), "red").save(stream, "PNG")
    png = stream.getvalue()
    apart = bytearray(2 * len(png))
    apart[::2] = png
    assert picture_pixels(memoryview(apart)[::2], SIDE) == pillow(png)
    released = memoryview(png)
    released.release()
    with pytest.raises(ImageError):
        picture_pixels(released, SIDE)


def test_other_pictures_go_through_pillow(tmp_path: Path) -> None:
    picture = Image.effect_noise((50, 40), 50)
    picture.save(tmp_path / "a.png")
    assert picture_pixels(tmp_path / "a.png", SIDE) == pillow(picture)
    assert picture_pixels(picture, SIDE) == pillow(picture)
    assert picture_pixels(np.asarray(picture), SIDE) == pillow(picture)


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff", jpeg()[:1000], jpeg()[:-2]], ids=len)
def test_damaged_ones_are_the_errors_that_pillow_makes_of_them(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.jpg"
    path.write_bytes(data)
    for source in (data, path):
        with pytest.raises(ImageError) as wanted:
            load_image(source, SIDE)
        with pytest.raises(ImageError) as found:
            picture_pixels(source, SIDE)
        assert str(found.value) == str(wanted.value)


def test_what_is_no_file_is_an_error(tmp_path: Path) -> None:
    for source in (tmp_path, tmp_path / "none.jpg", "a\0b.jpg"):
        with pytest.raises(ImageError):
            picture_pixels(source, SIDE)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_read_but_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.jpg"
    os.mkfifo(pipe)
    for _ in range(2):  # one for each that opens it
        threading.Thread(target=lambda: pipe.write_bytes(b""), daemon=True).start()
    with pytest.raises(ImageError):
        picture_pixels(pipe, SIDE)


@needs_native
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("side", [16, 100, 224])
def test_orientations(orientation: int, side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = jpeg(243, 131, exif=exif)
    expected = pillow(data, side)
    without_pillow(monkeypatch)
    assert picture_pixels(data, side) == expected


@needs_native
def test_many_threads_decode_at_once() -> None:
    files = [jpeg(random.Random(i).randint(100, 900), 300) for i in range(8)]
    expected, found = [pillow(data) for data in files], {}

    def decode(i: int) -> None:
        found[i] = [picture_pixels(files[i], SIDE) for _ in range(10)]

    threads = [threading.Thread(target=decode, args=(i,)) for i in range(len(files))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {i: [pixels] * 10 for i, pixels in enumerate(expected)}


@needs_native
def test_the_command_answers_about_a_jpeg_without_loading_pillow() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "edge_vqa.run", "--image", str(CARROT), "--q", "món này là gì"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    modules = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "edge_vqa.image" in modules
    assert not {name for name in modules if name.split(".")[0] == "PIL"}


@needs_native
def test_the_c_interface_looks_at_a_jpeg() -> None:
    vqa = VQA()
    engine, library = vqa.engine, ctypes.CDLL(native.load_library().path)
    assert isinstance(engine, native.NativeEngine)
    handle = engine.handle
    scene = native.NativeScene(native.load_library(), handle, vqa.model.path)
    data = jpeg()
    assert library.evqa_look_jpeg(handle, data, ctypes.c_size_t(len(data)), scene.pointer) == 0
    seen = engine.encode(pillow(data, vqa.model.side))
    assert [list(part) for part in engine.answer(scene, [5, 6])] == [list(part) for part in engine.answer(seen, [5, 6])]
    assert library.evqa_look_jpeg(handle, data, ctypes.c_size_t(len(data) - 9), scene.pointer) == ERROR_PICTURE
    with pytest.raises(EngineError, match="has not been looked at"):
        engine.answer(scene, [5, 6])
    assert library.evqa_look_jpeg(handle, None, ctypes.c_size_t(9), scene.pointer) == ERROR_ARGUMENT


@needs_native
@pytest.mark.parametrize(("side", "room"), [(0, 100), (-1, 100), (1025, 1 << 22), (10, 299)])
def test_sides_out_of_range_are_errors_of_the_c_interface(side: int, room: int) -> None:
    library, data = native.load_library(), jpeg()
    out = ctypes.create_string_buffer(room)
    assert library.jpeg_pixels(data, len(data), side, out, room) == ERROR_ARGUMENT
    assert out.raw == bytes(room)


def test_a_library_without_the_decoder_is_an_error_that_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(native._FUNCTIONS, "no_such_function", (None,))
    path = native.find_library()
    if path is None:
        pytest.skip("the engine in C++ is not compiled")
    with pytest.raises(EngineError, match="cannot be loaded as the native engine"):
        native.Library(path)
