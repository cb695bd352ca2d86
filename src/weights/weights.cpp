#include "brume/weights/weights.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <set>
#include <utility>

#include "brume/weights/safetensors.h"
#include "brume/weights/shard_index.h"
#include "weights_store.h"

namespace brume {

namespace {

/// The ATen type that holds real numbers of a stored type; nothing for integers, booleans, complex numbers
/// and the packed types.
std::optional<at::ScalarType> real_type(StoredType type) {
  switch (type) {
    case StoredType::kF16:
      return at::kHalf;
    case StoredType::kBF16:
      return at::kBFloat16;
    case StoredType::kF32:
      return at::kFloat;
    case StoredType::kF64:
      return at::kDouble;
    case StoredType::kF8E4M3:
      return at::kFloat8_e4m3fn;
    case StoredType::kF8E5M2:
      return at::kFloat8_e5m2;
    case StoredType::kF8E4M3FNUZ:
      return at::kFloat8_e4m3fnuz;
    case StoredType::kF8E5M2FNUZ:
      return at::kFloat8_e5m2fnuz;
    default:
      return std::nullopt;
  }
}

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

[[noreturn]] void reject(const SafetensorsFile& file, const StoredTensor& tensor, const std::string& problem,
                         const std::string& remedy) {
  throw Error(ExitCode::kModelInvalid, file.path().string(), "tensor \"" + tensor.name + "\" " + problem,
              remedy);
}

/// Through fp32 and in pieces that a cache holds: ATen converts between two types of 16 bits one number at a
/// time, and nothing of the file's size is held beside the result.
void read_converted(const SafetensorsFile& file, const StoredTensor& stored, at::ScalarType type,
                    const at::Tensor& out) {
  constexpr int64_t kPiece = int64_t{1} << 18;
  const at::Tensor raw = at::empty({std::min(kPiece, out.numel())}, at::TensorOptions(type));
  for (int64_t first = 0; first < out.numel(); first += kPiece) {
    const at::Tensor piece = raw.narrow(0, 0, std::min(kPiece, out.numel() - first));
    file.read_part(stored, static_cast<uint64_t>(first * raw.element_size()),
                   {static_cast<std::byte*>(piece.data_ptr()), piece.nbytes()});
    out.view({-1}).narrow(0, first, piece.numel()).copy_(piece.to(at::kFloat));
  }
}

at::Tensor load(const SafetensorsFile& file, const StoredTensor& stored, at::IntArrayRef shape,
                at::ScalarType dtype) {
  if (!same_shape(stored.shape, shape))
    reject(file, stored, "has shape " + shape_text(stored.shape) + ", not " + shape_text(shape),
           "the file does not fit the model's config.json");
  const std::optional<at::ScalarType> type = real_type(stored.dtype);
  if (!type)
    reject(file, stored, "is stored as " + std::string(stored_type_name(stored.dtype)),
           "brume reads weights stored as F64, F32, F16, BF16 or 8-bit floats");
  // ATen's memory is aligned whatever the tensor's place in the file is.
  at::Tensor values = at::empty(shape, at::TensorOptions(dtype));
  if (*type == dtype)
    file.read(stored, {static_cast<std::byte*>(values.data_ptr()), values.nbytes()});
  else
    read_converted(file, stored, *type, values);
  return values;
}

/// The tensors of safetensors files.
class FileStore : public Weights::Store {
 public:
  FileStore(std::vector<SafetensorsFile> opened, std::string name)
      : Store(std::move(name)), files_(std::move(opened)) {
    for (const SafetensorsFile& file : files_) {
      for (const StoredTensor& tensor : file.header().tensors)
        places_.emplace(tensor.name, Place{&file, &tensor});
    }
    if (places_.empty())
      throw Error(ExitCode::kModelInvalid, where(), "holds no tensors", "fetch the file again");
  }

  std::optional<at::Tensor> find(const std::string& name, at::IntArrayRef shape,
                                 at::ScalarType dtype) override {
    const Place* place = place_of(name);
    if (place == nullptr) return std::nullopt;
    at::Tensor loaded = load(*place->file, *place->tensor, shape, dtype);
    const std::lock_guard lock(mutex_);
    taken_.insert(name);
    return loaded;
  }

  bool contains(const std::string& name) const override { return place_of(name) != nullptr; }

