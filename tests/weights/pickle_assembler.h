#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace brume::testing_corpus {

/// Writes a pickle of protocol 2 by hand, an opcode after the other.
class Pickle {
 public:
  /// Where the next opcode goes.
  size_t at() const { return bytes_.size(); }
  Pickle& raw(std::string_view bytes);
  /// BINUNICODE, SHORT_BINSTRING.
  Pickle& text(std::string_view text);
  Pickle& short_text(std::string_view text);
  /// The shortest of BININT1, BININT2, BININT and LONG1, as Python chooses.
  Pickle& integer(int64_t value);
  Pickle& real(double value);
  Pickle& global(std::string_view module, std::string_view name);
  Pickle& put(uint8_t index);
  Pickle& get(uint8_t index);
  Pickle& tuple(const std::vector<int64_t>& values);
  /// ("storage", torch.TYPE, KEY, "cpu", ELEMENTS) and BINPERSID.
  Pickle& storage(std::string_view type, std::string_view key, int64_t elements);
  /// OrderedDict().
  Pickle& ordered_dict();
  /// What _rebuild_tensor_v2 makes of a storage.
  struct Tensor {
    std::string type = "FloatStorage";
    std::string key = "0";
    int64_t elements = 4;
    int64_t offset = 0;
    std::vector<int64_t> shape = {4};
    std::vector<int64_t> strides = {1};
  };
  Pickle& tensor(const Tensor& tensor);
  /// The bytes, with STOP.
  std::string stopped() const { return bytes_ + '.'; }

 private:
  std::string bytes_ = "\x80\x02";
};

/// {KEY: TENSOR, ...}, by SETITEMS.
std::string dict_of(const std::vector<std::pair<std::string, Pickle::Tensor>>& tensors);

}  // namespace brume::testing_corpus
