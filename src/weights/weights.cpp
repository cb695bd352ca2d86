#include "brume/weights/weights.h"

#include <ATen/ATen.h>

#include <map>
#include <mutex>
#include <set>
#include <utility>

#include "brume/weights/safetensors.h"
#include "brume/weights/shard_index.h"

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

}  // namespace

struct Weights::Store {
  struct Place {
    const SafetensorsFile* file;
    const StoredTensor* tensor;
  };

  /// `name` is what messages about the whole component call it.
  Store(std::vector<SafetensorsFile> opened, std::string name)
      : files(std::move(opened)), where(std::move(name)) {
    for (const SafetensorsFile& file : files) {
      for (const StoredTensor& tensor : file.header().tensors)
        places.emplace(tensor.name, Place{&file, &tensor});
    }
    if (places.empty())
      throw Error(ExitCode::kModelInvalid, where, "holds no tensors", "fetch the file again");
  }

  const Place* find(const std::string& name) const {
    const auto found = places.find(name);
    return found == places.end() ? nullptr : &found->second;
  }

  void mark_taken(const std::string& name) {
    const std::lock_guard lock(mutex);
    taken.insert(name);
  }

  [[noreturn]] void missing(const std::string& name) const {
    throw Error(ExitCode::kModelInvalid, where, "tensor \"" + name + "\" is missing",
                "the file does not fit the model's config.json");
  }

  const std::vector<SafetensorsFile> files;
  const std::string where;
  std::map<std::string, Place> places;
  std::mutex mutex;
  std::set<std::string> taken;
};

namespace {

[[noreturn]] void reject(const SafetensorsFile& file, const StoredTensor& tensor, const std::string& problem,
                         const std::string& remedy) {
  throw Error(ExitCode::kModelInvalid, file.path().string(), "tensor \"" + tensor.name + "\" " + problem,
              remedy);
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
  const at::Tensor raw = at::empty(shape, at::TensorOptions(*type));
  file.read(stored, {static_cast<std::byte*>(raw.data_ptr()), raw.nbytes()});
  return raw.to(dtype);
}

}  // namespace

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
      return Weights(std::make_shared<Store>(open_shards(path), path.string()));
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
  return Weights(std::make_shared<Store>(std::move(files), path.string()));
}

WeightsView Weights::view(at::ScalarType dtype) const { return {store_, "", dtype}; }

std::vector<std::string> Weights::unused() const {
  const std::lock_guard lock(store_->mutex);
  std::vector<std::string> names;
  for (const auto& [name, place] : store_->places) {
    const bool for_nothing = name.ends_with("text_model.embeddings.position_ids");
    if (!for_nothing && !store_->taken.contains(name)) names.push_back(name);
  }
  return names;
}

std::vector<std::filesystem::path> Weights::files() const {
  std::vector<std::filesystem::path> paths;
  for (const SafetensorsFile& file : store_->files) paths.push_back(file.path());
  return paths;
}

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
  const std::string full = full_name(name);
  const Weights::Store::Place* place = store_->find(full);
  if (place == nullptr) return std::nullopt;
  at::Tensor loaded = load(*place->file, *place->tensor, shape, dtype_);
  store_->mark_taken(full);
  return loaded;
}

bool WeightsView::contains(std::string_view name) const { return store_->find(full_name(name)) != nullptr; }

std::vector<int64_t> WeightsView::shape(std::string_view name) const {
  const std::string full = full_name(name);
  const Weights::Store::Place* place = store_->find(full);
  if (place == nullptr) store_->missing(full);
  std::vector<int64_t> sizes;
  for (const uint64_t size : place->tensor->shape) {
    if (size > static_cast<uint64_t>(INT64_MAX))
      reject(*place->file, *place->tensor, "has an impossible dimension " + std::to_string(size),
             "fetch the file again");
    sizes.push_back(static_cast<int64_t>(size));
  }
  return sizes;
}

std::string WeightsView::full_name(std::string_view name) const { return prefix_ + std::string(name); }

}  // namespace brume