  std::vector<int64_t> shape(const std::string& name) const override {
    const Place* place = place_of(name);
    if (place == nullptr) missing(name);
    std::vector<int64_t> sizes;
    for (const uint64_t size : place->tensor->shape) {
      if (size > static_cast<uint64_t>(INT64_MAX))
        reject(*place->file, *place->tensor, "has an impossible dimension " + std::to_string(size),
               "fetch the file again");
      sizes.push_back(static_cast<int64_t>(size));
    }
    return sizes;
  }

  std::vector<std::string> unused() const override {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> names;
    for (const auto& [name, place] : places_) {
      const bool for_nothing = name.ends_with("text_model.embeddings.position_ids");
      if (!for_nothing && !taken_.contains(name)) names.push_back(name);
    }
    return names;
  }

  std::vector<std::filesystem::path> files() const override {
    std::vector<std::filesystem::path> paths;
    for (const SafetensorsFile& file : files_) paths.push_back(file.path());
    return paths;
  }

 private:
  struct Place {
    const SafetensorsFile* file;
    const StoredTensor* tensor;
  };

  const Place* place_of(const std::string& name) const {
    const auto found = places_.find(name);
    return found == places_.end() ? nullptr : &found->second;
  }

  const std::vector<SafetensorsFile> files_;
  std::map<std::string, Place> places_;
  mutable std::mutex mutex_;
  std::set<std::string> taken_;
};

}  // namespace

void Weights::Store::missing(const std::string& name) const {
  throw Error(ExitCode::kModelInvalid, where_, "tensor \"" + name + "\" is missing",
              "the file does not fit the model's config.json");
}

Weights::Weights(std::shared_ptr<Store> store) : store_(std::move(store)) {}
Weights::~Weights() = default;
Weights::Weights(Weights&&) noexcept = default;

Weights Weights::open(const std::filesystem::path& directory, const std::string& stem) {
  // The last is how diffusers names the index of a variant.
  const std::vector<std::string> names{stem + ".safetensors", stem + ".safetensors.index.json",
                                       stem + ".fp16.safetensors", stem + ".fp16.safetensors.index.json",
                                       stem + ".safetensors.index.fp16.json"};
  std::string looked_for;
  for (const std::string& name : names) {
    const std::filesystem::path path = directory / name;
    std::error_code ignored;
    if (!std::filesystem::exists(path, ignored)) {
      looked_for += (looked_for.empty() ? "" : ", ") + name;
    } else if (name.ends_with(".json")) {
      return Weights(std::make_shared<FileStore>(open_shards(path), path.string()));
    } else {
      return open_file(path);
    }
  }
  throw Error(ExitCode::kModelInvalid, directory.string(), "no weights found: looked for " + looked_for,
              "check the model directory");
}

Weights Weights::open_file(const std::filesystem::path& path) {
  std::vector<SafetensorsFile> files;
  files.emplace_back(path);
  return Weights(std::make_shared<FileStore>(std::move(files), path.string()));
}

WeightsView Weights::view(at::ScalarType dtype) const { return {store_, "", dtype}; }

std::vector<std::string> Weights::unused() const { return store_->unused(); }

std::vector<std::filesystem::path> Weights::files() const { return store_->files(); }

WeightsView::WeightsView(std::shared_ptr<Weights::Store> store, std::string prefix, at::ScalarType dtype)
    : store_(std::move(store)), prefix_(std::move(prefix)), dtype_(dtype) {}

WeightsView WeightsView::operator/(std::string_view name) const {
  return {store_, full_name(name) + ".", dtype_};
}

at::Tensor WeightsView::tensor(std::string_view name, at::IntArrayRef shape) const {
  std::optional<at::Tensor> found = find(name, shape);
  if (!found) store_->missing(full_name(name));
  return *found;
}

std::optional<at::Tensor> WeightsView::find(std::string_view name, at::IntArrayRef shape) const {
  return store_->find(full_name(name), shape, dtype_);
}

bool WeightsView::contains(std::string_view name) const { return store_->contains(full_name(name)); }

std::vector<int64_t> WeightsView::shape(std::string_view name) const {
  return store_->shape(full_name(name));
}

std::string WeightsView::full_name(std::string_view name) const { return prefix_ + std::string(name); }

}  // namespace brume
