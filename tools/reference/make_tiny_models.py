"""Writes the tiny models and the reference tensors of tests/reference. Run it twice: the bytes are the same.

usage: make_tiny_models.py [OUTPUT_DIR]
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import torch

from adapter_cases import make_adapter_cases
from embedding_cases import make_embedding_cases
from guidance_cases import make_guidance_cases
from inpainting_cases import make_inpainting_cases
from lcm_cases import make_lcm_cases
from noise_cases import make_noise_cases
from picture_cases import make_picture_cases
from pipeline_cases import make_pipeline_cases
from prompt_cases import make_prompt_cases
from sampler_cases import make_sampler_cases
from scheduler_cases import make_scheduler_cases
from single_file_cases import make_single_file_cases
from tiny_models import FAMILIES, REFINER, make_model
from variant_cases import make_variants

DEFAULT_OUTPUT = Path(__file__).resolve().parents[2] / "tests" / "reference"
WRITTEN = (
    "sd1", "sd2", "sdxl", "refiner", "cases", "variants", "schedulers", "samplers", "noise", "single_files", "prompts", "adapters",
    "guidance", "embeddings", "lcm", "pictures",
)


def main() -> None:
    output = Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_OUTPUT
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for name in WRITTEN:
        shutil.rmtree(output / name, ignore_errors=True)
    for family in (*FAMILIES, REFINER):
        make_model(family, output / family.name)
    make_pipeline_cases(output, output / "cases")
    make_variants(output / "variants")
    make_scheduler_cases(output / "schedulers")
    make_sampler_cases(output / "samplers")
    make_noise_cases(output / "noise")
    make_single_file_cases(output / "single_files")
    make_prompt_cases(output, output / "prompts")
    make_adapter_cases(output, output / "adapters")
    make_embedding_cases(output, output / "embeddings")
    make_guidance_cases(output, output / "guidance")
    make_lcm_cases(output, output / "lcm")
    make_picture_cases(output, output / "pictures")
    make_inpainting_cases(output, output / "pictures")


if __name__ == "__main__":
    main()
