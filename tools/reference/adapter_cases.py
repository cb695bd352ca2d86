"""Adapter files of every kind and naming for the tiny models, and what diffusers makes of them.

Where diffusers can load a file (LoRA in its own, PEFT's and kohya's namings, PEFT's DoRA) the expected weights and latents are
those of load_lora_weights and fuse_lora, and must agree with adapter_formulas.py; for the others (LoCon's core, LoHa,
LoKr, kohya's DoRA, whole changes, factors of blocks) the formulas' weights are put into the pipeline.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import torch
from diffusers import DiffusionPipeline
from safetensors.torch import save_file

from adapter_formulas import Tensors, merged
from pipeline_cases import BASE, load_pipeline, run_pipeline
from tiny_models import hub_text_name
from tiny_weights import write_json, write_tensors

RUN = BASE | {"steps": 3}
Modules = dict[str, Tensors]  # "unet/mid_block...": tensors by kohya's names

ATTENTION = "attentions.0.transformer_blocks.0"
TEXT = "text_encoder/encoder.layers"
# Original names of tiny sd1's layers, written by hand.
ORIGINAL = {
    "unet/conv_in": "input_blocks.0.0",
    f"unet/down_blocks.0.{ATTENTION}.attn1.to_q": "input_blocks.1.1.transformer_blocks.0.attn1.to_q",
    f"unet/down_blocks.0.{ATTENTION}.attn2.to_out.0": "input_blocks.1.1.transformer_blocks.0.attn2.to_out.0",
    "unet/down_blocks.0.attentions.0.proj_in": "input_blocks.1.1.proj_in",
    "unet/down_blocks.0.downsamplers.0.conv": "input_blocks.2.0.op",
    "unet/down_blocks.1.resnets.0.conv1": "input_blocks.3.0.in_layers.2",
    "unet/down_blocks.1.resnets.0.conv_shortcut": "input_blocks.3.0.skip_connection",
    f"unet/mid_block.{ATTENTION}.ff.net.0.proj": "middle_block.1.transformer_blocks.0.ff.net.0.proj",
    "unet/mid_block.resnets.1.time_emb_proj": "middle_block.2.emb_layers.1",
    "unet/up_blocks.0.resnets.1.conv2": "output_blocks.1.0.out_layers.3",
    "unet/up_blocks.0.upsamplers.0.conv": "output_blocks.1.1.conv",
    f"unet/up_blocks.1.attentions.1.transformer_blocks.0.attn2.to_k": "output_blocks.3.1.transformer_blocks.0.attn2.to_k",
    "unet/time_embedding.linear_2": "time_embed.2",
    "unet/conv_out": "out.2",
}
# And of tiny sdxl's.
SGM = {
    "unet/down_blocks.1.attentions.0.proj_in": "input_blocks.3.1.proj_in",
    f"unet/down_blocks.1.{ATTENTION}.attn1.to_q": "input_blocks.3.1.transformer_blocks.0.attn1.to_q",
    f"unet/down_blocks.2.attentions.0.transformer_blocks.1.attn2.to_v": "input_blocks.5.1.transformer_blocks.1.attn2.to_v",
    f"unet/mid_block.attentions.0.transformer_blocks.1.ff.net.2": "middle_block.1.transformer_blocks.1.ff.net.2",
    f"unet/up_blocks.0.attentions.1.transformer_blocks.0.attn1.to_out.0": "output_blocks.1.1.transformer_blocks.0.attn1.to_out.0",
    f"unet/up_blocks.1.{ATTENTION}.attn2.to_k": "output_blocks.2.1.transformer_blocks.0.attn2.to_k",
}


@dataclass
class AdapterSpec:
    """One file: its tensors, their keys, how strongly it is merged."""
    modules: Modules
    keys: dict[str, torch.Tensor]
    text: float = 1.0
    unet: float = 1.0
    blocks: list[float] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)

    def option(self, path: str) -> str:
        text = f"{path}:{self.text:g}" + (f":{self.unet:g}" if self.unet != self.text else "")
        return text + (":lbw=" + ",".join(f"{one:g}" for one in self.blocks) if self.blocks else "")


class Draw:
    """Seeded tensors for the layers of a pipeline."""

    def __init__(self, pipe: DiffusionPipeline, seed: int) -> None:
        self.pipe, self.generator = pipe, torch.Generator("cpu").manual_seed(seed)

    def weight(self, module: str) -> torch.Tensor:
        return layer(self.pipe, module).weight

    def normal(self, *shape: int, scale: float = 1.0) -> torch.Tensor:
        return torch.randn(shape, generator=self.generator) * scale

    def lora(self, module: str, rank: int, alpha: float | None = None) -> Tensors:
        shape = self.weight(module).shape
        fan_in = shape[1:].numel()
        made = {"lora_down.weight": self.normal(rank, *shape[1:], scale=fan_in**-0.5),
                "lora_up.weight": self.normal(shape[0], rank, *[1] * (len(shape) - 2), scale=0.4)}
        return made if alpha is None else made | {"alpha": torch.tensor(float(alpha))}

    def dora(self, module: str, rank: int, alpha: float, of_inputs: bool = False) -> Tensors:
        weight = self.weight(module)
        rows = weight.shape[1 if of_inputs else 0]
        shape = [1] * weight.ndim
        shape[1 if of_inputs else 0] = rows
        norms = (weight.transpose(0, 1) if of_inputs else weight).detach().flatten(1).norm(dim=1)
        scale = (norms * (1 + 0.3 * self.normal(rows))).reshape(shape)
        return self.lora(module, rank, alpha) | {"dora_scale": scale}


def layer(pipe: DiffusionPipeline, module: str) -> torch.nn.Module:
    component, name = module.split("/")
    below = "text_model." if component == "text_encoder_2" else ""  # CLIPTextModelWithProjection has that level
    return getattr(pipe, component).get_submodule(below + name)


def kohya_key(module: str, xl: bool, originals: dict[str, str] | None = None) -> str:
    component, name = module.split("/")
    if component == "unet":
        return "lora_unet_" + (originals or {}).get(module, name).replace(".", "_")
    before = {"text_encoder": "lora_te1_" if xl else "lora_te_", "text_encoder_2": "lora_te2_"}[component]
    return before + hub_text_name(name).replace(".", "_")


def keyed(modules: Modules, prefix) -> dict[str, torch.Tensor]:
    return {f"{prefix(module)}.{name}": value for module, t in modules.items() for name, value in t.items()}


def kohya(modules: Modules, xl: bool = False, originals: dict[str, str] | None = None) -> dict[str, torch.Tensor]:
    return keyed(modules, lambda module: kohya_key(module, xl, originals))


def renamed(modules: Modules, prefix, names: dict[str, str]) -> dict[str, torch.Tensor]:
    """Without alphas: they are written where the naming has them."""
    return {f"{prefix(module)}.{names[name]}": value for module, t in modules.items()
            for name, value in t.items() if name in names}


def dotted(module: str) -> str:
    component, name = module.split("/")
    return f"{component}.{name if component == 'unet' else hub_text_name(name)}"


PEFT = {"lora_down.weight": "lora_A.weight", "lora_up.weight": "lora_B.weight"}


def peft_metadata(modules: Modules, usual: float) -> dict[str, str]:
    """As diffusers' save_lora_adapter writes it, with one module's alpha apart."""
    settings: dict[str, object] = {}
    for component in sorted({module.split("/")[0] for module in modules}):
        inside = {m.split("/")[1]: t for m, t in modules.items() if m.split("/")[0] == component}
        alphas = {name: t["alpha"].item() for name, t in inside.items() if t["alpha"].item() != usual}
        settings |= {f"{component}.{key}": value for key, value in {
            "r": 2, "lora_alpha": usual, "alpha_pattern": alphas, "target_modules": sorted(inside)}.items()}
    return {"lora_adapter_metadata": json.dumps(settings, sort_keys=True)}


UNET = [f"unet/down_blocks.0.{ATTENTION}.attn1.to_q", f"unet/down_blocks.0.{ATTENTION}.attn1.to_out.0",
        f"unet/mid_block.{ATTENTION}.attn2.to_k", f"unet/mid_block.{ATTENTION}.attn2.to_v",
        "unet/up_blocks.1.attentions.1.transformer_blocks.0.attn1.to_v"]
WIDE = [*UNET, "unet/mid_block.attentions.0.proj_in", f"unet/mid_block.{ATTENTION}.ff.net.0.proj",
        "unet/down_blocks.0.resnets.0.conv1"]
TOWER = [f"{TEXT}.0.self_attn.q_proj", f"{TEXT}.1.self_attn.out_proj", f"{TEXT}.2.mlp.fc1"]
SELF_ATTENTION = [f"{TEXT}.0.self_attn.q_proj", f"{TEXT}.3.self_attn.v_proj", f"{TEXT}.1.self_attn.out_proj"]


def draw_all(draw: Draw, modules: list[str], rank: int, alpha: float | None) -> Modules:
    return {module: draw.lora(module, rank, alpha) for module in modules}


def kohya_case(draw: Draw) -> list[AdapterSpec]:
    modules = draw_all(draw, [*WIDE, *TOWER], 4, 2)
    keys = {key: value.half() for key, value in kohya(modules).items()}  # as most files are
    modules = {m: {name: value.half() for name, value in t.items()} for m, t in modules.items()}
    return [AdapterSpec(modules, keys, text=0.8, unet=0.8)]


def peft_case(draw: Draw) -> list[AdapterSpec]:
    modules = draw_all(draw, [*UNET, *TOWER], 2, 3) | {WIDE[-1]: draw.lora(WIDE[-1], 2, 5)}
    return [AdapterSpec(modules, renamed(modules, dotted, PEFT), metadata=peft_metadata(modules, 3))]


def diffusers_case(draw: Draw) -> list[AdapterSpec]:
    modules = draw_all(draw, [*UNET, *TOWER], 3, None)
    unet = {m: t for m, t in modules.items() if m.startswith("unet/")}
    text = {m: t for m, t in modules.items() if m not in unet}
    keys = renamed(unet, dotted, {"lora_down.weight": "lora.down.weight", "lora_up.weight": "lora.up.weight"})
    keys |= renamed(text, dotted, {"lora_down.weight": "lora_linear_layer.down.weight",
                                   "lora_up.weight": "lora_linear_layer.up.weight"})
    return [AdapterSpec(modules, keys, text=0.5, unet=0.5)]


def processor_case(draw: Draw) -> list[AdapterSpec]:
    """diffusers of early 2023."""
    modules = draw_all(draw, [*UNET, *SELF_ATTENTION], 3, None)

    def prefix(module: str) -> str:
        if module.startswith("unet/"):
            block, part = dotted(module).removesuffix(".0").rsplit(".", 1)
            return f"{block}.processor.{part}_lora"
        block, part = dotted(module).rsplit(".", 1)
        return f"{block}.to_{part.removesuffix('_proj')}_lora"

    return [AdapterSpec(modules, renamed(modules, prefix, {"lora_down.weight": "down.weight",
                                                           "lora_up.weight": "up.weight"}))]


def original_case(draw: Draw) -> list[AdapterSpec]:
    modules = draw_all(draw, list(ORIGINAL), 3, 1.5)
    return [AdapterSpec(modules, keyed(modules, lambda module: "diffusion_model." + ORIGINAL[module]))]


def locon_case(draw: Draw) -> list[AdapterSpec]:
    modules: Modules = {}
    for module in ("unet/down_blocks.0.resnets.0.conv1", "unet/up_blocks.1.resnets.0.conv2",
                   "unet/down_blocks.0.downsamplers.0.conv"):
        out, into, height, width = draw.weight(module).shape
        modules[module] = {"lora_up.weight": draw.normal(out, 3, 1, 1, scale=0.4),
                           "lora_mid.weight": draw.normal(3, 3, height, width, scale=0.3),
                           "lora_down.weight": draw.normal(3, into, 1, 1, scale=into**-0.5),
                           "alpha": torch.tensor(1.0)}
    modules |= draw_all(draw, ["unet/mid_block.resnets.0.conv1", "unet/up_blocks.0.resnets.0.conv_shortcut"], 2, 2)
    return [AdapterSpec(modules, kohya(modules), text=1.2, unet=1.2)]


def loha_case(draw: Draw) -> list[AdapterSpec]:
    def factors(out: int, into: int, rank: int, core: tuple[int, ...] = ()) -> Tensors:
        made = {}
        for k in ("1", "2"):
            made[f"hada_w{k}_a"] = draw.normal(*((rank, out) if core else (out, rank)), scale=0.6)
            made[f"hada_w{k}_b"] = draw.normal(rank, into, scale=into**-0.25)
            if core:
                made[f"hada_t{k}"] = draw.normal(rank, rank, *core, scale=0.5)
        return made | {"alpha": torch.tensor(2.0)}

    modules = {}
    for module in (UNET[0], f"{TEXT}.0.mlp.fc2"):
        out, into = draw.weight(module).shape
        modules[module] = factors(out, into, 3)
    flat, cored = "unet/down_blocks.0.resnets.0.conv2", "unet/mid_block.resnets.1.conv1"
    modules[flat] = factors(draw.weight(flat).shape[0], draw.weight(flat).shape[1:].numel(), 2)
    modules[cored] = factors(*draw.weight(cored).shape[:2], 2, tuple(draw.weight(cored).shape[2:]))
    return [AdapterSpec(modules, kohya(modules), text=0.7, unet=0.7)]


def lokr_case(draw: Draw) -> list[AdapterSpec]:
    alpha = {"alpha": torch.tensor(1.0)}
    linear, conv = draw.weight(UNET[0]).shape, draw.weight("unet/down_blocks.0.resnets.0.conv1").shape
    kernel = conv[2:].numel()
    whole = {"lokr_w1": draw.normal(2, 3), "lokr_w2": draw.normal(linear[0] // 2, linear[1] // 3, scale=0.2)}
    half = {"lokr_w1": draw.normal(4, 2), "lokr_w2_a": draw.normal(linear[0] // 4, 2, scale=0.4),
            "lokr_w2_b": draw.normal(2, linear[1] // 2, scale=0.4)}
    both = {"lokr_w1_a": draw.normal(2, 2), "lokr_w1_b": draw.normal(2, 2),
            "lokr_w2_a": draw.normal(conv[0] // 2, 2, scale=0.4),
            "lokr_w2_b": draw.normal(2, conv[1] // 2 * kernel, scale=0.2)}
    cored = {"lokr_w1": draw.normal(2, 2), "lokr_t2": draw.normal(2, 2, 3, 3, scale=0.5),
             "lokr_w2_a": draw.normal(2, 20 // 2, scale=0.4), "lokr_w2_b": draw.normal(2, 20 // 2, scale=0.3)}
    w2_conv = {"lokr_w1": draw.normal(3, 4), "lokr_w2": draw.normal(conv[0] // 3, conv[1] // 4, 3, 3, scale=0.1)}
    modules = {UNET[0]: whole | alpha, UNET[1]: half | alpha, "unet/down_blocks.0.resnets.0.conv1": both | alpha,
               "unet/mid_block.resnets.0.conv1": cored | alpha, "unet/down_blocks.0.resnets.0.conv2": w2_conv}
    return [AdapterSpec(modules, kohya(modules))]


def dora_case(draw: Draw) -> list[AdapterSpec]:
    modules = {module: draw.dora(module, 3, 2) for module in [*UNET[:3], *TOWER[:2]]}
    return [AdapterSpec(modules, kohya(modules))]


def dora_peft_case(draw: Draw) -> list[AdapterSpec]:
    modules = {module: draw.dora(module, 2, 2) for module in UNET[:3]}
    conv = "unet/down_blocks.0.resnets.0.conv1"
    modules[conv] = draw.dora(conv, 2, 2)
    keys = renamed(modules, dotted, PEFT)
    for module, t in modules.items():
        scale = t["dora_scale"]
        shape = (1, -1, 1, 1) if scale.ndim == 4 else (-1,)
        keys[f"{dotted(module)}.lora_magnitude_vector"] = scale.reshape(shape)
    return [AdapterSpec(modules, keys)]


def dora_inputs_case(draw: Draw) -> list[AdapterSpec]:
    """LyCORIS' older axis, of convolutions too, and not at full strength."""
    modules = {module: draw.dora(module, 3, 2, of_inputs=True)
               for module in (UNET[0], "unet/down_blocks.0.resnets.0.conv1")}
    return [AdapterSpec(modules, kohya(modules), text=0.6, unet=0.6)]


