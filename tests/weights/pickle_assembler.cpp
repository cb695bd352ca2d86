#include "pickle_assembler.h"

#include <bit>

namespace brume::testing_corpus {

namespace {

template <class Number>
std::string little(Number value, size_t bytes = sizeof(Number)) {
  std::string out;
  for (size_t i = 0; i < bytes; ++i) out += static_cast<char>(static_cast<uint64_t>(value) >> (8 * i) & 0xFF);
  return out;
}

}  // namespace

Pickle& Pickle::raw(std::string_view bytes) {
  bytes_ += bytes;
  return *this;
}

Pickle& Pickle::text(std::string_view text) {
  return raw("X").raw(little(static_cast<uint32_t>(text.size()))).raw(text);
}

Pickle& Pickle::short_text(std::string_view text) {
  return raw("U").raw(little(static_cast<uint8_t>(text.size()))).raw(text);
}

Pickle& Pickle::integer(int64_t value) {
  if (value >= 0 && value <= UINT8_MAX) return raw("K").raw(little(value, 1));
  if (value >= 0 && value <= UINT16_MAX) return raw("M").raw(little(value, 2));
  if (value >= INT32_MIN && value <= INT32_MAX) return raw("J").raw(little(value, 4));
  return raw("\x8a\x08").raw(little(value, 8));
}

Pickle& Pickle::real(double value) {
  return raw("G").raw(little(__builtin_bswap64(std::bit_cast<uint64_t>(value))));
}

Pickle& Pickle::global(std::string_view module, std::string_view name) {
  return raw("c").raw(module).raw("\n").raw(name).raw("\n");
}

Pickle& Pickle::put(uint8_t index) { return raw("q").raw(little(index)); }
Pickle& Pickle::get(uint8_t index) { return raw("h").raw(little(index)); }

Pickle& Pickle::tuple(const std::vector<int64_t>& values) {
  if (values.empty()) return raw(")");
  if (values.size() > 3) raw("(");
  for (const int64_t value : values) integer(value);
  if (values.size() > 3) return raw("t");
  return raw(std::string(1, static_cast<char>(0x84 + values.size())));  // TUPLE1 to TUPLE3
}

Pickle& Pickle::storage(std::string_view type, std::string_view key, int64_t elements) {
  return raw("(").text("storage").global("torch", type).text(key).text("cpu").integer(elements).raw("tQ");
}

Pickle& Pickle::ordered_dict() { return global("collections", "OrderedDict").raw(")R"); }

Pickle& Pickle::tensor(const Tensor& tensor) {
  global("torch._utils", "_rebuild_tensor_v2").raw("(").storage(tensor.type, tensor.key, tensor.elements);
  integer(tensor.offset).tuple(tensor.shape).tuple(tensor.strides);
  return raw("\x89").ordered_dict().raw("tR");
}

std::string dict_of(const std::vector<std::pair<std::string, Pickle::Tensor>>& tensors) {
  Pickle pickle;
  pickle.raw("}(");
  for (const auto& [name, tensor] : tensors) pickle.text(name).tensor(tensor);
  return pickle.raw("u").stopped();
}

}  // namespace brume::testing_corpus
