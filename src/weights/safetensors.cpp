#include "brume/weights/safetensors.h"

#include <array>
#include <bit>

#include "brume/base/checked.h"

namespace brume {

// The data is copied into memory as it is: the format is little-endian.
static_assert(std::endian::native == std::endian::little);

namespace {

constexpr uint64_t kLengthBytes = 8;

/// The length of the header, checked before a byte of it is allocated.
uint64_t header_bytes(const InputFile& file) {
  auto reject = [&](const std::string& problem, const std::string& remedy) {
    throw Error(ExitCode::kModelInvalid, file.path().string(), problem, remedy);
  };
  if (file.size() < kLengthBytes)
    reject("has " + std::to_string(file.size()) + " bytes, too few for a .safetensors file",
           "fetch the file again");
  std::array<std::byte, kLengthBytes> raw{};
  file.read_at(0, raw);
  const auto length = std::bit_cast<uint64_t>(raw);
  if (length > kMaxHeaderBytes)
    reject("states a header of " + std::to_string(length) + " bytes, more than the limit of " +
               std::to_string(kMaxHeaderBytes),
           "name a .safetensors file");
  if (checked_add(kLengthBytes, length).value_or(UINT64_MAX) > file.size())
    reject("states a header of " + std::to_string(length) + " bytes, but has only " +
               std::to_string(file.size()) + " in all",
           "the download is incomplete: fetch the file again");
  return length;
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) : file_(path, ExitCode::kModelInvalid) {
  const uint64_t length = header_bytes(file_);
  std::string json(length, '\0');
  file_.read_at(kLengthBytes, std::as_writable_bytes(std::span(json)));
  data_start_ = kLengthBytes + length;
  header_ = parse_safetensors_header(json, file_.size() - data_start_, path.string());
}

void SafetensorsFile::read(const StoredTensor& tensor, std::span<std::byte> out) const {
  if (out.size() != tensor.end - tensor.begin)
    throw Error(ExitCode::kModelInvalid, path().string(),
                "tensor \"" + tensor.name + "\" has " + std::to_string(tensor.end - tensor.begin) +
                    " bytes, not " + std::to_string(out.size()));
  read_part(tensor, 0, out);
}

void SafetensorsFile::read_part(const StoredTensor& tensor, uint64_t first, std::span<std::byte> out) const {
  file_.read_at(data_start_ + tensor.begin + first, out);
}

}  // namespace brume
