#pragma once

namespace brume::kernels {

/// What a kernel's tensors hold.
enum class Element { kFloat, kHalf, kBfloat16 };

constexpr int bytes_of(Element element) { return element == Element::kFloat ? 4 : 2; }

}  // namespace brume::kernels
