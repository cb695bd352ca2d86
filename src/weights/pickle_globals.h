#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "brume/weights/safetensors.h"

namespace brume {

/// What a global name of a pickle stands for.
enum class GlobalRole : uint8_t {
  kOrderedDict,
  kTensor,     // torch._utils._rebuild_tensor: (storage, offset, shape, strides)
  kTensorV2,   // the same with two or three more
  kTensorV3,   // with a type behind the first two of these, of a storage that has none
  kParameter,  // (tensor, requires_grad, hooks)
  kStorage,
  kUntypedStorage,
  kType,
  kSize,
  kInert,  // what training programs leave behind: it may be there, and nothing is made of it
};

/// A global name that a pickle may hold. There is no way from it to a function: it is a row of a table.
struct PickleGlobal {
  std::string_view module;
  std::string_view name;
  GlobalRole role;
  StoredType dtype = StoredType::kU8;  // of kStorage and kType
};

/// The place of a name in the table of allowed names, or nothing.
std::optional<uint8_t> find_pickle_global(std::string_view module, std::string_view name);
const PickleGlobal& pickle_global(uint8_t index);
/// "module.name".
std::string pickle_global_name(uint8_t index);

}  // namespace brume
