#include <algorithm>
#include <array>
#include <bit>
#include <nlohmann/json.hpp>
#include <utility>

#include "brume/weights/safetensors.h"

namespace brume {

namespace {

constexpr size_t kAlignment = 8;

std::string quoted(const std::string& text, const std::string& where) {
  try {
    return nlohmann::json(text).dump();
  } catch (const nlohmann::json::exception&) {
    throw Error(ExitCode::kOutputFailed, where, "\"" + text + "\" is not UTF-8");
  }
}

template <class List, class Text>
std::string joined(const List& list, Text text) {
  std::string out;
  for (const auto& one : list) {
    if (!out.empty()) out += ',';
    out += text(one);
  }
  return out;
}

/// The JSON text, padded so that the data after it is aligned for a reader that maps the file.
std::string header_text(const std::vector<TensorToWrite>& tensors,
                        const std::map<std::string, std::string>& metadata, const std::string& where) {
  std::string json = "{";
  if (!metadata.empty()) {
    json += "\"__metadata__\":{" +
            joined(metadata,
                   [&](const auto& pair) {
                     return quoted(pair.first, where) + ":" + quoted(pair.second, where);
                   }) +
            "}";
  }
  uint64_t begin = 0;
  for (const TensorToWrite& tensor : tensors) {
    const uint64_t end = begin + tensor.data.size();
    if (json.size() > 1) json += ',';
    json += quoted(tensor.name, where) + ":{\"dtype\":\"" + std::string(stored_type_name(tensor.dtype)) +
            "\",\"shape\":[" + joined(tensor.shape, [](uint64_t size) { return std::to_string(size); }) +
            "],\"data_offsets\":[" + std::to_string(begin) + "," + std::to_string(end) + "]}";
    begin = end;
  }
  json += '}';
  json.append((kAlignment - json.size() % kAlignment) % kAlignment, ' ');
  return json;
}

}  // namespace

void write_safetensors(const std::filesystem::path& path, std::vector<TensorToWrite> tensors,
                       const std::map<std::string, std::string>& metadata) {
  // Widest type first keeps every tensor aligned; then by name, so that equal content gives equal files.
  std::sort(tensors.begin(), tensors.end(), [](const TensorToWrite& a, const TensorToWrite& b) {
    const int a_bits = stored_type_bits(a.dtype);
    const int b_bits = stored_type_bits(b.dtype);
    return a_bits != b_bits ? a_bits > b_bits : a.name < b.name;
  });
  const std::string json = header_text(tensors, metadata, path.string());
  if (json.size() > kMaxHeaderBytes)
    throw Error(ExitCode::kOutputFailed, path.string(),
                "the header would have " + std::to_string(json.size()) + " bytes, more than the limit of " +
                    std::to_string(kMaxHeaderBytes),
                "write fewer tensors or shorter metadata");
  uint64_t data_bytes = 0;
  for (const TensorToWrite& tensor : tensors) data_bytes += tensor.data.size();
  try {
    parse_safetensors_header(json, data_bytes, path.string());  // sizes, duplicate names, caps
  } catch (const Error& error) {
    throw Error(ExitCode::kOutputFailed, "refused to write", error.what());
  }

  const auto length = std::bit_cast<std::array<std::byte, 8>>(static_cast<uint64_t>(json.size()));
  std::vector<std::span<const std::byte>> parts{length, std::as_bytes(std::span(json))};
  for (const TensorToWrite& tensor : tensors) parts.push_back(tensor.data);
  write_parts_atomically(path, parts);
}

}  // namespace brume
