#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "brume/base/file.h"
#include "brume/weights/safetensors.h"
#include "brume/weights/tensor_file.h"

namespace brume {

/// The forms in which torch.save has written files, in the order of their age. Only the last one is read.
enum class PickledFormat { kTar, kBarePickle, kZip };
/// The form of a file by its first kPickledStart bytes (fewer if it is shorter), whatever its name is.
std::optional<PickledFormat> pickled_format(std::string_view start);
constexpr size_t kPickledStart = 262;

/// What torch.save writes (.ckpt, .pt, .pth, .bin): a zip archive of a pickle and of one file a storage
/// (pytorch.org/docs/stable/notes/serialization.html). The pickle is read as data, by a machine that knows
/// the opcodes and the global names that weights need and refuses every other; nothing in it can be run.
/// Throws kModelInvalid with the opcode or the name and its place, or with the tensor.
///
/// The header's tensors are those of the dict "state_dict", under their own names, or without such a dict of
/// the pickle's top; then those of the other dicts and lists, by dotted path
/// ("optimizer_states.0.state.1.exp_avg"). A list or dict that has several names is listed under one. `begin`
/// counts from the start of the file, and several tensors may lie in the same bytes. The metadata are the
/// numbers and texts at the pickle's top, such as global_step; the warnings name what was passed over.
///
/// Stricter than torch.load(weights_only=True) on purpose: pickle protocol 2 and nothing after it, at most
/// 1,000,000 opcodes in 64 MiB, nested at most 64 deep, at most 65,536 tensors of at most 8 dimensions, no
/// duplicate key, no elements that overlap, nothing compressed in the archive.
class PickledCheckpoint : public TensorFile {
 public:
  explicit PickledCheckpoint(const std::filesystem::path& path);

  const std::filesystem::path& path() const override { return file_.path(); }
  const SafetensorsHeader& header() const override { return header_; }
  /// In C order, whatever its strides.
  void read(const StoredTensor& tensor, std::span<std::byte> out) const override;
  void read_part(const StoredTensor& tensor, uint64_t first, std::span<std::byte> out) const override;

 private:
  InputFile file_;
  SafetensorsHeader header_;
  std::map<std::string, std::vector<uint64_t>> strides_;  // of the tensors that do not lie in C order
};

}  // namespace brume
