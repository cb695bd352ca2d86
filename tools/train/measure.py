"""Figures of quality of a model directory against the pictures it was trained on."""

import random

import numpy
import torch
from PIL import Image

import data
from sample import Sampler, caption

COLOURED = 360
GRID_COLUMNS, GRID_ROWS = 8, 6
# The pictures keep clear of this border, so it shows the background alone.
BORDER = 4


def nearest(painted, pictures, colours):
    """Per painted picture, (picture, background) of the nearest training picture by squared distance of the pixels."""
    painted = painted.flatten(1)
    distances = []
    for colour in colours:
        originals = data.composite(pictures, colour.expand(len(pictures), -1)).flatten(1)
        distances.append(originals.square().sum(1) - 2 * painted @ originals.T)
    best = torch.stack(distances, 2).flatten(1).argmin(1)
    return torch.stack([best // len(colours), best % len(colours)], 1)


def backgrounds(painted, colours):
    """The nearest of the background colours to the median colour of each picture's border."""
    inside = torch.zeros(data.SIZE, data.SIZE, dtype=torch.bool)
    inside[BORDER:-BORDER, BORDER:-BORDER] = True
    median = painted[:, :, ~inside].median(2).values
    return torch.cdist(median, colours * 2 - 1).argmin(1)


def l1(painted, pairs, pictures, colours):
    pictures_of, colours_of = torch.tensor(pairs).T
    return float((painted - data.composite(pictures[pictures_of], colours[colours_of])).abs().mean())


def percent(right):
    return round(100 * float(right.float().mean()), 2)


def save_grid(painted, columns, path):
    rows = -(-len(painted) // columns)
    canvas = Image.new("RGB", (columns * data.SIZE, rows * data.SIZE))
    pixels = ((painted.permute(0, 2, 3, 1).numpy() + 1) * 127.5).round().astype(numpy.uint8)
    for i, picture in enumerate(pixels):
        canvas.paste(Image.fromarray(picture), (i % columns * data.SIZE, i // columns * data.SIZE))
    # A palette keeps the file small; the difference does not show.
    canvas.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def measure(folder, guidance, steps, seed, limit=None):
    """(figures, grid pictures); `limit` takes only the first names, for a quick look."""
    entries = data.load_names()
    pictures, colours = data.load_pictures(entries), data.background_colours()
    sampler = Sampler(folder)
    generator = random.Random(seed)
    held_out = data.held_out_pairs(len(entries))
    trained = [(i, b) for i in range(len(entries)) for b in range(1, len(colours)) if (i, b) not in held_out]
    generator.shuffle(trained)
    groups = {
        "names_on_white": [(i, 0) for i in range(len(entries))][:limit],
        "names_on_colours": trained[:COLOURED][:limit],
        "held_out_pairs": sorted(held_out)[:limit],
    }
    figures = {"guidance_scale": guidance, "num_inference_steps": steps, "seed": seed, "names": len(entries)}
    wrong = {}
    for group, pairs in groups.items():
        captions = [caption(entries[i][1][0], b) for i, b in pairs]
        painted = sampler.pictures(sampler.latents(captions, seed, guidance, steps))
        asked = torch.tensor(pairs)
        found = nearest(painted, pictures, colours)
        seen = backgrounds(painted, colours)
        right_picture, right_background = found[:, 0] == asked[:, 0], seen == asked[:, 1]
        figures[group] = {
            "count": len(pairs),
            "nearest_picture_right_percent": percent(right_picture),
            "background_right_percent": percent(right_background),
            "both_right_percent": percent(right_picture & right_background),
            "l1_to_original": round(l1(painted, pairs, pictures, colours), 4),
        }
        wrong[group] = [c for c, right in zip(captions, right_picture & right_background) if not right]
    figures["l1_scale"] = "mean absolute difference of channels in -1..1"
    figures["wrong"] = wrong
    grid_pairs = [(i, generator.choice([b for b in range(len(colours)) if (i, b) not in held_out]))
                  for i in generator.sample(range(len(entries)), GRID_COLUMNS * GRID_ROWS)]
    captions = [caption(entries[i][1][0], b) for i, b in grid_pairs]
    figures["grid_captions"] = captions
    return figures, sampler.pictures(sampler.latents(captions, seed + 1, guidance, steps))
