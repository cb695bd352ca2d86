#include "pickle_globals.h"

#include <array>

namespace brume {

namespace {

constexpr std::string_view kCallbacks = "pytorch_lightning.callbacks.model_checkpoint";

constexpr std::array kGlobals{
    PickleGlobal{"collections", "OrderedDict", GlobalRole::kOrderedDict},
    PickleGlobal{"torch._utils", "_rebuild_tensor", GlobalRole::kTensor},
    PickleGlobal{"torch._utils", "_rebuild_tensor_v2", GlobalRole::kTensorV2},
    PickleGlobal{"torch._utils", "_rebuild_tensor_v3", GlobalRole::kTensorV3},
    PickleGlobal{"torch._utils", "_rebuild_parameter", GlobalRole::kParameter},
    PickleGlobal{"torch", "Size", GlobalRole::kSize},
    PickleGlobal{"torch", "FloatStorage", GlobalRole::kStorage, StoredType::kF32},
    PickleGlobal{"torch", "HalfStorage", GlobalRole::kStorage, StoredType::kF16},
    PickleGlobal{"torch", "BFloat16Storage", GlobalRole::kStorage, StoredType::kBF16},
    PickleGlobal{"torch", "DoubleStorage", GlobalRole::kStorage, StoredType::kF64},
    PickleGlobal{"torch", "LongStorage", GlobalRole::kStorage, StoredType::kI64},
    PickleGlobal{"torch", "IntStorage", GlobalRole::kStorage, StoredType::kI32},
    PickleGlobal{"torch", "ShortStorage", GlobalRole::kStorage, StoredType::kI16},
    PickleGlobal{"torch", "CharStorage", GlobalRole::kStorage, StoredType::kI8},
    PickleGlobal{"torch", "ByteStorage", GlobalRole::kStorage, StoredType::kU8},
    PickleGlobal{"torch", "BoolStorage", GlobalRole::kStorage, StoredType::kBool},
    // Types from torch 2.1 on have no storages of their own.
    PickleGlobal{"torch.storage", "UntypedStorage", GlobalRole::kUntypedStorage},
    PickleGlobal{"torch", "float8_e4m3fn", GlobalRole::kType, StoredType::kF8E4M3},
    PickleGlobal{"torch", "float8_e5m2", GlobalRole::kType, StoredType::kF8E5M2},
    PickleGlobal{"torch", "float8_e4m3fnuz", GlobalRole::kType, StoredType::kF8E4M3FNUZ},
    PickleGlobal{"torch", "float8_e5m2fnuz", GlobalRole::kType, StoredType::kF8E5M2FNUZ},
    PickleGlobal{"torch", "uint16", GlobalRole::kType, StoredType::kU16},
    PickleGlobal{"torch", "uint32", GlobalRole::kType, StoredType::kU32},
    PickleGlobal{"torch", "uint64", GlobalRole::kType, StoredType::kU64},
    PickleGlobal{kCallbacks, "ModelCheckpoint", GlobalRole::kInert},
    // numpy 2 writes the second of each two.
    PickleGlobal{"numpy.core.multiarray", "scalar", GlobalRole::kInert},
    PickleGlobal{"numpy._core.multiarray", "scalar", GlobalRole::kInert},
    PickleGlobal{"numpy.core.multiarray", "_reconstruct", GlobalRole::kInert},
    PickleGlobal{"numpy._core.multiarray", "_reconstruct", GlobalRole::kInert},
    PickleGlobal{"numpy", "dtype", GlobalRole::kInert},
    PickleGlobal{"numpy", "ndarray", GlobalRole::kInert},
    PickleGlobal{"_codecs", "encode", GlobalRole::kInert},
    PickleGlobal{"__builtin__", "set", GlobalRole::kInert},
    PickleGlobal{"builtins", "set", GlobalRole::kInert},
};
static_assert(kGlobals.size() < UINT8_MAX);

}  // namespace

std::optional<uint8_t> find_pickle_global(std::string_view module, std::string_view name) {
  for (size_t i = 0; i < kGlobals.size(); ++i) {
    if (kGlobals[i].module == module && kGlobals[i].name == name) return static_cast<uint8_t>(i);
  }
  return std::nullopt;
}

const PickleGlobal& pickle_global(uint8_t index) { return kGlobals.at(index); }

std::string pickle_global_name(uint8_t index) {
  const PickleGlobal& global = pickle_global(index);
  return std::string(global.module) + "." + std::string(global.name);
}

}  // namespace brume
