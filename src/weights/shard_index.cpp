#include "brume/weights/shard_index.h"

#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "brume/base/strict_json.h"

namespace brume {

using nlohmann::json;

namespace {

constexpr uint64_t kMaxIndexBytes = uint64_t{64} << 20;
constexpr int kMaxDepth = 8;
constexpr size_t kMaxShards = 512;  // each one holds a descriptor open

[[noreturn]] void reject(const std::filesystem::path& index, const std::string& problem,
                         const std::string& remedy = "fetch the model again") {
  throw Error(ExitCode::kModelInvalid, index.string(), problem, remedy);
}

/// Throws unless `shard` names a file of the index's directory, and nothing else whatever the links are.
std::filesystem::path shard_path(const std::filesystem::path& index, const std::string& shard) {
  const bool plain = shard.ends_with(".safetensors") && !shard.starts_with('.') && shard.size() <= 255 &&
                     shard.find_first_of(std::string_view("/\\\0", 3)) == std::string::npos;
  if (!plain) reject(index, "the shard \"" + shard + "\" is not a plain .safetensors file name");
  const std::filesystem::path directory = index.has_parent_path() ? index.parent_path() : ".";
  std::filesystem::path path = directory / shard;
  std::error_code failed;
  const std::filesystem::path real = std::filesystem::canonical(path, failed);
  if (failed) reject(index, "the shard \"" + shard + "\" cannot be opened: " + failed.message());
  const bool inside = real.parent_path() == std::filesystem::canonical(directory, failed);
  if (failed || !inside)
    reject(index, "the shard \"" + shard + "\" is a link out of the directory",
           "put the file itself beside the index");
  return path;
}

/// The names that the index gives to each shard.
std::map<std::string, std::set<std::string>> read_map(const std::filesystem::path& index) {
  const std::string text = read_text_file(index, kMaxIndexBytes, ExitCode::kModelInvalid);
  if (text.find('\0') != std::string::npos) reject(index, "holds a NUL byte");
  const json root = parse_strict_json(text, kMaxDepth, index.string(), ExitCode::kModelInvalid);
  if (!root.is_object() || !root.contains("weight_map") || !root["weight_map"].is_object())
    reject(index, "weight_map is missing or not a JSON object");
  std::map<std::string, std::set<std::string>> shards;
  for (const auto& [name, shard] : root["weight_map"].items()) {
    if (!shard.is_string()) reject(index, "weight_map: \"" + name + "\" has no file name");
    shards[shard.get<std::string>()].insert(name);
  }
  if (shards.empty()) reject(index, "weight_map is empty");
  if (shards.size() > kMaxShards)
    reject(index, "names " + std::to_string(shards.size()) + " shards, more than the limit of " +
                      std::to_string(kMaxShards));
  return shards;
}

}  // namespace

std::vector<SafetensorsFile> open_shards(const std::filesystem::path& index) {
  std::vector<SafetensorsFile> files;
  std::map<std::string, std::string> owner;  // tensor to shard
  for (const auto& [shard, names] : read_map(index)) {
    files.emplace_back(shard_path(index, shard));
    for (const StoredTensor& tensor : files.back().header().tensors) {
      const auto [other, added] = owner.emplace(tensor.name, shard);
      if (!added)
        reject(index, "tensor \"" + tensor.name + "\" is in two shards, " + other->second + " and " + shard);
    }
    for (const std::string& name : names) {
      const auto found = owner.find(name);
      if (found == owner.end() || found->second != shard)
        reject(index, "tensor \"" + name + "\" is not in the shard " + shard);
    }
  }
  return files;
}

}  // namespace brume
