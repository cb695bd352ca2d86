"""brume gallery's page in a headless Chromium, opened from its file.

Skipped, with exit code 77, where there is no browser; BRUME_REQUIRE_BROWSER makes that a failure.
"""

import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import unittest
import zlib

import chromium

EVIL = '<img src=x onerror="window.pwned=1"></script><script>window.pwned=2</script>\'"--><svg onload=window.pwned=3>'


def png(width, height, colour, texts):
    """A PNG of one colour, with iTXt chunks."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = (b"\0" + bytes(colour) * width) * height
    said = b"".join(chunk(b"iTXt", key.encode() + b"\0\0\0\0\0" + text.encode()) for key, text in texts.items())
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) + said
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def ours(prompt, **fields):
    return {"brume": json.dumps({"prompt": prompt, "negative_prompt": fields.pop("negative", None), **fields})}


PICTURES = {
    "01 red fox #1?.png": ours("a red fox\nin the snow", seed=5, steps=20, cfg_scale=7.0, negative="rain"),
    "02.png": ours("a blue fox", seed=51, steps=8, sampler="ddim"),
    "03 100%25.png": ours("a red owl", seed=6, steps=20),
    "04.png": {"parameters": "a boat at sea\nNegative prompt: fog\nSteps: 30, Sampler: Euler a, CFG scale: 7, Seed: 5"},
    "05 " + EVIL.replace("/", "_") + ".png": ours(EVIL, seed=9, **{EVIL: EVIL}, negative=EVIL),
    "06.png": ours("turned \u202e round \u0007", seed=10),
    "07.png": {},
}
MANY = 200


class Gallery(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        # A directory's name needs care too.
        cls.place = pathlib.Path(cls.folder.name) / "a #directory? <b>"
        cls.place.mkdir()
        for number, (name, texts) in enumerate(PICTURES.items()):
            (cls.place / name).write_bytes(png(40, 30, (number * 30, 90, 200), texts))
        for number in range(MANY):
            (cls.place / f"more{number:03}.png").write_bytes(png(30, 40, (9, 9, number), ours(f"thing {number}")))
        program = os.environ["BRUME_PROGRAM"]
        subprocess.run([program, "gallery", str(cls.place)], check=True, stdout=subprocess.DEVNULL)
        cls.browser = chromium.Chromium(chromium.find())

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()
        cls.folder.cleanup()

    def setUp(self):
        self.browser.resize(1200, 800)
        self.browser.open((self.place / "index.html").as_uri())

    def tearDown(self):
        self.assertEqual(self.browser.complaints(), [])
        self.assertIsNone(self.browser.value("window.pwned"))
        for url in self.browser.requests():
            self.assertTrue(url.startswith("file:///"), url)

    def shown(self):
        return self.browser.value(
            "[...document.querySelectorAll('li')].filter(li => li.checkVisibility()).map(li => li.querySelector('h2').textContent)")

    def filter(self, text):
        self.browser.value("document.querySelector('input').focus(); document.querySelector('input').value = ''")
        self.browser.type(text)
        return self.shown()

    def recipe(self):
        """The text of the recipes that can be seen: at most one."""
        texts = self.browser.value("[...document.querySelectorAll('.r')].filter(r => r.checkVisibility()"
                                   " && r.getBoundingClientRect().height > 50).map(r => r.innerText)")
        self.assertLessEqual(len(texts), 1)
        return texts[0] if texts else ""

    def test_every_thumbnail_decodes(self):
        total = len(PICTURES) + MANY
        # Those that are far from the screen wait until they are scrolled to.
        self.assertGreater(self.browser.value("[...document.images].filter(i => !i.complete).length"), 0)
        self.browser.value("""(async () => { for (const image of document.images) {
            image.scrollIntoView();
            await new Promise(requestAnimationFrame);
        } })()""")
        self.browser.wait_for("[...document.images].every(image => image.complete)")
        self.assertEqual(self.browser.value("[...document.images].filter(i => i.naturalWidth > 0).length"), total)
        self.assertEqual(self.browser.value("document.querySelector('output').textContent"), f"{total} pictures")
        self.assertEqual(self.browser.value("document.title"), self.place.name)

    def test_links_lead_to_the_pictures(self):
        links = self.browser.value("[...document.querySelectorAll('li a')].map(a => a.href)")
        self.assertEqual(links[:len(PICTURES)], [(self.place / name).as_uri() for name in PICTURES])

    def test_filter(self):
        self.assertEqual(len(self.filter("red")), 2)
        self.assertEqual(self.filter("RED  fox"), ["01 red fox #1?.png"])
        self.assertEqual(self.browser.value("document.querySelector('output').textContent"),
                         f"1 of {len(PICTURES) + MANY} pictures")
        self.assertEqual(self.filter("seed:5"), ["01 red fox #1?.png", "04.png"])
        self.assertEqual(self.filter("cfg_scale:7 boat"), ["04.png"])
        self.assertEqual(self.filter("steps:20 owl"), ["03 100%25.png"])
        self.assertEqual(self.filter('"euler a"'), ["04.png"])
        self.assertEqual(self.filter("onerror"), [list(PICTURES)[4]])
        self.assertEqual(self.filter("nothing like this"), [])
        self.browser.press("Escape")
        self.assertEqual(len(self.shown()), len(PICTURES) + MANY)

    def test_focus_shows_the_recipe(self):
        self.assertEqual(self.recipe(), "")
        self.browser.value("document.querySelector('input').focus()")
        self.browser.press("Tab")
        self.assertEqual(self.browser.value("document.activeElement.getAttribute('href')"), "./01%20red%20fox%20%231%3F.png")
        recipe = self.recipe()
        for part in ("a red fox\nin the snow", "rain", "seed", "20", "01 red fox #1?.png", "40x30"):
            self.assertIn(part, recipe)
        self.browser.press("ArrowRight")
        self.assertIn("a blue fox", self.recipe())
        left = self.browser.value("document.activeElement.getBoundingClientRect().x")
        self.browser.press("ArrowDown")
        self.assertNotIn("a blue fox", self.recipe())
        self.assertEqual(self.browser.value("document.activeElement.getBoundingClientRect().x"), left)
        self.browser.press("Home")
        self.assertIn("a red fox", self.recipe())
        self.browser.press("Escape")
        self.assertEqual(self.recipe(), "")

    def test_the_pointer_shows_the_recipe(self):
        self.browser.point_at("li:nth-child(2) a")
        self.assertIn("a blue fox", self.recipe())
        self.browser.point_at("li:nth-child(4) a")
        self.assertIn("a boat at sea", self.recipe())
        self.assertIn("Euler a", self.recipe())
        self.browser.point_at("header")
        self.assertIn("a boat at sea", self.recipe())

    def test_a_touch_shows_the_recipe_and_a_second_opens_the_picture(self):
        self.browser.resize(390, 780, touch=True)
        page = self.browser.value("location.href")
        self.browser.tap("li:nth-child(2) a")
        self.browser.wait_for("document.querySelector('li:nth-child(2)').matches('.on')")
        self.assertIn("a blue fox", self.recipe())
        self.browser.tap("li:nth-child(1) .c")
        self.browser.wait_for("document.querySelector('li:nth-child(1)').matches('.on')")
        self.assertIn("a red fox", self.recipe())
        self.assertEqual(self.browser.value("location.href"), page)
        self.browser.tap("li:nth-child(1) a")
        self.browser.wait_for("location.href.endsWith('01%20red%20fox%20%231%3F.png')")

    def test_hostile_texts_are_only_shown(self):
        self.browser.value("document.querySelector('li:nth-child(5) a').focus()")
        self.assertIn(EVIL, self.recipe())
        self.assertEqual(self.browser.value("document.querySelectorAll('svg, main script, img:not([alt])').length"), 0)
        self.browser.value("document.querySelector('li:nth-child(6) a').focus()")
        self.assertIn("turned \\u202E round \\x07", self.recipe())

    def test_the_policy_holds_what_is_not_ours(self):
        self.assertIsNone(self.browser.value("""(() => {
            const script = document.createElement("script");
            script.textContent = "window.pwned = 4";
            document.body.append(script);
            const image = new Image();
            image.src = "http://127.0.0.1:9/x.png";
            document.body.append(image);
            return window.pwned; })()"""))
        self.browser.value("new Promise(done => setTimeout(done, 200))")
        reasons = [event["params"].get("blockedReason") for event in self.browser.events
                   if event.get("method") == "Network.loadingFailed"]
        self.assertEqual(reasons, ["csp"])
        self.assertGreaterEqual(len(self.browser.complaints()), 2)  # the browser tells of both
        self.browser.events.clear()

    def test_nothing_overflows_a_narrow_window(self):
        for width in (320, 600, 1000, 1800):
            self.browser.resize(width, 700)
            self.assertLessEqual(self.browser.value("document.documentElement.scrollWidth"), width)

    def test_without_scripts_the_recipe_shows_too(self):
        self.browser.ask("Emulation.setScriptExecutionDisabled", value=True)
        try:
            self.browser.open((self.place / "index.html").as_uri())
            self.browser.point_at("li:nth-child(2) a")
            self.assertIn("a blue fox", self.recipe())
        finally:
            self.browser.ask("Emulation.setScriptExecutionDisabled", value=False)


if __name__ == "__main__":
    if chromium.find() is None:
        reason = "no Chromium here: type tools/setup --browser, or name one in BRUME_BROWSER"
        print("[  SKIPPED ]", reason)
        sys.exit(1 if os.environ.get("BRUME_REQUIRE_BROWSER") else 77)
    unittest.main()
