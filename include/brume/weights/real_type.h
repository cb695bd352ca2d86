#pragma once
#include <c10/core/ScalarType.h>

#include <optional>

#include "brume/weights/safetensors.h"

namespace brume {

/// The ATen type that holds real numbers of a stored type; nothing for integers, booleans, complex numbers
/// and the packed types.
std::optional<at::ScalarType> real_type(StoredType type);

/// The stored type of such an ATen type.
StoredType stored_type_of(at::ScalarType type);

}  // namespace brume