def full_case(draw: Draw) -> list[AdapterSpec]:
    modules = {module: {"diff": draw.normal(*draw.weight(module).shape, scale=0.1)}
               for module in (UNET[0], "unet/conv_in", f"{TEXT}.0.mlp.fc1", "unet/mid_block.resnets.0.norm1")}
    modules["unet/conv_in"]["diff_b"] = draw.normal(12, scale=0.2)
    keys = kohya(modules)
    norm = kohya_key("unet/mid_block.resnets.0.norm1", False)
    keys[f"{norm}.w_norm"] = keys.pop(f"{norm}.diff")
    modules["unet/mid_block.resnets.0.norm1"]["diff_b"] = draw.normal(20, scale=0.2)
    keys[f"{norm}.b_norm"] = modules["unet/mid_block.resnets.0.norm1"]["diff_b"]
    return [AdapterSpec(modules, keys, text=0.5, unet=0.5)]


def two_case(draw: Draw) -> list[AdapterSpec]:
    first = draw_all(draw, WIDE, 4, 2)
    second = draw_all(draw, [*UNET, *TOWER], 2, 2)
    return [AdapterSpec(first, kohya(first), text=0.8, unet=0.8), AdapterSpec(second, kohya(second), -0.5, -0.5)]


def blocks_case(draw: Draw) -> list[AdapterSpec]:
    """BASE, IN00 to IN03, M00, OUT00 to OUT03 of a UNet with four blocks each way."""
    modules = draw_all(draw, [*ORIGINAL, *TOWER], 2, 2)
    return [AdapterSpec(modules, kohya(modules), 0.9, 0.7, blocks=[0.5, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 0.9, 1, 1.1])]


