#pragma once
#include <nlohmann/json.hpp>

#include <filesystem>
#include <string>
#include <vector>

namespace brume::testing {

/// What of `value` does not fit a JSON Schema, a line each; the part of draft 2020-12 that our schemas use. A
/// keyword that is not known here is a fault too, so that nothing goes unchecked.
std::vector<std::string> schema_faults(const nlohmann::json& schema, const nlohmann::json& value);

nlohmann::json read_json(const std::filesystem::path& file);

}  // namespace brume::testing
