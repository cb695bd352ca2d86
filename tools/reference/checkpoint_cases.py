#!/usr/bin/env python3
"""Writes tests/cases/checkpoints: small files by torch.save, and what torch reads in them.

    .deps/reference/bin/python tools/reference/checkpoint_cases.py

`expected.json` gives for each file its tensors ("NAME DTYPE [SHAPE] HEX", sorted) and notes (the settings at the
pickle's top, then our warnings), or for a file that must be refused a part of the error. The tensors are read back by
torch.load(weights_only=True). pytorch_lightning is not needed: a class of the same name stands in for its own.
"""
import collections
import json
import pathlib
import sys
import types
import warnings

import numpy
import torch

OUTPUT = pathlib.Path(__file__).resolve().parents[2] / "tests" / "cases" / "checkpoints"
DTYPES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.float64: "F64", torch.int64: "I64",
          torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL"}
UNTYPED = {torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2", torch.float8_e4m3fnuz: "F8_E4M3FNUZ",
           torch.float8_e5m2fnuz: "F8_E5M2FNUZ", torch.uint16: "U16", torch.uint32: "U32", torch.uint64: "U64"}
CALLBACK = "pytorch_lightning.callbacks.model_checkpoint"


class ModelCheckpoint:
    """As pytorch_lightning's: pickled as a name and a dict of its attributes."""


def stand_in() -> None:
    module = types.ModuleType(CALLBACK)
    module.ModelCheckpoint = ModelCheckpoint
    ModelCheckpoint.__module__ = CALLBACK
    parts = CALLBACK.split(".")
    for count in range(1, len(parts)):
        sys.modules[".".join(parts[:count])] = types.ModuleType(".".join(parts[:count]))
    sys.modules[CALLBACK] = module
    multiarray = numpy._core.multiarray
    torch.serialization.add_safe_globals([
        ModelCheckpoint, multiarray.scalar, (multiarray._reconstruct, "numpy._core.multiarray._reconstruct"),
        numpy.dtype, numpy.ndarray, type(numpy.dtype("float64")), type(numpy.dtype("int64"))])


