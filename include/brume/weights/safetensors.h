#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "brume/base/file.h"
#include "brume/weights/tensor_file.h"

namespace brume {

/// The element types of the format, by their exact names in a header.
enum class StoredType {
  kBool,
  kF4,
  kF6E2M3,
  kF6E3M2,
  kU8,
  kI8,
  kF8E5M2,
  kF8E4M3,
  kF8E8M0,
  kF8E4M3FNUZ,
  kF8E5M2FNUZ,
  kI16,
  kU16,
  kF16,
  kBF16,
  kI32,
  kU32,
  kF32,
  kC64,
  kF64,
  kI64,
  kU64,
};
std::string_view stored_type_name(StoredType type);
int stored_type_bits(StoredType type);
std::optional<StoredType> stored_type_from_name(std::string_view name);
/// The size in bits of a tensor, or nothing if it overflows 64 bits. Multiplies from the left, as the
/// reference does: [0, MAX, MAX] is 0, [MAX, 2, 0] overflows.
std::optional<uint64_t> stored_bits(StoredType type, std::span<const uint64_t> shape);

/// One entry of a header; `begin` and `end` count bytes from the start of the data section.
struct StoredTensor {
  std::string name;
  StoredType dtype;
  std::vector<uint64_t> shape;
  uint64_t begin;
  uint64_t end;
};

struct SafetensorsHeader {
  std::vector<StoredTensor> tensors;  // sorted by (begin, end, name)
  std::map<std::string, std::string> metadata;
  std::vector<std::string> warnings;  // unknown fields of entries; one line for all beyond the first 16
};

/// Checks every rule of the format (github.com/huggingface/safetensors, README "Format") against the JSON
/// text of a header and the number of data bytes that follow it. Throws kModelInvalid with `where`, the
/// tensor and the rule broken. Stricter than the reference on purpose: no duplicate keys, no NUL in a string,
/// JSON nested at most 8 deep, at most 65,536 tensors or metadata entries, names of at most 1,024 bytes, at
/// most 8 dimensions, at most 16 fields in an entry.
SafetensorsHeader parse_safetensors_header(std::string_view json, uint64_t data_bytes,
                                           const std::string& where);

/// A .safetensors file, open and validated. Data is read with pread, never mapped.
class SafetensorsFile : public TensorFile {
 public:
  explicit SafetensorsFile(const std::filesystem::path& path);

  const std::filesystem::path& path() const override { return file_.path(); }
  const SafetensorsHeader& header() const override { return header_; }
  void read(const StoredTensor& tensor, std::span<std::byte> out) const override;
  void read_part(const StoredTensor& tensor, uint64_t first, std::span<std::byte> out) const override;
  /// Bytes before the tensors' data.
  uint64_t data_start() const { return data_start_; }

 private:
  InputFile file_;
  uint64_t data_start_ = 0;
  SafetensorsHeader header_;
};

/// One tensor to write; `data` is little-endian, C order.
struct TensorToWrite {
  std::string name;
  StoredType dtype;
  std::vector<uint64_t> shape;
  std::span<const std::byte> data;
};

/// One tensor of a file whose data comes piece after piece.
struct TensorToStream {
  std::string name;
  StoredType dtype;
  std::vector<uint64_t> shape;
  uint64_t bytes;
};

/// The longest header that the format allows.
constexpr uint64_t kMaxHeaderBytes = 100'000'000;

/// Writes a file that the reference reader accepts: header padded to 8 bytes, the tensors of the widest type
/// first, atomically (see write_file_atomically). Whatever the reader would refuse is refused before anything
/// is written.
void write_safetensors(const std::filesystem::path& path, std::vector<TensorToWrite> tensors,
                       const std::map<std::string, std::string>& metadata);
/// The same for what is better not held in memory: `data` gives the bytes of one tensor, of all of them in
/// the file's order.
void stream_safetensors(const std::filesystem::path& path, std::vector<TensorToStream> tensors,
                        const std::map<std::string, std::string>& metadata,
                        const std::function<void(const TensorToStream&, const ByteSink&)>& data,
                        Existing existing);

}  // namespace brume
