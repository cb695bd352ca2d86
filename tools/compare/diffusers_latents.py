"""The latents of diffusers' own pipeline (tools/reference) before the first step and after the last, as two files."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

# Scripts of this folder are started by their path: none of its names may hide a library's.
sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != Path(__file__).resolve().parent]
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "reference"))

import torch  # noqa: E402
from reference_stages import Request, denoise_stage, first_latents, text_stage  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    for name in ("--width", "--height", "--steps", "--threads", "--seed"):
        parser.add_argument(name, type=int, required=True)
    parser.add_argument("--guidance", type=float, required=True)
    parser.add_argument("--prompt", required=True)
    parser.add_argument("--dtype", choices=sorted(DTYPES), required=True, help="of the UNet and its latents")
    for name in ("--first", "--last"):
        parser.add_argument(name, type=Path, required=True)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    request = Request(given.prompt, None, given.steps, given.guidance, given.seed, given.height, given.width)
    save_file({"latents": first_latents(given.model, request)}, str(given.first))
    _, embeds = text_stage(given.model, request)
    stages = denoise_stage(given.model, request, embeds, DTYPES[given.dtype])
    save_file({"latents": stages[f"latents_step{given.steps - 1}"].float().contiguous()}, str(given.last))


if __name__ == "__main__":
    main()
