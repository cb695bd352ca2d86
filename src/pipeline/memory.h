#pragma once
#include <optional>

namespace brume {

/// Bytes that the machine can give without swapping (Linux: MemAvailable); nothing where the system does not
/// say.
std::optional<double> available_memory();

}  // namespace brume
