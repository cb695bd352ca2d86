#include "brume/weights/packed_file.h"

#include <utility>

#include "brume/base/error.h"

namespace brume {

namespace {

/// What a name has below `prefix`, or nothing.
std::string below(const std::string& name, const std::string& prefix) {
  return name.starts_with(prefix) ? name.substr(prefix.size()) : std::string();
}

}  // namespace

PackedFile::PackedFile(std::shared_ptr<const TensorFile> file)
    : file_(std::move(file)), origin_(read_packed_origin(text(kOriginKey), where(kOriginKey))) {}

const std::string& PackedFile::text(const std::string& name) const {
  const auto found = file_->header().metadata.find(name);
  if (found != file_->header().metadata.end()) return found->second;
  throw Error(ExitCode::kModelInvalid, file_->path().string(), "lacks " + name + " in its metadata",
              "convert the model again");
}

std::map<std::string, std::string> PackedFile::texts_of(const std::string& folder) const {
  std::map<std::string, std::string> texts;
  for (const auto& [key, value] : file_->header().metadata) {
    if (std::string name = below(key, folder + "/"); !name.empty()) texts.emplace(std::move(name), value);
  }
  return texts;
}

ComponentTensors PackedFile::component(const std::string& name) const {
  ComponentTensors tensors;
  for (const StoredTensor& tensor : file_->header().tensors) {
    if (std::string own = below(tensor.name, name + "."); !own.empty())
      tensors.emplace(std::move(own), whole(tensor));
  }
  if (!tensors.empty()) return tensors;
  throw Error(ExitCode::kModelInvalid, file_->path().string(), "holds no " + name, "convert the model again");
}

std::string PackedFile::where(const std::string& name) const { return file_->path().string() + ": " + name; }

}  // namespace brume