def sgm_case(draw: Draw) -> list[AdapterSpec]:
    # Without an out_proj diffusers does not know what it has itself made of kohya's names.
    text = [*TOWER[:2], *(f"text_encoder_2/encoder.layers.{name}" for name in
                          ("4.self_attn.k_proj", "3.self_attn.out_proj", "1.mlp.fc2"))]
    modules = draw_all(draw, [*SGM, *text], 2, 1)
    return [AdapterSpec(modules, kohya(modules, xl=True, originals=SGM), 0.9, 0.9)]


def peft_xl_case(draw: Draw) -> list[AdapterSpec]:
    text = [TOWER[0], "text_encoder_2/encoder.layers.4.self_attn.k_proj", "text_encoder_2/encoder.layers.1.mlp.fc2"]
    modules = draw_all(draw, [*SGM, *text], 3, None)
    return [AdapterSpec(modules, renamed(modules, dotted, PEFT))]


CASES = {  # name: (model, seed, maker, whether diffusers can load it)
    "sd1_kohya": ("sd1", 101, kohya_case, True),
    "sd1_peft": ("sd1", 102, peft_case, True),
    "sd1_diffusers": ("sd1", 103, diffusers_case, True),
    "sd1_processor": ("sd1", 104, processor_case, True),
    "sd1_original": ("sd1", 105, original_case, False),
    "sd1_locon": ("sd1", 106, locon_case, False),
    "sd1_loha": ("sd1", 107, loha_case, False),
    "sd1_lokr": ("sd1", 108, lokr_case, False),
    "sd1_dora": ("sd1", 109, dora_case, False),
    "sd1_dora_peft": ("sd1", 110, dora_peft_case, True),
    "sd1_dora_inputs": ("sd1", 111, dora_inputs_case, False),
    "sd1_full": ("sd1", 112, full_case, False),
    "sd1_two": ("sd1", 113, two_case, True),
    "sd1_blocks": ("sd1", 114, blocks_case, False),
    "sdxl_sgm": ("sdxl", 115, sgm_case, True),
    "sdxl_peft": ("sdxl", 116, peft_xl_case, True),
}


