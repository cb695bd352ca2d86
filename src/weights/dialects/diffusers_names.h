#pragma once
#include <string>

namespace brume::dialects {

/// diffusers' present name of a tensor: before version 0.15 the autoencoder's attention had others, and many
/// files still have them.
std::string present_name(const std::string& name);

}  // namespace brume::dialects
