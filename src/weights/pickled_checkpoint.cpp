#include "brume/weights/pickled_checkpoint.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "checkpoint_archive.h"
#include "pickle_tree.h"
#include "pickled_tensors.h"

namespace brume {

namespace {

constexpr std::string_view kZipStart = "PK\x03\x04";
constexpr std::string_view kTarMark = "ustar";
constexpr size_t kTarMarkPlace = 257;
constexpr size_t kLengthBytes = 8;  // of a safetensors header
constexpr std::string_view kConvert =
    "save it again in torch 1.6 or newer: torch.save(torch.load(OLD, weights_only=True), NEW)";

/// Throws unless the file begins as a zip archive does.
void check_start(const InputFile& file) {
  std::string start(std::min<uint64_t>(file.size(), kPickledStart), '\0');
  file.read_at(0, std::as_writable_bytes(std::span(start)));
  const std::optional<PickledFormat> format = pickled_format(start);
  auto reject = [&](const std::string& problem, std::string_view remedy) {
    throw Error(ExitCode::kModelInvalid, file.path().string(), problem, std::string(remedy));
  };
  if (!format) reject("is not a checkpoint that torch.save wrote", "name a .ckpt, .pt or .pth file");
  if (*format == PickledFormat::kTar) reject("is a tar archive, as torch 0.1 wrote them", kConvert);
  if (*format == PickledFormat::kBarePickle)
    reject("is a bare pickle, as torch wrote them before 1.6", kConvert);
}

/// The elements `first` to `last` (both included) of a strided tensor lie within these of its storage.
struct Range {
  uint64_t low;
  uint64_t high;  // included
};

Range range_of(std::span<const uint64_t> shape, std::span<const uint64_t> strides, uint64_t first,
               uint64_t last) {
  uint64_t inner = 1;
  for (const uint64_t size : shape) inner *= size;
  Range range{0, 0};
  for (size_t i = 0; i < shape.size(); ++i) {
    inner /= shape[i];
    const uint64_t from = first / inner;
    const uint64_t to = last / inner;
    range.low += from * strides[i];
    range.high += to * strides[i];
    first %= inner;
    last %= inner;
    if (from == to) continue;
    // More than one row of this dimension: of the rest anything may be among them.
    for (size_t k = i + 1; k < shape.size(); ++k) range.high += (shape[k] - 1) * strides[k];
    break;
  }
  return range;
}

/// Puts bytes that lie by strides into C order: those from `first` on.
class Gatherer {
 public:
  Gatherer(const StoredTensor& tensor, std::span<const uint64_t> strides)
      : shape_(tensor.shape),
        strides_(strides),
        item_(static_cast<uint64_t>(stored_type_bits(tensor.dtype) / 8)) {}

  void read(const InputFile& file, uint64_t begin, uint64_t first, std::span<std::byte> out) const {
    if (out.empty()) return;
    const Range range = range_of(shape_, strides_, first / item_, (first + out.size() - 1) / item_);
    std::vector<std::byte> bytes((range.high - range.low + 1) * item_);
    file.read_at(begin + range.low * item_, bytes);
    std::vector<uint64_t> index = index_of(first / item_);
    uint64_t skipped = first % item_;  // bytes of the first element
    while (!out.empty()) {
      uint64_t place = 0;
      for (size_t i = 0; i < index.size(); ++i) place += index[i] * strides_[i];
      const size_t count = std::min<size_t>(item_ - skipped, out.size());
      std::memcpy(out.data(), bytes.data() + (place - range.low) * item_ + skipped, count);
      out = out.subspan(count);
      skipped = 0;
      advance(index);
    }
  }

 private:
  std::vector<uint64_t> index_of(uint64_t element) const {
    std::vector<uint64_t> index(shape_.size());
    for (size_t i = shape_.size(); i-- > 0;) {
      index[i] = element % shape_[i];
      element /= shape_[i];
    }
    return index;
  }
  void advance(std::vector<uint64_t>& index) const {
    for (size_t i = index.size(); i-- > 0;) {
      if (++index[i] < shape_[i]) return;
      index[i] = 0;
    }
  }

  std::span<const uint64_t> shape_;
  std::span<const uint64_t> strides_;
  uint64_t item_;
};

}  // namespace

std::optional<PickledFormat> pickled_format(std::string_view start) {
  if (start.starts_with(kZipStart)) return PickledFormat::kZip;
  if (start.size() >= kPickledStart && start.substr(kTarMarkPlace, kTarMark.size()) == kTarMark)
    return PickledFormat::kTar;
  // PROTO and a protocol that there is; but the length of a safetensors header, which ends in zeros, may
  // begin so.
  if (start.size() < kLengthBytes || start[0] != '\x80' || start[1] < 2 || start[1] > 5) return std::nullopt;
  const bool frame = start[1] >= 4 && start[2] == '\x95';
  const bool length = start.substr(kLengthBytes / 2, kLengthBytes / 2) == std::string_view("\0\0\0\0", 4);
  return length && !frame ? std::nullopt : std::optional(PickledFormat::kBarePickle);
}

PickledCheckpoint::PickledCheckpoint(const std::filesystem::path& path)
    : file_(path, ExitCode::kModelInvalid) {
  check_start(file_);
  CheckpointArchive archive = read_checkpoint_archive(file_);
  const std::string where = path.string();
  PickledTensors named = name_tensors(read_pickle(std::move(archive.pickle), where), archive.storages, where);
  header_ = std::move(named.header);
  strides_ = std::move(named.strides);
}

void PickledCheckpoint::read(const StoredTensor& tensor, std::span<std::byte> out) const {
  if (out.size() != tensor.end - tensor.begin)
    throw Error(ExitCode::kModelInvalid, path().string(),
                "tensor \"" + tensor.name + "\" has " + std::to_string(tensor.end - tensor.begin) +
                    " bytes, not " + std::to_string(out.size()));
  read_part(tensor, 0, out);
}

void PickledCheckpoint::read_part(const StoredTensor& tensor, uint64_t first,
                                  std::span<std::byte> out) const {
  const auto strided = strides_.find(tensor.name);
  if (strided == strides_.end()) {
    file_.read_at(tensor.begin + first, out);
  } else {
    Gatherer(tensor, strided->second).read(file_, tensor.begin, first, out);
  }
}

}  // namespace brume
