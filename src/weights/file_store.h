#pragma once
#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "brume/weights/component_tensors.h"
#include "brume/weights/tensor_file.h"
#include "weights_store.h"

namespace brume {

/// A file, and those of its tensors that belong to the component.
struct FilePart {
  std::shared_ptr<const TensorFile> file;
  ComponentTensors tensors;
};

/// The tensors of files of one component, or a component's part of a file.
class FileStore : public Weights::Store {
 public:
  /// Throws kModelInvalid where there are no tensors at all.
  FileStore(std::vector<FilePart> parts, std::string where, std::string remedy);

  std::optional<at::Tensor> find(const std::string& name, at::IntArrayRef shape, at::ScalarType dtype,
                                 TensorLoader* loader) override;
  bool contains(const std::string& name) const override { return place_of(name) != nullptr; }
  std::vector<int64_t> shape(const std::string& name) const override;
  at::ScalarType stored_dtype(const std::string& name) const override;
  std::vector<std::string> names() const override;
  std::vector<std::string> unused() const override;
  std::vector<std::filesystem::path> files() const override;

 private:
  struct Place {
    const TensorFile* file;
    const TensorPlace* tensor;
  };

  const Place* place_of(const std::string& name) const;
  [[noreturn]] void reject(const Place& place, const std::string& problem, const std::string& remedy) const;
  at::ScalarType dtype_of(const Place& place) const;
  at::Tensor load(const Place& place, at::IntArrayRef shape, at::ScalarType dtype,
                  TensorLoader* loader) const;

  const std::vector<FilePart> parts_;
  std::map<std::string, Place> places_;
  mutable std::mutex mutex_;
  std::set<std::string> taken_;
};

}  // namespace brume
