"""Writes a model directory in the diffusers layout from the trained parts."""

import json
import shutil

import torch
from diffusers import DDIMScheduler
from safetensors.torch import save_file

import data
import unet

GUIDANCE, STEPS = 1.25, 20
INDEX = {
    "_class_name": "StableDiffusionPipeline",
    "_diffusers_version": "0.42.1",
    "feature_extractor": [None, None],
    "image_encoder": [None, None],
    "requires_safety_checker": False,
    "safety_checker": [None, None],
    "scheduler": ["diffusers", "DDIMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2) + "\n")


def write_component(model, folder, weights, config, prefix=""):
    folder.mkdir(parents=True, exist_ok=True)
    state = {prefix + name: tensor.detach().half().contiguous() for name, tensor in model.state_dict().items()}
    save_file(state, folder / weights, metadata={"format": "pt"})
    write_json(folder / "config.json", config)


def write(folder, work, vae, painter, entries):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_json(folder / "model_index.json", INDEX)
    write_json(folder / "brume.json", {
        "guidance_scale": GUIDANCE, "num_inference_steps": STEPS, "width": data.SIZE, "height": data.SIZE})
    shutil.copytree(work / "tokenizer", folder / "tokenizer")
    text_config = {key: value for key, value in painter.encoder.config.to_diff_dict().items()
                   if key not in ("transformers_version", "_name_or_path")}
    # Keys that every reader of this format asks for, even where the value is the library's default.
    for key in ("hidden_act", "hidden_size", "intermediate_size", "layer_norm_eps", "max_position_embeddings",
                "num_attention_heads", "num_hidden_layers", "vocab_size", "bos_token_id", "eos_token_id", "pad_token_id"):
        text_config[key] = getattr(painter.encoder.config, key)
    text_config.update({"architectures": ["CLIPTextModel"], "model_type": "clip_text_model", "dtype": "float16"})
    write_component(painter.encoder, folder / "text_encoder", "model.safetensors", text_config, prefix="text_model.")
    for name, model in (("unet", painter.unet), ("vae", vae)):
        config = json.loads(model.to_json_string())
        config.pop("_name_or_path", None)
        write_component(model, folder / name, "diffusion_pytorch_model.safetensors", config)
    DDIMScheduler(**unet.SCHEDULER).save_pretrained(folder / "scheduler")
    (folder / "names.txt").write_text("".join("; ".join(names) + "\n" for _, names in entries), encoding="utf-8")
