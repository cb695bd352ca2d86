#include "brume/base/config_file.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <utility>

#include "brume/base/error.h"
#include "brume/base/file.h"
#include "brume/base/strict_json.h"

namespace brume {

using nlohmann::json;

namespace {

constexpr uint64_t kMaxBytes = uint64_t{1} << 20;
constexpr int kMaxDepth = 16;
constexpr size_t kMaxList = 16;
constexpr size_t kMaxShown = 80;  // characters of a value in a message

std::string shown(const json& value) {
  std::string text = value.dump(-1, ' ', false, json::error_handler_t::replace);
  if (text.size() > kMaxShown) text = text.substr(0, kMaxShown) + "...";
  return text;
}

}  // namespace

struct ConfigFile::Impl {
  json values;
  mutable std::set<std::string, std::less<>> read;

  const json* find(std::string_view key) const {
    read.emplace(key);
    const auto found = values.find(key);
    return found == values.end() || found->is_null() ? nullptr : &*found;
  }
};

ConfigFile::ConfigFile(const std::filesystem::path& path)
    : ConfigFile(read_text_file(path, kMaxBytes, ExitCode::kModelInvalid), path.string()) {}

ConfigFile::ConfigFile(std::string_view text, std::string name)
    : name_(std::move(name)), impl_(std::make_unique<Impl>()) {
  if (text.size() > kMaxBytes)
    throw Error(
        ExitCode::kModelInvalid, name_,
        "has " + std::to_string(text.size()) + " bytes, more than the limit of " + std::to_string(kMaxBytes));
  impl_->values = parse_strict_json(text, kMaxDepth, name_, ExitCode::kModelInvalid);
  if (!impl_->values.is_object())
    throw Error(ExitCode::kModelInvalid, name_, "the top level is not a JSON object");
}

ConfigFile::~ConfigFile() = default;
ConfigFile::ConfigFile(ConfigFile&&) noexcept = default;

bool ConfigFile::has(std::string_view key) const { return impl_->find(key) != nullptr; }

bool ConfigFile::get_bool(std::string_view key, bool fallback) const {
  const json* value = impl_->find(key);
  if (value == nullptr) return fallback;
  if (!value->is_boolean()) reject(key, "it must be true or false");
  return value->get<bool>();
}

int64_t ConfigFile::get_int(std::string_view key, int64_t fallback, int64_t least, int64_t most) const {
  return has(key) ? require_int(key, least, most) : fallback;
}

int64_t ConfigFile::require_int(std::string_view key, int64_t least, int64_t most) const {
  const json* value = impl_->find(key);
  const std::string range =
      "it must be a whole number from " + std::to_string(least) + " to " + std::to_string(most);
  if (value == nullptr) throw Error(ExitCode::kModelInvalid, name_, std::string(key) + " is missing", range);
  if (!value->is_number_integer()) reject(key, range);
  if (value->is_number_unsigned() && value->get<uint64_t>() > static_cast<uint64_t>(INT64_MAX))
    reject(key, range);
  const auto number = value->get<int64_t>();
  if (number < least || number > most) reject(key, range);
  return number;
}

double ConfigFile::get_number(std::string_view key, double fallback, double least, double most) const {
  const json* value = impl_->find(key);
  if (value == nullptr) return fallback;
  if (value->is_number()) {
    const auto number = value->get<double>();
    if (number >= least && number <= most) return number;
  }
  std::ostringstream range;
  range << "it must be a number from " << least << " to " << most;
  reject(key, range.str());
}

std::string ConfigFile::get_string(std::string_view key, std::string_view fallback) const {
  return has(key) ? require_string(key) : std::string(fallback);
}

std::string ConfigFile::require_string(std::string_view key) const {
  const json* value = impl_->find(key);
  if (value == nullptr) throw Error(ExitCode::kModelInvalid, name_, std::string(key) + " is missing");
  if (!value->is_string()) reject(key, "it must be a string");
  return value->get<std::string>();
}

std::vector<int64_t> ConfigFile::get_ints(std::string_view key, int64_t fallback, size_t count) const {
  const json* value = impl_->find(key);
  if (value == nullptr) return std::vector<int64_t>(count, fallback);
  if (!value->is_array()) return std::vector<int64_t>(count, require_int(key, 1, INT32_MAX));
  std::vector<int64_t> list = require_int_list(key);
  if (list.size() != count) reject(key, "it must have " + std::to_string(count) + " entries, one a block");
  return list;
}

std::vector<std::vector<int64_t>> ConfigFile::get_int_lists(std::string_view key, int64_t fallback,
                                                            const std::vector<size_t>& lengths) const {
  const auto number = [&](const json& value) {
    if (!value.is_number_integer() || value < 0 || value > INT32_MAX)
      reject(key, "it must be whole numbers, or lists of them");
    return value.get<int64_t>();
  };
  const json* value = impl_->find(key);
  const bool list = value != nullptr && value->is_array();
  if (list && value->size() != lengths.size())
    reject(key, "it must have " + std::to_string(lengths.size()) + " entries, one a block");
  std::vector<std::vector<int64_t>> lists;
  for (size_t i = 0; i < lengths.size(); ++i) {
    const json* entry = list ? &(*value)[i] : value;
    if (entry == nullptr || !entry->is_array()) {
      lists.emplace_back(lengths[i], entry == nullptr ? fallback : number(*entry));
      continue;
    }
    if (entry->size() != lengths[i])
      reject(key, "its lists must have an entry for each layer of their block");
    lists.emplace_back();
    for (const json& one : *entry) lists.back().push_back(number(one));
  }
  return lists;
}

bool ConfigFile::is_empty_list(std::string_view key) const {
  const json* value = impl_->find(key);
  return value != nullptr && value->is_array() && value->empty();
}

bool ConfigFile::is_nested(std::string_view key) const {
  const json* value = impl_->find(key);
  return value != nullptr && value->is_array() &&
         std::any_of(value->begin(), value->end(), [](const json& entry) { return entry.is_array(); });
}

std::vector<bool> ConfigFile::get_bools(std::string_view key, bool fallback, size_t count) const {
  const json* value = impl_->find(key);
  if (value == nullptr) return std::vector<bool>(count, fallback);
  if (!value->is_array()) return std::vector<bool>(count, get_bool(key, fallback));
  if (value->size() != count) reject(key, "it must have " + std::to_string(count) + " entries, one a block");
  std::vector<bool> list;
  for (const json& entry : *value) {
    if (!entry.is_boolean()) reject(key, "its entries must be true or false");
    list.push_back(entry.get<bool>());
  }
  return list;
}

std::vector<int64_t> ConfigFile::require_int_list(std::string_view key) const {
  const json* value = impl_->find(key);
  if (value == nullptr) throw Error(ExitCode::kModelInvalid, name_, std::string(key) + " is missing");
  if (!value->is_array() || value->empty() || value->size() > kMaxList)
    reject(key, "it must be a list of 1 to 16 numbers");
  std::vector<int64_t> list;
  for (const json& entry : *value) {
    if (!entry.is_number_integer() || entry < 1 || entry > INT32_MAX)
      reject(key, "its entries must be positive whole numbers");
    list.push_back(entry.get<int64_t>());
  }
  return list;
}

std::vector<std::string> ConfigFile::get_strings(std::string_view key) const {
  const json* value = impl_->find(key);
  std::vector<std::string> list;
  if (value == nullptr) return list;
  if (!value->is_array() || value->size() > kMaxList) reject(key, "it must be a list of at most 16 strings");
  for (const json& entry : *value) {
    if (!entry.is_string()) reject(key, "its entries must be strings");
    list.push_back(entry.get<std::string>());
  }
  return list;
}

std::vector<double> ConfigFile::get_numbers(std::string_view key) const {
  const json* value = impl_->find(key);
  std::vector<double> list;
  if (value == nullptr) return list;
  if (!value->is_array()) reject(key, "it must be a list of numbers");
  for (const json& entry : *value) {
    if (!entry.is_number()) reject(key, "its entries must be numbers");
    list.push_back(entry.get<double>());
  }
  return list;
}

std::vector<std::string> ConfigFile::keys() const {
  std::vector<std::string> names;
  for (const auto& [key, value] : impl_->values.items()) names.push_back(key);
  return names;
}

void ConfigFile::set_string(const std::string& key, const std::string& value) { impl_->values[key] = value; }

std::string ConfigFile::text() const { return impl_->values.dump(); }

void ConfigFile::expect(std::string_view key, std::initializer_list<std::string_view> allowed) const {
  const json* value = impl_->find(key);
  if (value == nullptr) return;
  const std::string text = value->is_string() ? value->get<std::string>() : value->dump();
  if (std::find(allowed.begin(), allowed.end(), text) != allowed.end()) return;
  std::string remedy = "brume supports";
  for (std::string_view one : allowed) remedy += " " + std::string(one);
  reject(key, allowed.size() == 0 ? "brume has no such part; leave it out or null" : remedy);
}

void ConfigFile::note_unread(std::vector<std::string>& remarks) const {
  std::string names;
  for (const auto& [key, value] : impl_->values.items()) {
    if (!key.starts_with('_') && !impl_->read.contains(key)) names += (names.empty() ? "" : ", ") + key;
  }
  if (!names.empty()) remarks.push_back(name_ + ": not used: " + names);
}

void ConfigFile::reject(std::string_view key, std::string_view remedy) const {
  const auto found = impl_->values.find(key);
  const std::string value = found == impl_->values.end() ? "absent" : shown(*found);
  throw Error(ExitCode::kModelInvalid, name_, std::string(key) + ": " + value + " is not supported",
              std::string(remedy));
}

}  // namespace brume
