#include "brume/weights/listing.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "brume/base/escape.h"
#include "brume/weights/checkpoint.h"
#include "brume/weights/packed_file.h"
#include "brume/weights/packed_origin.h"
#include "brume/weights/safetensors.h"
#include "brume/weights/shard_index.h"
#include "brume/weights/tensor_file.h"
#include "brume/weights/weights_format.h"

namespace brume {

using nlohmann::ordered_json;

namespace {

constexpr int kMaxLevels = 3;
constexpr size_t kMaxFiles = 512;
constexpr size_t kMaxShown = 200;  // characters of a metadata value

/// A file of weights, whatever its format.
struct Listed {
  std::filesystem::path path;
  SafetensorsHeader header;
  std::optional<PackedOrigin> origin;  // of what brume convert wrote
};

Listed listed(const TensorFile& file) {
  const auto packed = file.header().metadata.find(PackedFile::kOriginKey);
  if (packed == file.header().metadata.end()) return {file.path(), file.header(), {}};
  return {file.path(), file.header(),
          read_packed_origin(packed->second, file.path().string() + ": " + packed->first)};
}

std::vector<Listed> open_one(const std::filesystem::path& path) {
  if (weights_format(path, ExitCode::kModelInvalid) != WeightsFormat::kIndex)
    return {listed(*open_tensor_file(path))};
  const std::vector<SafetensorsFile> shards = open_shards(path);
  std::vector<Listed> files;
  files.reserve(shards.size());
  for (const SafetensorsFile& shard : shards) files.push_back(listed(shard));
  return files;
}

std::vector<Listed> open_all(const std::filesystem::path& path) {
  std::vector<Listed> files;
  std::error_code failed;
  if (!std::filesystem::is_directory(path, failed)) return open_one(path);
  std::vector<std::filesystem::path> names;
  std::filesystem::recursive_directory_iterator walk(path, failed);
  for (; !failed && walk != std::filesystem::recursive_directory_iterator(); walk.increment(failed)) {
    if (walk.depth() + 1 >= kMaxLevels) walk.disable_recursion_pending();
    if (walk->path().extension() == ".safetensors") names.push_back(walk->path());
  }
  if (failed) throw Error(ExitCode::kModelInvalid, path.string(), "cannot list: " + failed.message());
  if (names.empty() || names.size() > kMaxFiles)
    throw Error(ExitCode::kModelInvalid, path.string(),
                "holds " + std::to_string(names.size()) + " .safetensors files", "name a model directory");
  std::sort(names.begin(), names.end());
  files.reserve(names.size());
  for (const std::filesystem::path& name : names) files.push_back(listed(SafetensorsFile(name)));
  return files;
}

/// At most kMaxShown characters, escaped.
std::string shown(const std::string& value) {
  size_t end = 0;
  size_t characters = 0;
  for (; end < value.size(); ++end) {
    const bool starts = (static_cast<unsigned char>(value[end]) & 0xC0) != 0x80;
    if (starts && ++characters > kMaxShown) break;
  }
  return escape_control(std::string_view(value).substr(0, end)) + (end < value.size() ? "..." : "");
}

uint64_t elements(const StoredTensor& tensor) {
  return (tensor.end - tensor.begin) * 8 / static_cast<uint64_t>(stored_type_bits(tensor.dtype));
}

std::string shape_text(const StoredTensor& tensor) {
  std::string text = "[";
  for (const uint64_t size : tensor.shape) text += (text.size() > 1 ? ", " : "") + std::to_string(size);
  return text + "]";
}

/// What a file of a whole model is, and null for any other: JSON.
ordered_json family_json(const SafetensorsHeader& header) {
  const std::optional<CheckpointFamily> family = checkpoint_family(header);
  if (!family) return nullptr;
  return {{"family", family->title},
          {"draws", family->refusal.empty()},
          {"remark", family->refusal.empty() ? ordered_json(nullptr) : ordered_json(family->refusal)}};
}

/// The same as a line.
std::string family_line(const SafetensorsHeader& header) {
  const std::optional<CheckpointFamily> family = checkpoint_family(header);
  if (!family) return {};
  return "  = a checkpoint of " + family->title +
         (family->refusal.empty() ? "" : "; brume does not draw with it: " + family->refusal) + "\n";
}

/// Where a packed model comes from, and null for any other file: JSON, of which `packed_origin_text` is the
/// shape.
ordered_json origin_json(const Listed& file) {
  return file.origin ? ordered_json::parse(packed_origin_text(*file.origin)) : ordered_json(nullptr);
}

/// The same as lines.
std::string origin_lines(const Listed& file) {
  if (!file.origin) return {};
  std::string text;
  for (const std::string& line : packed_origin_lines(*file.origin))
    text += "  = " + escape_control(line) + "\n";
  return text;
}

struct Totals {
  uint64_t tensors = 0;
  uint64_t elements = 0;
  uint64_t bytes = 0;