def block_factor(spec: AdapterSpec, module: str) -> float:
    if not spec.blocks:
        return 1.0
    original = ORIGINAL.get(module, "")
    kind, _, rest = original.partition(".")
    first = {"input_blocks": 1, "middle_block": 5, "output_blocks": 6}.get(kind)
    if first is None:
        return spec.blocks[0]
    return spec.blocks[first + (0 if kind == "middle_block" else int(rest.split(".")[0]))]


@torch.no_grad()
def by_formulas(pipe: DiffusionPipeline, specs: list[AdapterSpec]) -> dict[str, torch.Tensor]:
    """The changed tensors of `pipe`, which are put into it."""
    changed: dict[str, torch.Tensor] = {}
    for spec in specs:
        for module, t in spec.modules.items():
            strength = (spec.unet if module.startswith("unet/") else spec.text) * block_factor(spec, module)
            owner = layer(pipe, module)
            changed[f"{module}.weight"] = merged(changed.get(f"{module}.weight", owner.weight), t, strength)
            if "diff_b" in t:
                changed[f"{module}.bias"] = owner.bias.double() + strength * t["diff_b"].double()
    for name, value in changed.items():
        module, _, kind = name.rpartition(".")
        getattr(layer(pipe, module), kind).copy_(value)
    return {name: value.float() for name, value in changed.items()}


