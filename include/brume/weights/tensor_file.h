#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>

namespace brume {

struct StoredTensor;
struct SafetensorsHeader;

/// A file of named tensors, open and validated, whatever its format. May be read from several threads.
class TensorFile {
 public:
  virtual ~TensorFile() = default;

  virtual const std::filesystem::path& path() const = 0;
  virtual const SafetensorsHeader& header() const = 0;
  /// Fills `out` (tensor.end - tensor.begin bytes) with the data of a tensor of the header.
  virtual void read(const StoredTensor& tensor, std::span<std::byte> out) const = 0;
  /// Fills `out` with a part of it, from byte `first` on.
  virtual void read_part(const StoredTensor& tensor, uint64_t first, std::span<std::byte> out) const = 0;
};

/// A .safetensors file, or what torch.save wrote (PickledCheckpoint), by its content. Throws kModelInvalid.
std::shared_ptr<const TensorFile> open_tensor_file(const std::filesystem::path& path);

}  // namespace brume
