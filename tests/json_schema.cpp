#include "json_schema.h"

#include <algorithm>
#include <fstream>

namespace brume::testing {

namespace {

using nlohmann::json;

bool has_type(const json& value, const std::string& type) {
  if (type == "integer") return value.is_number_integer();
  if (type == "number") return value.is_number();
  return type == (value.is_boolean() ? "boolean" : value.type_name());
}

class Checker {
 public:
  explicit Checker(const json& root) : root_(root) {}

  void check(const json& schema, const json& value, const std::string& place) {
    for (const auto& [keyword, wanted] : schema.items()) {
      if (keyword.starts_with("$schema") || keyword == "$defs" || keyword == "title" ||
          keyword == "description" || keyword == "properties" || keyword == "items")
        continue;
      if (!fits(schema, keyword, wanted, value, place))
        faults_.push_back(place + ": " + keyword + " " + wanted.dump() + ": " + value.dump());
    }
    if (value.is_object()) check_members(schema, value, place);
    if (value.is_array() && schema.contains("items")) {
      for (size_t i = 0; i < value.size(); ++i)
        check(schema["items"], value[i], place + "/" + std::to_string(i));
    }
  }

  std::vector<std::string> take_faults() { return std::move(faults_); }

 private:
  bool fits(const json& schema, const std::string& keyword, const json& wanted, const json& value,
            const std::string& place) {
    if (keyword == "$ref") {
      check(root_.at(json::json_pointer(wanted.get<std::string>().substr(1))), value, place);
      return true;
    }
    if (keyword == "type") {
      if (wanted.is_string()) return has_type(value, wanted);
      return std::any_of(wanted.begin(), wanted.end(), [&](const json& one) { return has_type(value, one); });
    }
    if (keyword == "const") return value == wanted;
    if (keyword == "enum") return std::find(wanted.begin(), wanted.end(), value) != wanted.end();
    if (keyword == "minimum") return !value.is_number() || value >= wanted;
    if (keyword == "maximum") return !value.is_number() || value <= wanted;
    if (keyword == "exclusiveMinimum") return !value.is_number() || value > wanted;
    if (keyword == "minLength") return !value.is_string() || value.get<std::string>().size() >= wanted;
    if (keyword == "minItems") return !value.is_array() || value.size() >= wanted;
    if (keyword == "maxItems") return !value.is_array() || value.size() <= wanted;
    if (keyword == "required")
      return !value.is_object() || std::all_of(wanted.begin(), wanted.end(), [&](const json& name) {
        return value.contains(name.get<std::string>());
      });
    if (keyword == "additionalProperties")
      return !value.is_object() || wanted != false || only_known(schema, value);
    return false;
  }

  static bool only_known(const json& schema, const json& value) {
    const json known = schema.value("properties", json::object());
    return std::all_of(value.items().begin(), value.items().end(),
                       [&](const auto& member) { return known.contains(member.key()); });
  }

  void check_members(const json& schema, const json& value, const std::string& place) {
    const json known = schema.value("properties", json::object());
    for (const auto& [name, member] : value.items()) {
      if (known.contains(name)) check(known[name], member, place + "/" + name);
    }
  }

  const json& root_;
  std::vector<std::string> faults_;
};

}  // namespace

std::vector<std::string> schema_faults(const json& schema, const json& value) {
  Checker checker(schema);
  checker.check(schema, value, "");
  return checker.take_faults();
}

json read_json(const std::filesystem::path& file) { return json::parse(std::ifstream(file)); }

}  // namespace brume::testing
