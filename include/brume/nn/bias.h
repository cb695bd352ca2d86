#pragma once

namespace brume::nn {

/// Whether a layer has one.
enum class Bias { kYes, kNo };

}  // namespace brume::nn
