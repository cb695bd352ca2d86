#include "brume/weights/weights.h"

#include <utility>

#include "brume/base/error.h"
#include "brume/weights/safetensors.h"
#include "brume/weights/shard_index.h"
#include "dialects/diffusers_names.h"
#include "file_store.h"
#include "weights_store.h"

namespace brume {

namespace {

/// Every tensor of the files of a model directory, by its present name.
std::shared_ptr<FileStore> store_of(std::vector<SafetensorsFile> files, const std::string& where) {
  std::vector<FilePart> parts;
  parts.reserve(files.size());
  for (SafetensorsFile& one : files) {
    const auto file = std::make_shared<SafetensorsFile>(std::move(one));
    ComponentTensors tensors;
    for (const StoredTensor& tensor : file->header().tensors)
      tensors.emplace(dialects::present_name(tensor.name), whole(tensor));
    parts.push_back({file, std::move(tensors)});
  }
  return std::make_shared<FileStore>(std::move(parts), where,
                                     "the file does not fit the model's config.json");
}

}  // namespace

void Weights::Store::missing(const std::string& name) const {
  throw Error(ExitCode::kModelInvalid, where_, "tensor \"" + name + "\" is missing", remedy_);
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
      return Weights(store_of(open_shards(path), path.string()));
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
  return Weights(store_of(std::move(files), path.string()));
}

Weights Weights::part_of(std::shared_ptr<const TensorFile> file, ComponentTensors tensors,
                         const std::string& where) {
  std::vector<FilePart> parts;
  parts.push_back({std::move(file), std::move(tensors)});
  return Weights(std::make_shared<FileStore>(
      std::move(parts), where, "the file is incomplete, or of a kind that brume does not know"));
}

WeightsView Weights::view(const Placement& placement, std::shared_ptr<TensorLoader> loader) const {
  return {store_, "", placement, std::move(loader)};
}

std::vector<std::string> Weights::names() const { return store_->names(); }

std::vector<std::string> Weights::needed_names() const {
  std::vector<std::string> needed = store_->names();
  std::erase_if(needed, is_for_nothing);
  return needed;
}

at::ScalarType Weights::stored_dtype(const std::string& name) const { return store_->stored_dtype(name); }

std::vector<std::string> Weights::unused() const { return store_->unused(); }

std::vector<std::filesystem::path> Weights::files() const { return store_->files(); }

WeightsView::WeightsView(std::shared_ptr<Weights::Store> store, std::string prefix,
                         const Placement& placement, std::shared_ptr<TensorLoader> loader)
    : store_(std::move(store)),
      prefix_(std::move(prefix)),
      placement_(placement),
      loader_(std::move(loader)) {}

WeightsView WeightsView::operator/(std::string_view name) const {
  return {store_, full_name(name) + ".", placement_, loader_};
}

at::Tensor WeightsView::tensor(std::string_view name, at::IntArrayRef shape) const {
  std::optional<at::Tensor> found = find(name, shape);
  if (!found) store_->missing(full_name(name));
  return *found;
}

std::optional<at::Tensor> WeightsView::find(std::string_view name, at::IntArrayRef shape) const {
  std::optional<at::Tensor> found = store_->find(full_name(name), shape, placement_.dtype, loader_.get());
  if (found && !placement_.device.is_cpu()) found = found->to(placement_.device);  // if it is not there yet
  return found;
}

bool WeightsView::contains(std::string_view name) const { return store_->contains(full_name(name)); }

std::vector<int64_t> WeightsView::shape(std::string_view name) const {
  return store_->shape(full_name(name));
}

std::string WeightsView::full_name(std::string_view name) const { return prefix_ + std::string(name); }

}  // namespace brume
