#include "file_store.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "brume/base/error.h"
#include "brume/weights/real_type.h"
#include "brume/weights/safetensors.h"

namespace brume {

namespace {

template <class Sizes>
std::string shape_text(const Sizes& sizes) {
  std::string text = "[";
  for (const auto size : sizes) text += (text.size() > 1 ? ", " : "") + std::to_string(size);
  return text + "]";
}

bool same_shape(const std::vector<uint64_t>& stored, at::IntArrayRef wanted) {
  return std::equal(stored.begin(), stored.end(), wanted.begin(), wanted.end(),
                    [](uint64_t a, int64_t b) { return b >= 0 && a == static_cast<uint64_t>(b); });
}

/// Fills `out` with the tensor's bytes from `first` on.
void read_bytes(const TensorFile& file, const TensorPlace& place, uint64_t first, std::span<std::byte> out) {
  const uint64_t begin =
      place.first * static_cast<uint64_t>(stored_type_bits(place.stored->dtype) / 8) + first;
  const uint64_t stored = place.stored->end - place.stored->begin;
  if (begin > stored || out.size() > stored - begin)
    throw Error(ExitCode::kModelInvalid, file.path().string(),
                "tensor \"" + place.stored->name + "\" ends before its part does", "fetch the file again");
  file.read_part(*place.stored, begin, out);
}

/// Fills `out`, of the file's own type, with the tensor's values from `first` on.
void read_values(const TensorFile& file, const TensorPlace& place, int64_t first, const at::Tensor& out) {
  read_bytes(file, place, static_cast<uint64_t>(first * out.element_size()),
             {static_cast<std::byte*>(out.data_ptr()), out.nbytes()});
}

/// Through fp32 and in pieces that a cache holds: ATen converts between two types of 16 bits one number at a
/// time, and nothing of the file's size is held beside the result.
void read_converted(const TensorFile& file, const TensorPlace& place, at::ScalarType type,
                    const at::Tensor& out) {
  constexpr int64_t kPiece = int64_t{1} << 18;
  const at::Tensor raw = at::empty({std::min(kPiece, out.numel())}, at::TensorOptions(type));
  for (int64_t first = 0; first < out.numel(); first += kPiece) {
    const at::Tensor piece = raw.narrow(0, 0, std::min(kPiece, out.numel() - first));
    read_values(file, place, first, piece);
    out.view({-1}).narrow(0, first, piece.numel()).copy_(piece.to(at::kFloat));
  }
}

/// On the CPU. ATen's memory is aligned whatever the tensor's place in the file is.
at::Tensor read_here(const TensorFile& file, const TensorPlace& place, at::IntArrayRef shape,
                     at::ScalarType type, at::ScalarType dtype) {
  at::Tensor values = at::empty(shape, at::TensorOptions(dtype));
  if (type == dtype)
    read_values(file, place, 0, values);
  else
    read_converted(file, place, type, values);
  return values;
}

/// Rounded there as here.
at::Tensor converted_there(const at::Tensor& values, at::ScalarType dtype) {
  // Between the others ATen goes through fp32 itself.
  return (values.scalar_type() == at::kDouble ? values.to(at::kFloat) : values).to(dtype);
}

}  // namespace

FileStore::FileStore(std::vector<FilePart> parts, std::string where, std::string remedy)
    : Store(std::move(where), std::move(remedy)), parts_(std::move(parts)) {
  for (const FilePart& part : parts_) {
    for (const auto& [name, tensor] : part.tensors) places_.emplace(name, Place{part.file.get(), &tensor});
  }
  if (places_.empty())
    throw Error(ExitCode::kModelInvalid, this->where(), "holds no tensors", "fetch the file again");
}

std::optional<at::Tensor> FileStore::find(const std::string& name, at::IntArrayRef shape,
                                          at::ScalarType dtype, TensorLoader* loader) {
  const Place* place = place_of(name);
  if (place == nullptr) return std::nullopt;
  at::Tensor loaded = load(*place, shape, dtype, loader);
  const std::lock_guard lock(mutex_);
  taken_.insert(name);
  return loaded;
}

std::vector<int64_t> FileStore::shape(const std::string& name) const {
  const Place* place = place_of(name);
  if (place == nullptr) missing(name);
  std::vector<int64_t> sizes;
  for (const uint64_t size : place->tensor->shape) {
    if (size > static_cast<uint64_t>(INT64_MAX))
      reject(*place, "has an impossible dimension " + std::to_string(size), "fetch the file again");
    sizes.push_back(static_cast<int64_t>(size));
  }
  return sizes;
}

at::ScalarType FileStore::stored_dtype(const std::string& name) const {
  const Place* place = place_of(name);
  if (place == nullptr) missing(name);
  return dtype_of(*place);
}

std::vector<std::string> FileStore::names() const {
  std::vector<std::string> all;
  all.reserve(places_.size());
  for (const auto& [name, place] : places_) all.push_back(name);
  return all;
}

std::vector<std::string> FileStore::unused() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> names;
  for (const auto& [name, place] : places_) {
    if (!is_for_nothing(name) && !taken_.contains(name)) names.push_back(name);
  }
  return names;
}

std::vector<std::filesystem::path> FileStore::files() const {
  std::vector<std::filesystem::path> paths;
  paths.reserve(parts_.size());
  for (const FilePart& part : parts_) paths.push_back(part.file->path());
  return paths;
}

const FileStore::Place* FileStore::place_of(const std::string& name) const {
  const auto found = places_.find(name);
  return found == places_.end() ? nullptr : &found->second;
}

void FileStore::reject(const Place& place, const std::string& problem, const std::string& remedy) const {
  throw Error(ExitCode::kModelInvalid, place.file->path().string(),
              "tensor \"" + place.tensor->stored->name + "\" " + problem, remedy);
}

at::ScalarType FileStore::dtype_of(const Place& place) const {
  const StoredType stored = place.tensor->stored->dtype;
  const std::optional<at::ScalarType> type = real_type(stored);
  if (!type)
    reject(place, "is stored as " + std::string(stored_type_name(stored)),
           "brume reads weights stored as F64, F32, F16, BF16 or 8-bit floats");
  return *type;
}

at::Tensor FileStore::load(const Place& place, at::IntArrayRef shape, at::ScalarType dtype,
                           TensorLoader* loader) const {
  const TensorPlace& tensor = *place.tensor;
  if (!same_shape(tensor.shape, shape))
    reject(place, "has shape " + shape_text(tensor.shape) + ", not " + shape_text(shape), remedy());
  const at::ScalarType type = dtype_of(place);
  const bool swapped = tensor.axes == Axes::kSwapped;
  const std::vector<int64_t> stored_shape =
      swapped ? std::vector<int64_t>(shape.rbegin(), shape.rend()) : shape.vec();
  at::Tensor values;
  if (loader != nullptr) {
    const PartReader read = [&](uint64_t first, std::span<std::byte> out) {
      read_bytes(*place.file, tensor, first, out);
    };
    values = converted_there(loader->load(stored_shape, type, read), dtype);
  } else {
    values = read_here(*place.file, tensor, stored_shape, type, dtype);
  }
  return swapped ? values.t().contiguous() : values;
}

}  // namespace brume
