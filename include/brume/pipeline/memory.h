#pragma once
#include <cstdint>
#include <optional>

namespace brume {

/// Bytes that this process can still have without swapping: Linux's MemAvailable, or what its control group
/// (a container, a batch system's job) leaves it, if that is less, and what it keeps for tensors already;
/// nothing where the system does not say.
std::optional<double> available_memory();

/// The most bytes that this process has held so far.
int64_t peak_memory();

}  // namespace brume