def numbers(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def key_text(key: object) -> str | None:
    if isinstance(key, type):
        return f"{key.__module__}.{key.__qualname__}"
    return str(key) if isinstance(key, (str, int)) and not isinstance(key, bool) else None


def tensors_below(value: object, path: str) -> dict[str, torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return {path: value}
    if isinstance(value, dict):
        items = [(key_text(key), one) for key, one in value.items()]
    elif isinstance(value, (list, tuple)):
        items = [(str(index), one) for index, one in enumerate(value)]
    else:
        return {}
    found = {}
    for key, one in items:
        if key is not None:
            found |= tensors_below(one, f"{path}.{key}" if path else key)
    return found


def line(name: str, tensor: torch.Tensor) -> str:
    raw = tensor.detach().contiguous().flatten().view(torch.uint8) if tensor.numel() else torch.empty(0)
    shape = ",".join(str(size) for size in tensor.shape)
    return f"{name} {(DTYPES | UNTYPED)[tensor.dtype]} [{shape}] {bytes(raw.tolist()).hex() if tensor.numel() else ''}"


def described(path: pathlib.Path, our_warnings: list[str]) -> dict[str, list[str]]:
    loaded = torch.load(path, weights_only=True)
    model = loaded.get("state_dict", {})
    found = tensors_below(model, "") | tensors_below({k: v for k, v in loaded.items() if k != "state_dict"}, "")
    settings = {key: value for key, value in loaded.items() if type(value) in (float, str, bool)
                or type(value) is int and -2**63 <= value < 2**63}
    notes = [f"{key} = {str(settings[key]).lower() if isinstance(settings[key], bool) else settings[key]}"
             for key in sorted(settings)]
    return {"tensors": sorted((line(*one) for one in found.items()), key=str.encode), "notes": notes + our_warnings}


def lightning(dtype: torch.dtype) -> dict[str, object]:
    """What a Stable Diffusion checkpoint of the first authors' training code holds."""
    module = torch.nn.Linear(3, 2)
    with torch.no_grad():
        module.weight.copy_(numbers(2, 3, seed=1))
        module.bias.zero_()
    optimizer = torch.optim.AdamW(module.parameters())
    module(numbers(4, 3)).square().sum().backward()
    optimizer.step()
    state = collections.OrderedDict()
    state["betas"] = numbers(5, dtype=torch.float32, seed=2)
    state["model.diffusion_model.input_blocks.0.0.weight"] = numbers(2, 4, 3, 3, dtype=dtype, seed=3)
    state["cond_stage_model.transformer.text_model.embeddings.position_ids"] = torch.arange(7).unsqueeze(0)
    state["model_ema.num_updates"] = torch.tensor(0, dtype=torch.int32)
    state["model_ema.decay"] = torch.tensor(0.9999)
    callback = {"monitor": "val/loss_simple_ema", "best_model_score": numbers(seed=4), "best_model_path": "x.ckpt",
                "current_score": numpy.float64(0.25), "epochs": numpy.int64(3)}
    return {"epoch": 5, "global_step": 470000, "pytorch-lightning_version": "1.4.2", "state_dict": state,
            "callbacks": {ModelCheckpoint: callback}, "optimizer_states": [optimizer.state_dict()],
            "lr_schedulers": [{"base_lrs": [1e-4], "last_epoch": 470000, "verbose": False, "lr_lambdas": [None]}]}


def benign() -> dict[str, tuple[object, list[str]]]:
    """By file name: what is saved, and the warnings that brume gives."""
    module = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3), torch.nn.Linear(3, 2))
    for index, parameter in enumerate(module.parameters()):
        parameter.data.copy_(numbers(*parameter.shape, seed=index))
    whole = numbers(4, 6)
    last = numbers(2, 3, 2, 2).contiguous(memory_format=torch.channels_last)
    tied = numbers(3, 2)
    float8 = (numbers(4, 6, seed=8) * 50).to(torch.float8_e4m3fn)
    callback = ModelCheckpoint()
    callback.monitor, callback.best = "loss", numbers(2)
    scalar = "numpy._core.multiarray.scalar: not read"
    inert = ["pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint: not read", f"{scalar} (2 objects)",
             "numpy.dtype: not read (2 objects)", "_codecs.encode: not read (2 objects)"]
    return {
        "module_state_dict.pth": (module.state_dict(), []),
        "dtypes.pt": ({name: (numbers(3, 2, seed=7) * 50).to(dtype) for dtype, name in DTYPES.items()}, []),
        "float8.pt": ({"a": float8, "parameter": torch.nn.Parameter(float8[1:], requires_grad=False), "turned": float8.t(),
                       "beside": numbers(2)}, []),
        "untyped.pt": ({name: (numbers(3, 2, seed=7) * 50).abs().to(dtype)[1:] for dtype, name in UNTYPED.items()}, []),
        "lightning_fp32.ckpt": (lightning(torch.float32), inert),
        "lightning_fp16.ckpt": (lightning(torch.float16), inert),
        "lightning_bf16.ckpt": (lightning(torch.bfloat16), inert),
        "parameters.pt": ({"a": torch.nn.Parameter(numbers(2, 2)), "b": torch.nn.Parameter(numbers(3), requires_grad=False)},
                          []),
        "views.pt": ({"rows": whole[1:3], "columns": whole[:, 1:4], "transposed": whole.t(), "last": last,
                      "stepped": whole.flatten()[1::5], "one": whole[2, 3], "whole": whole}, []),
        "scalars_and_empty.pt": ({"scalar": torch.tensor(3.5), "count": torch.tensor(7), "none": torch.empty(0),
                                  "rows": torch.empty(0, 4, dtype=torch.float16), "flag": torch.tensor(True)}, []),
        "tied.bin": ({"lm_head.weight": tied, "wte.weight": tied, "again": tied.view(6)}, []),
        "numpy_values.ckpt": ({"w": numbers(2), "array": numpy.arange(3), "value": numpy.float64(1.5), "raw": b"\x01\xff",
                               "seen": {1, 2}, "size": torch.Size([3, 4])},
                              ["numpy._core.multiarray.scalar: not read (1 object)",
                               "numpy._core.multiarray._reconstruct: not read (1 object)",
                               "numpy.dtype: not read (2 objects)", "numpy.ndarray: not read",
                               "_codecs.encode: not read (4 objects)", "__builtin__.set: not read (1 object)"]),
        "callback_object.ckpt": ({"state_dict": {"w": numbers(2)}, "callback": callback},
                                 ["pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint: not read (1 object)",
                                  "1 tensors have no name, inside of what is not read: not listed"]),
        "embedding.pt": ({"string_to_token": {"*": torch.tensor(265)}, "string_to_param": {"*": numbers(2, 8)},
                          "name": "style", "step": 4999, "sd_checkpoint": None, "sd_checkpoint_name": "caf\u00e9"}, []),
        "settings.pt": ({"w": numbers(1), "big": 2**40, "beyond": 2**80, "minus": -2**63, "rate": 1e-05, "yes": True,
                         "no": False, "text": "a\nb"}, []),
        "deep.pt": ({"state_dict": collections.OrderedDict(a=numbers(2)), "list": [[{"x": (numbers(1), [numbers(3)])}]],
                     5: {"y": numbers(2)}}, []),
    }