@torch.no_grad()
def by_diffusers(pipe: DiffusionPipeline, specs: list[AdapterSpec], files: list[Path],
                 names: list[str]) -> dict[str, torch.Tensor]:
    # load_pipeline's own attribute would have diffusers look for layers below it.
    if "text_model" in vars(pipe.text_encoder):
        object.__delattr__(pipe.text_encoder, "text_model")
    for k, file in enumerate(files):
        pipe.load_lora_weights(str(file.parent), weight_name=file.name, adapter_name=f"a{k}")
    if len(files) == 1:
        pipe.fuse_lora(lora_scale=specs[0].unet)
    else:
        pipe.set_adapters([f"a{k}" for k in range(len(files))], [spec.unet for spec in specs])
        pipe.fuse_lora(adapter_names=[f"a{k}" for k in range(len(files))])
    pipe.unload_lora_weights()
    if not hasattr(pipe.text_encoder, "text_model"):
        object.__setattr__(pipe.text_encoder, "text_model", pipe.text_encoder)
    return {name: getattr(layer(pipe, name.rpartition(".")[0]), name.rpartition(".")[2]).clone() for name in names}


def stored_name(name: str) -> str:
    component, tensor = name.split("/")
    return f"{component}/{tensor if component == 'unet' else hub_text_name(tensor)}"


