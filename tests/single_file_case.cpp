#include "single_file_case.h"

#include <cmath>
#include <cstring>
#include <fstream>
#include <sstream>

namespace brume::testing {

namespace {

std::filesystem::path folder() {
  return std::filesystem::path(BRUME_TEST_DATA) / "reference" / "single_files";
}

uint64_t count_of(const std::vector<uint64_t>& shape) {
  uint64_t count = 1;
  for (const uint64_t size : shape) count *= size;
  return count;
}

/// value_at of single_file_cases.py.
std::vector<float> values_of(size_t index, const std::string& name, const std::vector<uint64_t>& shape) {
  constexpr uint64_t kFactor = 6364136223846793005U;
  constexpr uint64_t kAddend = 1442695040888963407U;
  const uint64_t count = count_of(shape);
  std::vector<float> values(count);
  for (uint64_t i = 0; i < count; ++i) {
    uint64_t state = i + index * 1'000'003U;
    for (int round = 0; round < 2; ++round) {
      state = state * kFactor + kAddend;
      state ^= state >> 33;
    }
    const double unit = static_cast<double>(state >> 40) / 8388608.0 - 1.0;
    double value = 0;
    if (shape.size() > 1) {
      value = unit * std::sqrt(3.0 / static_cast<double>(count / shape[0]));
    } else {
      value = name.ends_with("bias") ? unit * 0.1 : unit * 0.1 + 1.0;
    }
    values[i] = static_cast<float>(value);
  }
  return values;
}

StoredTensor entry(std::string name, StoredType type, std::vector<uint64_t> shape, uint64_t& end) {
  StoredTensor tensor{std::move(name), type, std::move(shape), end, 0};
  end += count_of(tensor.shape) * static_cast<uint64_t>(stored_type_bits(type)) / 8;
  tensor.end = end;
  return tensor;
}

}  // namespace

Encoding as_fp32() {
  return {StoredType::kF32, [](const std::vector<float>& values) {
            std::vector<std::byte> bytes(values.size() * sizeof(float));
            std::memcpy(bytes.data(), values.data(), bytes.size());
            return bytes;
          }};
}

SingleFileCase::SingleFileCase(const std::string& family) {
  std::ifstream(folder() / (family + ".json")) >> parameters_;
}

void SingleFileCase::set_input_channels(int64_t channels) {
  for (auto& tensor : parameters_["tensors"]) {
    if (tensor[0] == "model.diffusion_model.input_blocks.0.0.weight") tensor[1][1] = channels;
  }
}

SafetensorsHeader SingleFileCase::header() const {
  SafetensorsHeader header;
  uint64_t end = 0;
  for (const auto& tensor : parameters_["tensors"])
    header.tensors.push_back(entry(tensor[0], StoredType::kF32, tensor[1], end));
  for (const auto& left : parameters_["leftovers"])
    header.tensors.push_back(
        entry(left[0], *stored_type_from_name(left[2].get<std::string>()), left[1], end));
  return header;
}

void SingleFileCase::write(const std::filesystem::path& path, const Encoding& encoding,
                           const std::map<std::string, std::string>& metadata,
                           const std::vector<std::string>& markers) const {
  std::vector<std::vector<std::byte>> data;
  std::vector<TensorToWrite> tensors;
  const auto add = [&](const std::string& name, StoredType type, const std::vector<uint64_t>& shape,
                       std::vector<std::byte> bytes) {
    data.push_back(std::move(bytes));
    tensors.push_back({name, type, shape, data.back()});
  };
  data.reserve(parameters_["tensors"].size() + parameters_["leftovers"].size() + markers.size());
  size_t index = 0;
  for (const auto& tensor : parameters_["tensors"]) {
    const std::vector<uint64_t> shape = tensor[1];
    add(tensor[0], encoding.type, shape, encoding.bytes(values_of(index++, tensor[0], shape)));
  }
  for (const auto& left : parameters_["leftovers"]) {
    const StoredType type = *stored_type_from_name(left[2].get<std::string>());
    const std::vector<uint64_t> shape = left[1];
    const uint64_t bytes = count_of(shape) * static_cast<uint64_t>(stored_type_bits(type)) / 8;
    add(left[0], type, shape, std::vector<std::byte>(bytes));
  }
  for (const std::string& name : markers) add(name, StoredType::kF32, {}, std::vector<std::byte>(4));
  write_safetensors(path, tensors, metadata);
}

SafetensorsHeader full_size_header(const std::string& name) {
  SafetensorsHeader header;
  std::ifstream lines(folder() / "layouts" / (name + ".txt"));
  uint64_t end = 0;
  for (std::string line; std::getline(lines, line);) {
    const size_t space = line.find(' ');
    std::vector<uint64_t> shape;
    std::istringstream sizes(line.substr(space + 1));
    for (std::string size; std::getline(sizes, size, ',');) shape.push_back(std::stoull(size));
    header.tensors.push_back(entry(line.substr(0, space), StoredType::kF16, std::move(shape), end));
  }
  return header;
}

}  // namespace brume::testing
