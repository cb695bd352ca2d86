#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "brume/weights/adapters/adapter_file.h"

namespace brume {

/// The largest rank of an adapter's factors.
inline constexpr uint64_t kMostAdapterRank = 16384;

/// How a module's tensors make the change of a weight. LoRA includes LoCon (of convolutions, with or without
/// a core "mid"); LoHa and LoKr are LyCORIS'; kFull is the change itself.
enum class AdapterKind { kLora, kLoha, kLokr, kFull };

/// The change of a weight, judged by the shapes of a module's tensors.
struct AdapterForm {
  AdapterKind kind = AdapterKind::kFull;
  std::vector<uint64_t> shape;   // [out, in] or [out, in, kh, kw]; of a convolution also [out, in kh kw]
  std::optional<uint64_t> rank;  // that alpha is divided by; nothing where no factor has one
};

/// Nothing for a module that changes a bias alone. Throws kModelInvalid with `file`, the key and the shapes
/// where a factor is missing, two do not fit each other, or the rank is none.
std::optional<AdapterForm> adapter_form(const AdapterModule& module, const std::string& file);

/// True for the change of a weight [out, ...] of this shape: a product of matrices may change a convolution,
/// and a matrix may be stored as a convolution of one pixel.
bool fits(const AdapterForm& form, std::span<const uint64_t> weight);

/// "[320, 4]"
std::string shape_text(std::span<const uint64_t> shape);

}  // namespace brume
