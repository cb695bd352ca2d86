"""One contestant's process: diffusers' UNet and VAE on a model directory, a few steps and a decode, one JSON object.

Words and latents are random: the time does not depend on them.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

# Scripts of this folder are started by their path: none of its names may hide a library's.
sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != Path(__file__).resolve().parent]

import torch  # noqa: E402
from diffusers import AutoencoderKL, UNet2DConditionModel  # noqa: E402

WORDS = 77
ROWS = 2  # guidance: with the words and without
WARM_UP_STEPS = 2  # as brume bench does
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def milliseconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1000


class Peer:
    def __init__(self, arguments: argparse.Namespace) -> None:
        self.dtype = DTYPES[arguments.dtype]
        self.unet = self._load(UNet2DConditionModel, arguments.model / "unet")
        self.vae = self._load(AutoencoderKL, arguments.model / "vae")
        if arguments.channels_last:
            self.unet.to(memory_format=torch.channels_last)
            self.vae.to(memory_format=torch.channels_last)
        factor = 2 ** (len(self.vae.config.block_out_channels) - 1)
        self.shape = (self.unet.config.in_channels, arguments.height // factor, arguments.width // factor)
        self.inputs = self._unet_inputs(arguments)
        self.latents = torch.randn(1, *self.shape).to(self.dtype)
        if arguments.compile:
            self.unet = torch.compile(self.unet)
            self.vae.decoder = torch.compile(self.vae.decoder)

    def _load(self, kind: type, folder: Path):
        return kind.from_pretrained(str(folder), dtype=self.dtype, local_files_only=True).eval()

    def _unet_inputs(self, arguments: argparse.Namespace) -> dict:
        config = self.unet.config
        inputs = {"encoder_hidden_states": torch.randn(ROWS, WORDS, config.cross_attention_dim).to(self.dtype)}
        if config.addition_embed_type == "text_time":
            pooled = config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim
            size = [arguments.height, arguments.width]
            inputs["added_cond_kwargs"] = {"text_embeds": torch.randn(ROWS, pooled).to(self.dtype),
                                           "time_ids": torch.tensor([[*size, 0, 0, *size]] * ROWS).to(self.dtype)}
        return {"sample": torch.randn(ROWS, *self.shape).to(self.dtype), "timestep": torch.tensor(500), **inputs}

    def step(self) -> torch.Tensor:
        return self.unet(**self.inputs, return_dict=False)[0]

    def decode(self) -> torch.Tensor:
        return self.vae.decode(self.latents, return_dict=False)[0]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    for name in ("--width", "--height", "--steps", "--threads"):
        parser.add_argument(name, type=int, required=True)
    parser.add_argument("--dtype", choices=sorted(DTYPES), required=True)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--only-compile", action="store_true", help="a step and a decode, and the time of both")
    parser.add_argument("--channels-last", action="store_true")
    return parser.parse_args()


@torch.no_grad()
def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    start = time.perf_counter()
    peer = Peer(arguments)
    loaded = time.perf_counter()
    if arguments.only_compile:
        peer.step()
        peer.decode()
        print(json.dumps({"compile_seconds": time.perf_counter() - loaded}))
        return
    for _ in range(WARM_UP_STEPS):
        peer.step()
    peer.decode()
    warm = time.perf_counter()
    steps = [milliseconds(peer.step) for _ in range(arguments.steps)]
    print(json.dumps({"steps_ms": steps, "decode_ms": milliseconds(peer.decode), "load_ms": (loaded - start) * 1000,
                      "warm_up_ms": (warm - loaded) * 1000, "threads": torch.get_num_threads(),
                      "instruction_set": torch.backends.cpu.get_cpu_capability()}))


if __name__ == "__main__":
    main()
