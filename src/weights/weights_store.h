#pragma once
#include <ATen/core/Tensor.h>

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "brume/weights/weights.h"

namespace brume {

/// Where the tensors of a component come from, by full dotted name. May be asked from several threads.
class Weights::Store {
 public:
  /// `where` is what messages about the whole component call it, `remedy` what to do about a tensor that is
  /// missing or has another shape.
  explicit Store(std::string where, std::string remedy = "the file does not fit the model's config.json")
      : where_(std::move(where)), remedy_(std::move(remedy)) {}
  virtual ~Store() = default;
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  /// As WeightsView::find, in `dtype`: on the CPU, or where `loader` brings it if that is not null and the
  /// values are a file's.
  virtual std::optional<at::Tensor> find(const std::string& name, at::IntArrayRef shape, at::ScalarType dtype,
                                         TensorLoader* loader) = 0;
  virtual bool contains(const std::string& name) const = 0;
  virtual std::vector<int64_t> shape(const std::string& name) const = 0;
  /// As Weights::stored_dtype.
  virtual at::ScalarType stored_dtype(const std::string& name) const = 0;
  virtual std::vector<std::string> names() const = 0;
  virtual std::vector<std::string> unused() const = 0;
  virtual std::vector<std::filesystem::path> files() const = 0;
  /// Throws kModelInvalid.
  [[noreturn]] void missing(const std::string& name) const;
  const std::string& where() const { return where_; }
  const std::string& remedy() const { return remedy_; }

 private:
  std::string where_;
  std::string remedy_;
};

/// What every checkpoint carries and nobody reads.
inline bool is_for_nothing(const std::string& name) {
  return name.ends_with("text_model.embeddings.position_ids");
}

}  // namespace brume
