#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "brume/base/shortest_number.h"
#include "line_kinds.h"
#include "message.h"
#include "refused_names.h"
#include "setting.h"

namespace brume::batch {

namespace {

using nlohmann::json;

constexpr int kMostDepth = 16;  // within a remark

bool is_number(const Setting& value) {
  return std::holds_alternative<int64_t>(value) || std::holds_alternative<double>(value);
}

std::string joined(const std::vector<Setting>& numbers) {
  std::string text;
  for (const Setting& number : numbers) {
    const auto* whole = std::get_if<int64_t>(&number);
    text += text.empty() ? "" : ",";
    text += whole != nullptr ? std::to_string(*whole) : shortest_number(std::get<double>(number));
  }
  return text;
}

/// Builds the request while the line is parsed: the keys keep their order, and a hostile line has no tree to
/// fill memory with.
class RequestBuilder final : public json::json_sax_t {
 public:
  Request take() { return std::move(request_); }

  bool null() override {
    if (in_list_) refuse(name_, "null in a list", "leave it out");
    return true;  // as if the key were not there
  }
  bool boolean(bool value) override { return take_value(value); }
  bool number_integer(number_integer_t value) override { return take_value(int64_t{value}); }
  bool number_unsigned(number_unsigned_t value) override {
    if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      if (key_ == Key::kRemark) return true;
      if (key_ == Key::kId) return take_value(std::to_string(value));
      refuse(name_, std::to_string(value) + " is not " + expected());
    }
    return take_value(static_cast<int64_t>(value));
  }
  bool number_float(number_float_t value, const string_t& /*text*/) override { return take_value(value); }
  bool string(string_t& value) override { return take_value(std::move(value)); }
  bool binary(binary_t& /*value*/) override { return true; }  // JSON has none

  bool start_object(size_t /*count*/) override {
    open();
    if (depth_ > 1 && key_ != Key::kRemark) refuse(name_, "is an object", "give it " + expected());
    return true;
  }
  bool end_object() override {
    --depth_;
    return true;
  }
  bool start_array(size_t /*count*/) override {
    open();
    if (key_ == Key::kRemark) return true;
    if (key_ == Key::kId || key_ == Key::kCopies) refuse(name_, "is a list", "give it " + expected());
    if (in_list_) refuse(name_, "a list in a list", "write one list");
    in_list_ = true;
    return true;
  }
  bool end_array() override {
    --depth_;
    if (key_ != Key::kField) return true;
    in_list_ = false;
    std::vector<Setting> list = std::exchange(list_, {});
    const bool numbers = !list.empty() && field_->numbers_are_one && is_number(list.front());
    if (numbers && list.size() <= kMostValues) list = {checked(*field_, joined(list))};
    request_.add(*field_, std::move(list));
    return true;
  }
  bool key(string_t& name) override {
    if (depth_ > 1) return true;  // of an object within a remark
    name_ = shortened(name);
    key_ = kind_of(name, folded(name));
    if (key_ == Key::kField) field_ = &field_named(folded(name), name_);
    return true;
  }
  bool parse_error(size_t position, const std::string& /*token*/, const json::exception& error) override {
    constexpr int kNumberTooLarge = 406;
    if (error.id == kNumberTooLarge) refuse(name_, "a number is out of range");
    refuse("", "not valid JSON at byte " + std::to_string(position),
           "write one object a line; a prompt that begins with { goes into {\"prompt\": \"{...\"}");
  }

 private:
  enum class Key { kRemark, kId, kCopies, kField };

  static Key kind_of(const string_t& name, const std::string& known_as) {
    if (name.starts_with('_') || is_harmless(known_as)) return Key::kRemark;
    if (asks_for_copies(known_as)) return Key::kCopies;
    return known_as == kId ? Key::kId : Key::kField;
  }
  void open() {
    if (++depth_ > kMostDepth) refuse(name_, "JSON nested deeper than " + std::to_string(kMostDepth));
  }
  std::string expected() const {
    if (key_ == Key::kCopies) return "a whole number";
    return key_ == Key::kId ? "a text or a whole number" : expectation(*field_);
  }
  bool take_value(Setting value) {
    if (key_ == Key::kId) {
      take_id(std::move(value));
    } else if (key_ == Key::kCopies) {
      const auto* whole = std::get_if<int64_t>(&value);
      if (whole == nullptr) refuse(name_, "is not " + expected());
      request_.repeat(*whole, name_);
    } else if (key_ == Key::kField && !in_list_) {
      request_.add(*field_, {checked(*field_, std::move(value))});
    } else if (key_ == Key::kField && list_.size() <= kMostValues) {
      take_item(std::move(value));
    }
    return true;
  }
  void take_item(Setting value) {
    const bool number = field_->numbers_are_one && is_number(value);
    if (field_->numbers_are_one && !list_.empty() && number != is_number(list_.front()))
      refuse(name_, "holds numbers and texts", "write a list of numbers, or of texts");
    list_.push_back(number ? std::move(value) : checked(*field_, std::move(value)));
  }
  void take_id(Setting value) {
    if (const auto* whole = std::get_if<int64_t>(&value)) value = std::to_string(*whole);
    if (!std::holds_alternative<std::string>(value)) refuse(name_, "is not " + expected());
    request_.set_id(std::get<std::string>(std::move(value)));
  }

  Request request_;
  Key key_ = Key::kRemark;
  std::string name_;  // the key as it was typed
  const Field* field_ = nullptr;
  int depth_ = 0;
  bool in_list_ = false;
  std::vector<Setting> list_;
};

}  // namespace

Request read_json_line(std::string_view line) {
  RequestBuilder builder;
  json::sax_parse(line.begin(), line.end(), &builder);
  return builder.take();
}

}  // namespace brume::batch
