"""One measurement: times, memory and quality of every route for every photo, as a dictionary that JSON holds."""

from __future__ import annotations

import datetime
import functools
import math
import os
import platform
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from edge_vqa.image import picture_pixels

from .accuracy import measure_accuracy
from .maker import CAMERA, KINDS, QUALITY, make_photo, pictures, size_of
from .measure import memory_of, summary, take_turns, versions
from .quality import TRUTHS, decode_full, psnr, truth
from .routes import OURS, PLAIN, Route, as_array, open_routes

SIDE = 224
LARGE = 12
FRAMES = ((640, 480), (1280, 720), (1920, 1080))
"""Width and height of a camera's frames, handed over as arrays."""


@dataclass
class Plan:
    """What to measure and how often."""

    data: Path | None = None
    split: str = "test"
    limit: int | None = None
    """Pictures whose questions are asked; None: all."""
    sizes: Sequence[float] = (0.05, 1, LARGE, 48)
    """Megapixels of the photos that are timed."""
    kinds: Sequence[str] = tuple(KINDS)
    """What photos of LARGE megapixels are timed of."""
    quality_sizes: Sequence[float] = (0.3, 0.5, 1, 2, 3, 4.3, 6, 8, LARGE, 16, 24)
    """No friends of ours: their sides are mostly no multiples of 8, and some leave scaled decoding little to spare."""
    quality_pictures: int = 5
    pixels: float = 240e6
    """To decode with each route and photo: a small photo is decoded more often."""
    least_runs: int = 21
    most_runs: int = 400
    burst: int = 2

    def be_quick(self) -> None:
        self.sizes, self.kinds, self.quality_sizes = (0.05, 1, LARGE), (CAMERA, "progressive"), (1, 4.3, LARGE)
        self.quality_pictures, self.pixels, self.least_runs, self.most_runs = 2, 60e6, 5, 60
        self.limit = 20 if self.limit is None else self.limit

    def runs(self, megapixels: float) -> int:
        return min(self.most_runs, max(self.least_runs, round(self.pixels / 1e6 / megapixels)))


def run(plan: Plan, tell: Callable[[str], None]) -> dict[str, Any]:
    """Everything that report.py shows. Raises DataError, EdgeVQAError, OSError."""
    routes, left_out = open_routes()
    sources = pictures(plan.data, plan.split, plan.quality_pictures)
    load = [os.getloadavg()[0]]
    photos = []
    for megapixels in plan.sizes:
        for kind in plan.kinds if megapixels == LARGE else (CAMERA,):
            tell(f"{megapixels:g} megapixels, {kind}: time and memory")
            photos.append(measure_photo(plan, routes, sources[0], megapixels, kind))
    quality = {}
    for megapixels in plan.quality_sizes:
        tell(f"{megapixels:g} megapixels: quality")
        quality[f"{megapixels:g}"] = measure_quality(routes, sources, megapixels)
    frames = measure_frames(plan, sources[0])
    load.append(os.getloadavg()[0])
    accuracy = None
    if plan.data is not None:
        accuracy = measure_accuracy(plan.data, plan.split, plan.limit, LARGE, tell)
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "processor": processor(), "system": f"{platform.system()} {platform.machine()}", "load": load,
        "versions": versions(), "side": SIDE, "jpeg_quality": QUALITY,
        "pictures": f"{plan.data.name}, {plan.split}" if plan.data else "examples", "routes": list(routes),
        "left_out": left_out, "photos": photos, "frames": frames, "quality": quality, "accuracy": accuracy,
    }  # fmt: skip


def measure_photo(
    plan: Plan, routes: Mapping[str, Route], picture: Image.Image, megapixels: float, kind: str
) -> dict[str, Any]:
    """Milliseconds and megabytes of each route with one photo. Memory: for the usual kind only."""
    photo = make_photo(picture, megapixels, seed=0, kind=kind)
    width, height = size_of(megapixels)
    calls = {name: functools.partial(route, photo, SIDE) for name, route in routes.items()}
    rounds = -(-plan.runs(megapixels) // plan.burst)
    times = {name: summary(found) for name, found in take_turns(calls, rounds, plan.burst).items()}
    memory: dict[str, float | None] = {}
    if kind == CAMERA:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "photo.jpg"
            file.write_bytes(photo)
            memory = {name: memory_of(name, file, SIDE) for name in routes}
    return {
        "megapixels": megapixels, "kind": kind, "width": width, "height": height, "bytes": len(photo),
        "times": times, "memory": memory,
    }  # fmt: skip


def measure_frames(plan: Plan, picture: Image.Image) -> dict[str, dict[str, float]]:
    """Milliseconds that frames take through our way, by size ("640 x 480")."""
    calls = {}
    for width, height in FRAMES:
        frame = np.array(ImageOps.fit(picture, (width, height)))
        calls[f"{width} x {height}"] = functools.partial(picture_pixels, frame, SIDE)
    return {size: summary(found) for size, found in take_turns(calls, plan.least_runs, plan.burst).items()}


def measure_quality(
    routes: Mapping[str, Route], sources: Sequence[Image.Image], megapixels: float
) -> dict[str, dict[str, dict[str, float]]]:
    """Route -> truth -> mean and least PSNR in dB over photos made of the sources."""
    found: dict[str, dict[str, list[float]]] = {name: {t: [] for t in TRUTHS} for name in routes}
    for seed, source in enumerate(sources):
        photo = make_photo(source, megapixels, seed)
        full = decode_full(photo)
        truths = {name: truth(full, SIDE, name) for name in TRUTHS}
        for name, route in routes.items():
            pixels = as_array(route(photo, SIDE), SIDE)
            for of, wanted in truths.items():
                found[name][of].append(min(psnr(pixels, wanted), 99.0))  # JSON has no infinity
    return {
        name: {of: {"mean": statistics.fmean(values), "least": min(values)} for of, values in by_truth.items()}
        for name, by_truth in found.items()
    }


def figures(result: Mapping[str, Any]) -> dict[str, float]:
    """The figures of the last line; those that were not measured are not a number."""
    found = {"photos_1mp": math.nan, "photos_12mp": math.nan, "psnr_12mp": math.nan, "accuracy_change": math.nan}
    for photo in result["photos"]:
        key = f"photos_{photo['megapixels']:g}mp"
        if photo["kind"] == CAMERA and key in found:
            found[key] = photo["times"][PLAIN]["median"] / photo["times"][OURS]["median"]
    if f"{LARGE}" in result["quality"]:
        found["psnr_12mp"] = result["quality"][f"{LARGE}"][OURS]["bilinear"]["mean"]
    if result["accuracy"]:
        found["accuracy_change"] = result["accuracy"]["change"]
    return found


def processor() -> str:
    """As the processor calls itself."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(("model name", "Model"))), "") or (
        platform.processor() or platform.machine()
    )
