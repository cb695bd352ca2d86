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
std::string header_text(const std::vector<TensorToStream>& tensors,
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
  for (const TensorToStream& tensor : tensors) {
    const uint64_t end = begin + tensor.bytes;
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

/// Widest type first keeps every tensor aligned; then by name, so that equal content gives equal files.
bool comes_first(const TensorToStream& a, const TensorToStream& b) {
  const int a_bits = stored_type_bits(a.dtype);
  const int b_bits = stored_type_bits(b.dtype);
  return a_bits != b_bits ? a_bits > b_bits : a.name < b.name;
}

/// The header of tensors in the file's order, which every reader must accept.
std::string checked_header(const std::vector<TensorToStream>& tensors,
                           const std::map<std::string, std::string>& metadata, const std::string& where) {
  std::string json = header_text(tensors, metadata, where);
  if (json.size() > kMaxHeaderBytes)
    throw Error(ExitCode::kOutputFailed, where,
                "the header would have " + std::to_string(json.size()) + " bytes, more than the limit of " +
                    std::to_string(kMaxHeaderBytes),
                "write fewer tensors or shorter metadata");
  uint64_t data_bytes = 0;
  for (const TensorToStream& tensor : tensors) data_bytes += tensor.bytes;
  try {
    parse_safetensors_header(json, data_bytes, where);  // sizes, duplicate names, caps
  } catch (const Error& error) {
    throw Error(ExitCode::kOutputFailed, "refused to write", error.what());
  }
  return json;
}

}  // namespace

void write_safetensors(const std::filesystem::path& path, std::vector<TensorToWrite> tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::vector<TensorToStream> entries;
  std::multimap<std::string, std::span<const std::byte>> data;  // two of a name are refused with their header
  entries.reserve(tensors.size());
  for (TensorToWrite& tensor : tensors) {
    data.emplace(tensor.name, tensor.data);
    entries.push_back({std::move(tensor.name), tensor.dtype, std::move(tensor.shape), tensor.data.size()});
  }
  stream_safetensors(
      path, std::move(entries), metadata,
      [&](const TensorToStream& tensor, const ByteSink& sink) { sink(data.find(tensor.name)->second); },
      Existing::kReplace);
}

void stream_safetensors(const std::filesystem::path& path, std::vector<TensorToStream> tensors,
                        const std::map<std::string, std::string>& metadata,
                        const std::function<void(const TensorToStream&, const ByteSink&)>& data,
                        Existing existing) {
  std::sort(tensors.begin(), tensors.end(), comes_first);
  const std::string json = checked_header(tensors, metadata, path.string());
  const auto length = std::bit_cast<std::array<std::byte, 8>>(static_cast<uint64_t>(json.size()));
  const auto produce = [&](const ByteSink& sink) {
    sink(length);
    sink(std::as_bytes(std::span(json)));
    for (const TensorToStream& tensor : tensors) {
      uint64_t left = tensor.bytes;
      data(tensor, [&](std::span<const std::byte> bytes) {
        if (bytes.size() > left)
          throw Error(ExitCode::kOutputFailed, path.string(), "tensor \"" + tensor.name + "\" is too long");
        left -= bytes.size();
        sink(bytes);
      });
      if (left > 0)
        throw Error(ExitCode::kOutputFailed, path.string(), "tensor \"" + tensor.name + "\" is too short");
    }
    return true;
  };
  write_stream_atomically(path, produce, {}, existing);
}

}  // namespace brume
