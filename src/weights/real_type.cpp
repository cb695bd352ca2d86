#include "brume/weights/real_type.h"

#include <algorithm>
#include <array>
#include <stdexcept>

namespace brume {

namespace {

struct TypeRow {
  StoredType stored;
  at::ScalarType real;
};

constexpr std::array<TypeRow, 8> kTypes{{
    {StoredType::kF16, at::kHalf},
    {StoredType::kBF16, at::kBFloat16},
    {StoredType::kF32, at::kFloat},
    {StoredType::kF64, at::kDouble},
    {StoredType::kF8E4M3, at::kFloat8_e4m3fn},
    {StoredType::kF8E5M2, at::kFloat8_e5m2},
    {StoredType::kF8E4M3FNUZ, at::kFloat8_e4m3fnuz},
    {StoredType::kF8E5M2FNUZ, at::kFloat8_e5m2fnuz},
}};

}  // namespace

std::optional<at::ScalarType> real_type(StoredType type) {
  const auto* const row =
      std::find_if(kTypes.begin(), kTypes.end(), [&](const TypeRow& one) { return one.stored == type; });
  return row == kTypes.end() ? std::nullopt : std::optional(row->real);
}

StoredType stored_type_of(at::ScalarType type) {
  const auto* const row =
      std::find_if(kTypes.begin(), kTypes.end(), [&](const TypeRow& one) { return one.real == type; });
  if (row == kTypes.end()) throw std::invalid_argument("no stored type of real numbers");
  return row->stored;
}

}  // namespace brume
