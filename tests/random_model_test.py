"""tools/reference/make_random_model.py writes the same model as a directory and as one file, in small."""

import dataclasses
import sys
import tempfile
import unittest
from pathlib import Path

import torch
from safetensors.torch import load_file

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools/reference"))
import make_random_model  # noqa: E402
from tiny_models import SD1, SD2, SDXL, hub_text_name  # noqa: E402

MARKERS = {make_random_model.START: 49406, make_random_model.END: 49407}
STEMS = {"unet": "diffusion_pytorch_model", "vae": "diffusion_pytorch_model"}


class RandomModel(unittest.TestCase):
    def test_both_layouts_hold_the_same_model(self) -> None:
        for family in (SD1, SD2, SDXL):
            with self.subTest(family.name), tempfile.TemporaryDirectory() as folder:
                parts = make_random_model.components(family, MARKERS)
                directory, file = Path(folder) / "model", Path(folder) / "model.safetensors"
                make_random_model.write_directory(family, parts, directory, torch.float16, "F16")
                make_random_model.write_file(parts, file, torch.float16, "F16")
                wanted = {}
                for part in parts:
                    stem = STEMS.get(part.name, "model")
                    tensors = load_file(str(directory / part.name / f"{stem}.safetensors"))
                    rename = hub_text_name if part.name.startswith("text") else str
                    own = {name: tensors[rename(name)] for name in part.shapes()}
                    wanted |= part.original(own)
                found = load_file(str(file))
                self.assertEqual(sorted(found), sorted(wanted))
                for name, tensor in wanted.items():
                    self.assertTrue(torch.equal(found[name], tensor), name)
                    self.assertTrue(torch.isfinite(tensor).all(), name)

    def test_the_seed_decides_the_weights(self) -> None:
        other = dataclasses.replace(SD1, seed=SD1.seed + 1)
        first, again, second = (
            next(make_random_model.components(family, MARKERS)[2].tensors(torch.float32)) for family in (SD1, SD1, other)
        )
        name = next(iter(first))
        self.assertTrue(torch.equal(first[name], again[name]))
        self.assertFalse(torch.equal(first[name], second[name]))


if __name__ == "__main__":
    unittest.main()