def make_adapter_case(models: Path, name: str, output: Path) -> None:
    model, seed, maker, loadable = CASES[name]
    pipe = load_pipeline(models / model)
    specs = maker(Draw(pipe, seed))
    output.mkdir(parents=True, exist_ok=True)
    files = []
    for k, spec in enumerate(specs):
        files.append(output / f"adapter_{k}.safetensors")
        save_file({key: spec.keys[key].contiguous().clone() for key in sorted(spec.keys)}, str(files[-1]),
                  metadata=spec.metadata or None)
    by_hand = load_pipeline(models / model)
    expected = by_formulas(by_hand, specs)
    if loadable:
        fused = by_diffusers(pipe, specs, files, list(expected))
        for tensor, value in fused.items():
            error = (value - expected[tensor]).abs().max().item()
            if error > 1e-5:
                raise ValueError(f"{name}: diffusers' {tensor} is {error} from the formulas'")
        expected = fused
    else:
        pipe = by_hand
    run = run_pipeline(pipe, RUN)
    last = f"latents_step{RUN['steps'] - 1}"
    tensors = {stored_name(tensor): value for tensor, value in expected.items()}
    write_tensors(output / "reference.safetensors", tensors | {key: run[key] for key in ("context", last)})
    loras = [spec.option(file.name) for spec, file in zip(specs, files)]
    write_json(output / "case.json", {"model": model, "by": "diffusers" if loadable else "formulas", "loras": loras,
                                      "last": last, **RUN})


def make_adapter_cases(models: Path, output: Path) -> None:
    shutil.rmtree(output, ignore_errors=True)
    for name in CASES:
        make_adapter_case(models, name, output / name)
