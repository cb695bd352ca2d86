"""The published configurations of the models that brume draws with, at full size."""

from __future__ import annotations

from tiny_models import REFINER, SCHEDULE, SD1, SD2, SDXL, Family
from tiny_tokenizer import END

CROSS_DOWN, DOWN, CROSS_UP, UP = "CrossAttnDownBlock2D", "DownBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"
TEXT = {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12, "num_hidden_layers": 12,
        "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5, "projection_dim": 768}
TEXT_2 = {**TEXT, "hidden_size": 1280, "intermediate_size": 5120, "num_attention_heads": 20, "num_hidden_layers": 32,
          "hidden_act": "gelu", "projection_dim": 1280}
TEXT_H = {**TEXT, "hidden_size": 1024, "intermediate_size": 4096, "num_attention_heads": 16, "num_hidden_layers": 23,
          "hidden_act": "gelu"}
UNET = {"act_fn": "silu", "center_input_sample": False, "downsample_padding": 1, "flip_sin_to_cos": True,
        "freq_shift": 0, "in_channels": 4, "out_channels": 4, "layers_per_block": 2, "mid_block_scale_factor": 1,
        "norm_eps": 1e-5, "norm_num_groups": 32}
SD15_UNET = {**UNET, "sample_size": 64, "attention_head_dim": 8, "block_out_channels": (320, 640, 1280, 1280),
             "cross_attention_dim": 768, "down_block_types": (CROSS_DOWN,) * 3 + (DOWN,),
             "up_block_types": (UP,) + (CROSS_UP,) * 3}
SD21_UNET = {**SD15_UNET, "sample_size": 96, "attention_head_dim": [5, 10, 20, 20], "cross_attention_dim": 1024,
             "use_linear_projection": True}
SDXL_UNET = {**UNET, "sample_size": 128, "attention_head_dim": [5, 10, 20], "block_out_channels": (320, 640, 1280),
             "cross_attention_dim": 2048, "transformer_layers_per_block": [1, 2, 10], "use_linear_projection": True,
             "addition_embed_type": "text_time", "addition_time_embed_dim": 256,
             "projection_class_embeddings_input_dim": 2816, "down_block_types": (DOWN, CROSS_DOWN, CROSS_DOWN),
             "up_block_types": (CROSS_UP, CROSS_UP, UP)}
SSD1B_UNET = {**SDXL_UNET, "transformer_layers_per_block": [0, [2, 2], [4, 4]], "mid_block_type": "UNetMidBlock2D",
              "reverse_transformer_layers_per_block": [[4, 4, 10], [2, 1, 1], 1]}
VEGA_UNET = {**SDXL_UNET, "transformer_layers_per_block": [0, [1, 1], [2, 2]], "mid_block_type": "UNetMidBlock2D",
             "reverse_transformer_layers_per_block": [[2, 2, 2], [1, 1, 1], 1]}
SMALL_UNET = {**SD15_UNET, "layers_per_block": 1}
TINY_UNET = {**SMALL_UNET, "mid_block_type": None, "block_out_channels": (320, 640, 1280),
             "down_block_types": (CROSS_DOWN,) * 3, "up_block_types": (CROSS_UP,) * 3}
REFINER_UNET = {**SDXL_UNET, "attention_head_dim": [6, 12, 24, 24], "block_out_channels": (384, 768, 1536, 1536),
                "cross_attention_dim": 1280, "transformer_layers_per_block": 4,
                "projection_class_embeddings_input_dim": 2560,
                "down_block_types": (DOWN, CROSS_DOWN, CROSS_DOWN, DOWN), "up_block_types": (UP, CROSS_UP, CROSS_UP, UP)}
VAE = {"act_fn": "silu", "block_out_channels": (128, 256, 512, 512), "down_block_types": ("DownEncoderBlock2D",) * 4,
       "up_block_types": ("UpDecoderBlock2D",) * 4, "in_channels": 3, "out_channels": 3, "latent_channels": 4,
       "layers_per_block": 2, "norm_num_groups": 32}


def _first(name: str, unet: dict) -> Family:
    return Family(name=name, pipeline=SD1.pipeline, seed=15, max_length=77, pad=END, text=TEXT, unet=unet,
                  vae={**VAE, "sample_size": 512, "scaling_factor": 0.18215},
                  scheduler={**SCHEDULE, "_class_name": "PNDMScheduler", "skip_prk_steps": True})


def _xl(name: str, unet: dict, of: Family = SDXL) -> Family:
    return Family(name=name, pipeline=of.pipeline, seed=77, max_length=77, pad=END, text=of.text and TEXT, text_2=TEXT_2,
                  unet=unet, scheduler=of.scheduler, index_extra=of.index_extra,
                  vae={**VAE, "sample_size": 1024, "scaling_factor": 0.13025, "force_upcast": True})


ARCHITECTURES = {family.name: family for family in (
    _first("sd15", SD15_UNET),
    Family(name="sd21", pipeline=SD2.pipeline, seed=21, max_length=77, pad="!", text=TEXT_H, unet=SD21_UNET,
           vae={**VAE, "sample_size": 768, "scaling_factor": 0.18215}, scheduler=SD2.scheduler),
    _xl("sdxl", SDXL_UNET),
    _xl("refiner", REFINER_UNET, REFINER),
    _xl("ssd1b", SSD1B_UNET),
    _xl("vega", VEGA_UNET),
    _first("small-sd", SMALL_UNET),
    _first("tiny-sd", TINY_UNET),
    _first("inpaint", {**SD15_UNET, "in_channels": 9}),
    _first("pix2pix", {**SD15_UNET, "in_channels": 8}),
)}