def refused() -> dict[str, tuple[object, dict[str, object], str]]:
    """By file name: what is saved, how, and a part of our error."""
    state = {"w": numbers(2)}
    return {
        "legacy.pt": (state, {"_use_new_zipfile_serialization": False}, "is a bare pickle, as torch wrote them before 1.6"),
        "protocol4.pt": (state, {"pickle_protocol": 4}, "pickle protocol 4 is not read"),
        "whole_module.pt": (torch.nn.Linear(1, 1), {}, "the global torch.nn.modules.linear.Linear is not allowed"),
        "float4.pt": ({"w": torch.zeros(2, dtype=torch.uint8).view(torch.float4_e2m1fn_x2)}, {},
                      "the global torch.float4_e2m1fn_x2 is not allowed"),
        "complex.pt": ({"w": torch.view_as_complex(numbers(2, 2))}, {}, "the global torch.ComplexFloatStorage is not allowed"),
        "sparse.pt": ({"w": numbers(2).to_sparse()}, {}, "the global torch._utils._rebuild_sparse_tensor is not allowed"),
        "negated.pt": ({"w": torch.view_as_complex(numbers(2, 2)).conj().imag}, {},
                       "a tensor with metadata of its own is not supported"),
        "expanded.pt": ({"w": numbers(1).expand(5)}, {}, "tensor \"w\": its elements overlap: shape [5], strides [0]"),
        "one_tensor.pt": (numbers(2), {}, "data.pkl holds no dict of tensors"),
    }


def main() -> None:
    stand_in()
    warnings.simplefilter("ignore")
    OUTPUT.mkdir(parents=True, exist_ok=True)
    for old in OUTPUT.iterdir():
        old.unlink()
    expected = {}
    for name, (value, our_warnings) in benign().items():
        torch.save(value, OUTPUT / name)
        expected[name] = described(OUTPUT / name, our_warnings)
    torch.serialization.set_crc32_options(False)
    name = "no_checksums.ckpt"
    torch.save(lightning(torch.float16)["state_dict"], OUTPUT / name)
    expected[name] = described(OUTPUT / name, [])
    torch.serialization.set_crc32_options(True)
    for name, (value, options, error) in refused().items():
        torch.save(value, OUTPUT / name, **options)
        expected[name] = {"error": error}
    program = torch.jit.script(torch.nn.Linear(1, 1))
    program.save(str(OUTPUT / "torchscript.pt"))
    expected["torchscript.pt"] = {"error": "is not what torch.save writes"}
    (OUTPUT / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main()
