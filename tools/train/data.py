"""The training pictures: emoji of the font over coloured backgrounds, and their captions."""

import io
import random
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy
import torch
import uharfbuzz
from fontTools.ttLib import TTFont
from PIL import Image

FONT = "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"
ANNOTATIONS = "/usr/share/unicode/cldr/common/annotations/en.xml"
PICTURES = Path(__file__).with_name("pictures.tsv")
SIZE = 128
MARGIN = 8

# Name: (sRGB, other words for it). The first, white, is what a caption without a background means.
BACKGROUNDS = {
    "white": ((255, 255, 255), ()),
    "black": ((16, 16, 18), ()),
    "grey": ((140, 142, 146), ("gray",)),
    "red": ((214, 40, 48), ()),
    "orange": ((247, 140, 35), ()),
    "yellow": ((253, 220, 60), ()),
    "green": ((50, 150, 70), ()),
    "cyan": ((95, 205, 220), ("light blue",)),
    "blue": ((40, 85, 200), ()),
    "purple": ((120, 60, 165), ("violet",)),
    "pink": ((250, 160, 195), ()),
    "brown": ((125, 80, 50), ()),
}
BACKGROUND_NAMES = list(BACKGROUNDS)
HELD_OUT_PAIRS = 60
# A caption with no background is common in use, so white is trained more often than the others.
WHITE_WEIGHT = 4


def load_names():
    """[(emoji string, [primary name, other names...])] of the committed list."""
    entries = []
    for line in PICTURES.read_text(encoding="utf-8").splitlines():
        code_points, names = line.split("\t")
        entries.append(("".join(chr(int(c, 16)) for c in code_points.split()), names.split("; ")))
    return entries


def load_keywords(entries, limit=3):
    """Per emoji, the annotation keywords that no other emoji of the list has as keyword or name."""
    annotations = {}
    for node in ElementTree.parse(ANNOTATIONS).getroot().iter("annotation"):
        if node.get("type") is None:
            annotations[node.get("cp")] = [word.strip().lower() for word in node.text.split("|")]
    names = {name.lower() for _, own in entries for name in own}
    keywords = [annotations.get(emoji.replace("\ufe0f", ""), []) for emoji, _ in entries]
    uses = {}
    for words in keywords:
        for word in set(words):
            uses[word] = uses.get(word, 0) + 1
    colours = set(BACKGROUNDS) | {other for _, others in BACKGROUNDS.values() for other in others}
    return [[w for w in words if uses[w] == 1 and w not in names and w not in colours and len(w) > 2][:limit]
            for words in keywords]


def load_pictures(entries):
    """Premultiplied RGBA of every emoji, float in 0..1, [n, 4, SIZE, SIZE]."""
    font = TTFont(FONT)
    strike = font["CBDT"].strikeData[0]
    shaper = uharfbuzz.Font(uharfbuzz.Face(Path(FONT).read_bytes()))
    pictures = []
    for emoji, names in entries:
        buffer = uharfbuzz.Buffer()
        buffer.add_str(emoji)
        buffer.guess_segment_properties()
        uharfbuzz.shape(shaper, buffer)
        glyphs = [font.getGlyphName(info.codepoint) for info in buffer.glyph_infos]
        glyphs = [glyph for glyph in glyphs if glyph in strike]
        if len(glyphs) != 1:
            raise ValueError(f"the font has no single picture of {names[0]}")
        picture = Image.open(io.BytesIO(strike[glyphs[0]].imageData)).convert("RGBA")
        # The strikes are 136x128: squares of 128 with empty bands at both sides.
        left = (picture.width - picture.height) // 2
        picture = picture.crop((left, 0, left + picture.height, picture.height))
        pixels = numpy.asarray(picture, dtype=numpy.float32) / 255
        pixels[..., :3] *= pixels[..., 3:]
        inner = SIZE - 2 * MARGIN
        channels = [Image.fromarray(pixels[..., c]).resize((inner, inner), Image.LANCZOS) for c in range(4)]
        canvas = numpy.zeros((4, SIZE, SIZE), dtype=numpy.float32)
        canvas[:, MARGIN:-MARGIN, MARGIN:-MARGIN] = numpy.stack(channels).clip(0, 1)
        pictures.append(torch.from_numpy(canvas))
    return torch.stack(pictures)


def background_colours():
    """[12, 3] in 0..1."""
    return torch.tensor([rgb for rgb, _ in BACKGROUNDS.values()], dtype=torch.float32) / 255


def composite(pictures, colours):
    """Premultiplied pictures over colours [n, 3], as the model's range of -1..1."""
    mixed = pictures[:, :3] + (1 - pictures[:, 3:]) * colours[:, :, None, None]
    return mixed.clamp(0, 1) * 2 - 1


def held_out_pairs(count):
    """{(picture, background)} never trained: different pictures, backgrounds other than white."""
    generator = random.Random(7)
    pictures = generator.sample(range(count), HELD_OUT_PAIRS)
    return {(picture, 1 + i % (len(BACKGROUNDS) - 1)) for i, picture in enumerate(pictures)}


def article_of(word):
    return "an" if word[0].lower() in "aeiou" else "a"


class Captions:
    """Random captions of (picture, background) pairs."""

    def __init__(self, entries, seed=0):
        self.names = [names for _, names in entries]
        self.keywords = load_keywords(entries)
        self.held_out = held_out_pairs(len(entries))
        self.random = random.Random(seed)
        self.background_weights = [WHITE_WEIGHT] + [1] * (len(BACKGROUNDS) - 1)

    def pair(self, picture):
        while True:
            background = self.random.choices(range(len(BACKGROUNDS)), self.background_weights)[0]
            if (picture, background) not in self.held_out:
                return background

    def batch(self, count):
        """[(picture, background)], [caption]"""
        pictures = [self.random.randrange(len(self.names)) for _ in range(count)]
        pairs = [(picture, self.pair(picture)) for picture in pictures]
        return pairs, [self.caption(*pair) for pair in pairs]

    def caption(self, picture, background):
        pick = self.random.random()
        names, keywords = self.names[picture], self.keywords[picture]
        if keywords and pick < 0.06:
            name = self.random.choice(keywords)
        elif pick < 0.5:
            name = self.random.choice(names)
        else:
            name = names[0]
        article = article_of(name)
        prefix = self.random.choices(
            ["", f"{article} ", "the ", f"a picture of {article} ", f"a photo of {article} ", f"a drawing of {article} "],
            [5, 7, 1.5, 1, 1, 0.5])[0]
        text = prefix + name
        colour = BACKGROUND_NAMES[background]
        if background != 0 or self.random.random() < 0.3:
            words = self.random.choice((colour, colour) + BACKGROUNDS[colour][1])
            text += self.random.choices(
                [f" on {article_of(words)} {words} background", f" on {words}", f", {words} background"], [10, 1, 1])[0]
        return text
