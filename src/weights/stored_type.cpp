#include <array>

#include "brume/base/checked.h"

#include "brume/weights/safetensors.h"

namespace brume {

namespace {

struct TypeRow {
  StoredType type;
  std::string_view name;
  int bits;
};

constexpr std::array<TypeRow, 22> kTypes{{
    {StoredType::kBool, "BOOL", 8},
    {StoredType::kF4, "F4", 4},
    {StoredType::kF6E2M3, "F6_E2M3", 6},
    {StoredType::kF6E3M2, "F6_E3M2", 6},
    {StoredType::kU8, "U8", 8},
    {StoredType::kI8, "I8", 8},
    {StoredType::kF8E5M2, "F8_E5M2", 8},
    {StoredType::kF8E4M3, "F8_E4M3", 8},
    {StoredType::kF8E8M0, "F8_E8M0", 8},
    {StoredType::kF8E4M3FNUZ, "F8_E4M3FNUZ", 8},
    {StoredType::kF8E5M2FNUZ, "F8_E5M2FNUZ", 8},
    {StoredType::kI16, "I16", 16},
    {StoredType::kU16, "U16", 16},
    {StoredType::kF16, "F16", 16},
    {StoredType::kBF16, "BF16", 16},
    {StoredType::kI32, "I32", 32},
    {StoredType::kU32, "U32", 32},
    {StoredType::kF32, "F32", 32},
    {StoredType::kC64, "C64", 64},
    {StoredType::kF64, "F64", 64},
    {StoredType::kI64, "I64", 64},
    {StoredType::kU64, "U64", 64},
}};

const TypeRow& row(StoredType type) { return kTypes.at(static_cast<size_t>(type)); }

constexpr bool rows_follow_the_enum() {
  for (size_t i = 0; i < kTypes.size(); ++i) {
    if (static_cast<size_t>(kTypes[i].type) != i) return false;
  }
  return true;
}
static_assert(rows_follow_the_enum());

}  // namespace

std::string_view stored_type_name(StoredType type) { return row(type).name; }
int stored_type_bits(StoredType type) { return row(type).bits; }

std::optional<StoredType> stored_type_from_name(std::string_view name) {
  for (const TypeRow& one : kTypes) {
    if (one.name == name) return one.type;
  }
  return std::nullopt;
}

std::optional<uint64_t> stored_bits(StoredType type, std::span<const uint64_t> shape) {
  std::optional<uint64_t> count = 1;
  for (const uint64_t size : shape) {
    count = checked_multiply(*count, size);
    if (!count) return std::nullopt;
  }
  return checked_multiply(*count, static_cast<uint64_t>(stored_type_bits(type)));
}

}  // namespace brume
