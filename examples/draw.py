"""Draws the example pictures: python examples/draw.py (needs numpy and Pillow; the same bytes of pixels every time).

No photograph is used: everything is ellipses, shading and noise, at twice the size and scaled down.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

SIZE = 640
RNG = np.random.default_rng(7)
Colour = tuple[int, int, int]


def textured(colour: Colour, strength: float, grain: int) -> Image.Image:
    """A SIZE x SIZE surface: the colour, with smooth noise of `grain` pixels."""
    noise = RNG.normal(0, strength, (SIZE // grain + 2, SIZE // grain + 2)).astype(np.float32)
    cloud = np.asarray(Image.fromarray(noise).resize((SIZE, SIZE), Image.Resampling.BICUBIC))
    fine = RNG.normal(0, strength * 0.35, (SIZE, SIZE))
    return Image.fromarray(np.clip(np.array(colour) + (cloud + fine)[:, :, None], 0, 255).astype(np.uint8))


def polygon(
    cx: float, cy: float, rx: float, ry: float, wobble: float = 0.0, turn: float = 0.0
) -> list[tuple[float, float]]:
    """An ellipse with an uneven edge."""
    phases = RNG.uniform(0, 2 * math.pi, 4)
    points = []
    for a in np.linspace(0, 2 * math.pi, 90, endpoint=False):
        r = 1 + wobble * sum(math.sin((k + 2) * a + p) / (k + 2) for k, p in enumerate(phases))
        x, y = rx * r * math.cos(a), ry * r * math.sin(a)
        points.append((cx + x * math.cos(turn) - y * math.sin(turn), cy + x * math.sin(turn) + y * math.cos(turn)))
    return points


def paste(scene: Image.Image, shape: list[tuple[float, float]], surface: Image.Image, shadow: float = 6.0) -> None:
    """Lay a textured shape on the scene, with a soft shadow and a darker rim."""
    mask = Image.new("L", (SIZE, SIZE))
    ImageDraw.Draw(mask).polygon(shape, fill=255)
    if shadow:
        dark = (
            ImageChops.offset(mask, int(shadow), int(shadow))
            .filter(ImageFilter.GaussianBlur(shadow))
            .point(lambda v: v * 0.45)
        )
        scene.paste((20, 15, 10), mask=dark)
    inner = mask.filter(ImageFilter.GaussianBlur(9)).point(lambda v: min(255, max(0, (v - 110) * 2)))
    rim = surface.point(lambda v: v * 0.78)
    scene.paste(Image.composite(surface, rim, inner), mask=mask.filter(ImageFilter.GaussianBlur(0.8)))


def plate(scene: Image.Image, colour: Colour = (244, 243, 238), r: float = 285) -> None:
    paste(scene, polygon(320, 320, r, r), textured(colour, 2, 40), 14)
    paste(scene, polygon(320, 320, r * 0.78, r * 0.78), textured(tuple(max(0, c - 8) for c in colour), 2, 40), 0)  # type: ignore[arg-type]


def carrots() -> Image.Image:
    """Carrot slices on a white ground."""
    scene = textured((236, 234, 228), 3, 60)
    for n in range(26):
        a, d = n * 2.399, 24 * math.sqrt(n) * 2.1
        cx, cy, r = 320 + d * math.cos(a), 320 + d * math.sin(a), RNG.uniform(56, 74)
        paste(
            scene,
            polygon(cx, cy, r, r * RNG.uniform(0.86, 1), 0.02, RNG.uniform(0, 3)),
            textured((240, 120, 22), 9, 14),
        )
        paste(scene, polygon(cx, cy, r * 0.55, r * 0.5, 0.08), textured((250, 148, 46), 8, 10), 0)
    return scene


def watermelon() -> Image.Image:
    """Wedges of watermelon on a white ground."""
    scene = textured((238, 238, 236), 3, 60)
    for cx, cy, turn in ((180, 150, 0.2), (470, 190, -0.25), (180, 430, -0.1), (460, 480, 0.15)):
        for shrink, colour in ((1.0, (44, 110, 48)), (0.93, (222, 232, 190)), (0.87, (222, 52, 58))):
            half = [
                (cx + 180 * shrink * (math.cos(a) * math.cos(turn) - math.sin(a) * math.sin(turn)),
                 cy - 70 + 180 * shrink * (math.cos(a) * math.sin(turn) + math.sin(a) * math.cos(turn)))
                for a in np.linspace(0, math.pi, 60)
            ]  # fmt: skip
            paste(scene, half, textured(colour, 8, 16), 8 if shrink == 1.0 else 0)
        for _ in range(14):
            a, d = RNG.uniform(0.25, 2.9), RNG.uniform(45, 135)
            x, y = cx + d * math.cos(a + turn), cy - 70 + d * math.sin(a + turn)
            paste(scene, polygon(x, y, 4.5, 8, 0, RNG.uniform(0, 3)), textured((30, 20, 18), 4, 8), 0)
    return scene


def bananas() -> Image.Image:
    """A hand of bananas."""
    scene = textured((238, 238, 236), 3, 60)
    for n, (start, radius) in enumerate(((0.5, 330), (0.52, 270), (0.55, 212), (0.6, 158))):

        def edge(t: float, side: int, start: float = start, radius: float = radius) -> tuple[float, float]:
            r, a = radius + side * 32 * math.sin(t), start + 1.05 * t / math.pi
            x, y = 560 - r * math.sin(a), 60 + (r + 150) * math.cos(a) * 0.9
            return (x - 345) * 1.5 + 320, (y - 235) * 1.5 + 320

        outer = [edge(t, 1) for t in np.linspace(0, math.pi, 50)]
        inner = [edge(t, -1) for t in np.linspace(math.pi, 0, 50)]
        paste(scene, outer + inner, textured((246 - 4 * n, 206 - 6 * n, 40), 7, 26), 8)
        for end in (outer[0], outer[-1]):
            paste(scene, polygon(*end, 13, 10, 0.1), textured((92, 70, 24), 6, 8), 2)
    return scene


def boiled_eggs() -> Image.Image:
    """Halves of boiled eggs on a dark plate."""
    scene = textured((120, 86, 58), 9, 40)
    plate(scene, (92, 100, 112))
    for cx, cy, turn in ((215, 235, 0.4), (400, 210, -0.3), (250, 425, 1.2), (435, 405, -0.8)):
        paste(scene, polygon(cx, cy, 96, 74, 0.02, turn), textured((248, 246, 240), 3, 30), 9)
        paste(scene, polygon(cx + 6, cy, 46, 43, 0.04, turn), textured((246, 172, 44), 9, 10), 2)
    return scene


def noodle_soup() -> Image.Image:
    """A bowl of noodles with slices of beef, herbs and chilli."""
    scene = textured((150, 108, 74), 10, 26)
    plate(scene, (240, 240, 236), 300)
    paste(scene, polygon(320, 320, 238, 238), textured((196, 140, 72), 9, 18), 0)
    for _ in range(170):
        x, y, a, r = RNG.uniform(140, 500), RNG.uniform(140, 500), RNG.uniform(0, 6.28), RNG.uniform(30, 90)
        if math.hypot(x - 320, y - 320) > 185:
            continue
        arc = [(x + r * math.cos(a + t), y + r * math.sin(a + t)) for t in np.linspace(0, 1.6, 18)]
        back = [(x + (r - 7) * math.cos(a + t), y + (r - 7) * math.sin(a + t)) for t in np.linspace(1.6, 0, 18)]
        paste(scene, arc + back, textured((238, 226, 196), 5, 12), 2)
    for x, y in ((250, 250), (330, 225), (300, 320), (395, 300), (360, 385), (262, 390)):
        paste(scene, polygon(x, y, 62, 40, 0.12, RNG.uniform(0, 3)), textured((128, 82, 62), 12, 9), 5)
    for _ in range(60):
        x, y = RNG.normal(320, 85), RNG.normal(320, 85)
        paste(
            scene,
            polygon(x, y, RNG.uniform(5, 17), RNG.uniform(3, 7), 0.2, RNG.uniform(0, 3)),
            textured((64, 132, 46), 16, 6),
            2,
        )
    for _ in range(9):
        x, y = RNG.normal(320, 90), RNG.normal(320, 90)
        paste(scene, polygon(x, y, 12, 9, 0.1), textured((206, 38, 30), 10, 6), 2)
    return scene


DRAWINGS = {
    "ca_rot.jpg": carrots,
    "dua_hau.jpg": watermelon,
    "chuoi.jpg": bananas,
    "trung_luoc.jpg": boiled_eggs,
    "to_bun.jpg": noodle_soup,
}


def main() -> None:
    """Write every drawing beside this script."""
    for name, draw in DRAWINGS.items():
        scene = draw().filter(ImageFilter.GaussianBlur(0.7))
        scene.save(Path(__file__).parent / name, quality=88)
        print(name)


if __name__ == "__main__":
    main()
