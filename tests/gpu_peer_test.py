"""tools/compare/gpu_peer.py on the CPU, on the smallest architecture: that its loop runs, and ends when it should."""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import torch  # noqa: E402
from compare import gpu_peer, random_networks  # noqa: E402
from diffusers import AutoencoderKL, UNet2DConditionModel  # noqa: E402

CPU = torch.device("cpu")
TINY = ("--arch", "tiny", "--device", "cpu", "--dtype", "fp32")


class Networks(unittest.TestCase):
    def test_are_finite_and_differ_from_zero(self):
        for kind, part in ((UNet2DConditionModel, "unet"), (AutoencoderKL, "vae")):
            network = random_networks.build(kind, random_networks.config_of("tiny", part), CPU, torch.float16)
            for name, parameter in network.named_parameters():
                self.assertEqual(parameter.dtype, torch.float16, name)
                self.assertTrue(torch.isfinite(parameter).all(), name)
                self.assertTrue(parameter.numel() < 4 or parameter.std() > 0, name)
            self.assertFalse(network.training)
        self.assertEqual(torch.get_default_dtype(), torch.float32)


class Loop(unittest.TestCase):
    def test_is_the_pipeline_s(self):
        peer = gpu_peer.Peer(gpu_peer.parse_arguments([*TINY]), gpu_peer.Place("cpu"))
        seen = []

        def unet(rows, timestep, **_words):
            seen.append((rows.shape[0], timestep.item()))
            return (torch.zeros_like(rows),)

        peer.unet = unet
        noise = peer.random(1, *peer.shape)
        peer.random = lambda *sizes: noise if sizes == noise.shape else torch.zeros(sizes)
        latents = peer.loop(1, 4)()  # nothing predicted: they stay as they were
        self.assertEqual(seen, [(2, 751.0), (2, 501.0), (2, 251.0), (2, 1.0)])
        self.assertTrue(torch.allclose(latents, noise * peer.scheduler.init_noise_sigma))

    def test_conditions_have_an_xl_model_s_sizes(self):
        peer = gpu_peer.Peer.__new__(gpu_peer.Peer)
        peer.place, peer.dtype, peer.width, peer.height = gpu_peer.Place("cpu"), torch.float32, 64, 32
        with torch.device("meta"):
            peer.config = UNet2DConditionModel.from_config(random_networks.config_of("sdxl", "unet")).config
        words = peer.conditions(3)
        self.assertEqual(words["encoder_hidden_states"].shape, (6, 77, 2048))
        self.assertEqual(words["added_cond_kwargs"]["text_embeds"].shape, (6, 1280))
        self.assertEqual(words["added_cond_kwargs"]["time_ids"].tolist(), [[32, 64, 0, 0, 32, 64]] * 6)


class Measurements(unittest.TestCase):
    def test_end_early_but_never_before_the_first(self):
        place = gpu_peer.Place("cpu")
        self.assertEqual(len(gpu_peer.Watch(place, 5, 100).often(lambda: lambda: None)), 5)
        self.assertEqual(len(gpu_peer.Watch(place, 5, 100).often(lambda: lambda: None, 3)), 3)
        self.assertEqual(len(gpu_peer.Watch(place, 5, 0).often(lambda: lambda: None)), 1)

    def test_all_of_them_on_a_small_picture(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "peer.json"
            words = [*TINY, "--size", "64x32", "--steps", "2", "--runs", "2", "--seconds", "600", "--batch8",
                     "--json", str(path)]
            done = gpu_peer.run(gpu_peer.parse_arguments(words))
            self.assertEqual(json.loads(path.read_text()), done)
        self.assertEqual((done["format"], done["size"], done["finite"], done["complete"]),
                         ("brume.gpu_peer/1", "64x32", True, True))
        loops = sorted(done["samples"]["loop_ms"])
        self.assertEqual([len(done["samples"][name]) for name in ("loop_ms", "decode_ms", "batch8_ms")], [2, 2, 3])
        self.assertAlmostEqual(done["unet_step_ms"], sum(loops) / 2 / 2)
        self.assertAlmostEqual(done["steps_per_second"] * done["unet_step_ms"], 1000)
        for name in ("vae_decode_ms", "pictures_per_second_batch8", "peak_memory_bytes"):
            self.assertGreater(done[name], 0, name)
        self.assertIsNone(done["compile_seconds"])

    def test_a_size_that_cannot_be_is_one_line(self):
        done = subprocess.run([sys.executable, ROOT / "tools/compare/gpu_peer.py", *TINY, "--size", "60x64"],
                              capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("60x64: both must be multiples of 8", done.stderr.splitlines()[-1])


if __name__ == "__main__":
    with torch.no_grad():
        unittest.main()
