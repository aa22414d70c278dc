"""Draw the pictures of the documents afresh: ``python docs/images/make.py``."""

from __future__ import annotations

import shutil
from collections import Counter
from io import BytesIO
from pathlib import Path
from typing import Any

import symad as sm
from symad.demo.examples import running_example
from symad.demo.models import initial_weights, regularised_network

FOLDER = Path(__file__).resolve().parent
COLOURS = 28


def main() -> None:
    """Draw the extended running example, and the network with L2 regularisation."""
    x1, x2, y = running_example()
    sm.draw([y, *sm.gradients(y, [x1, x2])]).save(FOLDER / "lecture.svg")
    weights1, weights2 = (weight.T for weight in initial_weights(784, 100, 10))
    model = regularised_network(weights1, weights2, strength=0.001)
    sm.draw(model.loss).save(FOLDER / "regularised.svg")


def film() -> None:
    """Film the player as it extends the running example, and computes values and adjoints.

    It takes playwright, a chromium and Pillow.
    """
    from PIL import Image
    from playwright.sync_api import sync_playwright

    x1, x2, y = running_example()
    frames, durations = [], []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"))
        page = browser.new_page(viewport={"width": 1000, "height": 610}, reduced_motion="reduce")
        page.set_content(sm.play(y, [x1, x2], {x1: 2.0, x2: 5.0}).html)
        _, extending, values, _, end, *_ = page.evaluate("player.story.chapters.map((c) => c.at)")
        for step in range(extending, end):
            page.evaluate(f"player.go({step})")
            frames.append(Image.open(BytesIO(page.screenshot())).convert("RGB"))
            durations.append(1200 if step < values else 600)
        browser.close()
    counts: Counter[Any] = Counter()
    for frame in frames:
        counts.update({colour: count for count, colour in frame.getcolors(2**24)})
    common = [channel for colour, _ in counts.most_common(COLOURS) for channel in colour]
    palette = Image.new("P", (1, 1))
    palette.putpalette(common + common[:3] * (256 - COLOURS))
    first, *others = (
        frame.quantize(palette=palette, dither=Image.Dither.NONE).convert("RGB") for frame in frames
    )
    durations[-1] = 4000
    first.save(
        FOLDER / "player.webp", save_all=True, append_images=others, duration=durations,
        loop=0, lossless=True, method=6,
    )  # fmt: skip


if __name__ == "__main__":
    main()
    film()