  void add(const StoredTensor& tensor) {
    ++tensors;
    elements += brume::elements(tensor);
    bytes += tensor.end - tensor.begin;
  }
};

}  // namespace

std::string tensors_json(const std::filesystem::path& path) {
  ordered_json root = {{"files", ordered_json::array()}};
  Totals totals;
  for (const Listed& file : open_all(path)) {
    ordered_json::object_t metadata;
    for (const auto& [key, value] : file.header.metadata)
      metadata.push_back({escape_control(key), shown(value)});
    ordered_json tensors = ordered_json::array();
    for (const StoredTensor& tensor : file.header.tensors) {
      totals.add(tensor);
      tensors.push_back({{"name", escape_control(tensor.name)},
                         {"dtype", stored_type_name(tensor.dtype)},
                         {"shape", tensor.shape},
                         {"bytes", tensor.end - tensor.begin}});
    }
    root["files"].push_back({{"file", escape_control(file.path.string())},
                             {"checkpoint", family_json(file.header)},
                             {"packed", origin_json(file)},
                             {"metadata", std::move(metadata)},
                             {"tensors", std::move(tensors)},
                             {"warnings", file.header.warnings}});
  }
  root["totals"] = {{"tensors", totals.tensors}, {"elements", totals.elements}, {"bytes", totals.bytes}};
  return root.dump(2, ' ', false, ordered_json::error_handler_t::replace);
}

std::string tensors_table(const std::filesystem::path& path) {
  std::string out;
  Totals totals;
  for (const Listed& file : open_all(path)) {
    out += escape_control(file.path.string()) + "\n" + family_line(file.header) + origin_lines(file);
    for (const auto& [key, value] : file.header.metadata)
      out += "  # " + escape_control(key) + " = " + shown(value) + "\n";
    size_t name_width = 0;
    size_t shape_width = 0;
    for (const StoredTensor& tensor : file.header.tensors) {
      name_width = std::max(name_width, escape_control(tensor.name).size());
      shape_width = std::max(shape_width, shape_text(tensor).size());
    }
    auto padded = [](std::string text, size_t width) {
      text.resize(std::max(width, text.size()), ' ');
      return text + "  ";
    };
    for (const StoredTensor& tensor : file.header.tensors) {
      totals.add(tensor);
      out += "  " + padded(escape_control(tensor.name), name_width) +
             padded(std::string(stored_type_name(tensor.dtype)), 11) +
             padded(shape_text(tensor), shape_width) + std::to_string(tensor.end - tensor.begin) + "\n";
    }
    for (const std::string& warning : file.header.warnings) out += "  ! " + escape_control(warning) + "\n";
  }
  out += std::to_string(totals.tensors) + " tensors, " + std::to_string(totals.elements) + " elements, " +
         std::to_string(totals.bytes) + " bytes\n";
  return out;
}

}  // namespace brume
