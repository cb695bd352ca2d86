#include "brume/base/strict_json.h"

#include <nlohmann/json.hpp>

#include <set>
#include <vector>

namespace brume {

using nlohmann::json;

json parse_strict_json(std::string_view text, int max_depth, const std::string& where, ExitCode code) {
  // The parser takes a NUL for the end of its input and skips a byte-order mark: both would hide bytes.
  if (text.find('\0') != std::string_view::npos)
    throw Error(code, where, "not valid JSON: it holds a NUL byte");
  if (text.starts_with("\xef\xbb\xbf"))
    throw Error(code, where, "not valid JSON: it begins with a byte-order mark");
  std::vector<std::set<std::string>> keys;  // of every object that is open
  auto check = [&](int depth, json::parse_event_t event, json& value) {
    using Event = json::parse_event_t;
    if ((event == Event::object_start || event == Event::array_start) && depth >= max_depth) {
      throw Error(code, where, "JSON nested deeper than " + std::to_string(max_depth));
    }
    if (event == Event::object_start) keys.emplace_back();
    if (event == Event::object_end) keys.pop_back();
    if (event == Event::key && !keys.back().insert(value.get<std::string>()).second) {
      throw Error(code, where, "duplicate key \"" + value.get<std::string>() + "\"");
    }
    return true;
  };
  try {
    return json::parse(text.begin(), text.end(), check);
  } catch (const json::parse_error& error) {
    throw Error(code, where, "not valid JSON at byte " + std::to_string(error.byte),
                "fetch or write the file again");
  } catch (const json::exception&) {
    throw Error(code, where, "a JSON number is out of range", "fetch or write the file again");
  }
}

}  // namespace brume
