#pragma once
#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "brume/base/placement.h"
#include "brume/weights/component_tensors.h"
#include "brume/weights/tensor_file.h"
#include "brume/weights/tensor_loader.h"

namespace brume {

class AdapterPatch;
class WeightsView;

/// The tensors of one component of a model, by dotted name, read from disk when asked for. Holds one file or
/// all shards of an index. Remembers which tensors were taken.
class Weights {
 public:
  /// `directory`/`stem`.safetensors, or the shards listed in `directory`/`stem`.safetensors.index.json, or,
  /// where neither is there, the same two with ".fp16" before ".safetensors". Shard names must be plain names
  /// inside `directory`. Throws kModelInvalid.
  static Weights open(const std::filesystem::path& directory, const std::string& stem);
  /// A single .safetensors file.
  static Weights open_file(const std::filesystem::path& path);
  /// Some tensors of a file that holds more than this component, by names of their own (checkpoint.h).
  /// `where` stands for them in messages.
  static Weights part_of(std::shared_ptr<const TensorFile> file, ComponentTensors tensors,
                         const std::string& where);
  /// Every tensor that is asked for, in the shape that is asked for, at random: what a benchmark needs where
  /// no checkpoint is at hand. The same name and `part` give the same numbers; they are of such a size that a
  /// network keeps its maps near one.
  static Weights random(std::string_view part);
  ~Weights();
  Weights(Weights&&) noexcept;

  /// A view of everything, whose tensors are given as and where `placement` says. `loader` brings those there
  /// that are in files as they are wanted but for their dtype; null: they are read and converted here.
  WeightsView view(const Placement& placement, std::shared_ptr<TensorLoader> loader = nullptr) const;
  /// All names, sorted; random ones have none.
  std::vector<std::string> names() const;
  /// Those without what every checkpoint carries for nothing (text_model.embeddings.position_ids).
  std::vector<std::string> needed_names() const;
  /// What a tensor is stored as. Throws kModelInvalid where it is missing or holds no real numbers.
  at::ScalarType stored_dtype(const std::string& name) const;
  /// These weights with changes merged in as they are read (adapters/adapters.h).
  Weights adapted(std::shared_ptr<const std::map<std::string, std::vector<AdapterPatch>>> patches) const;
  /// Names that no view has given out, sorted, and without those every checkpoint carries for nothing
  /// (text_model.embeddings.position_ids).
  std::vector<std::string> unused() const;
  /// The files read, for messages and digests.
  std::vector<std::filesystem::path> files() const;

  /// Where the tensors come from (weights_store.h).
  class Store;

 private:
  friend class WeightsView;
  explicit Weights(std::shared_ptr<Store> store);
  std::shared_ptr<Store> store_;
};

/// A named part of a component's weights: what a layer is built from. Cheap to copy.
class WeightsView {
 public:
  /// The part below `name`: view("down_blocks.0").
  WeightsView operator/(std::string_view name) const;
  WeightsView operator/(size_t index) const { return *this / std::to_string(index); }

  /// The tensor `name` with this shape, contiguous, as and where the view gives them. A tensor that is
  /// missing, of another shape or of a type that holds no real numbers throws kModelInvalid with the full
  /// dotted name and the file.
  at::Tensor tensor(std::string_view name, at::IntArrayRef shape) const;
  /// As tensor(), or nothing if the name is absent.
  std::optional<at::Tensor> find(std::string_view name, at::IntArrayRef shape) const;
  /// True if the tensor `name` is there. Does not count as use.
  bool contains(std::string_view name) const;
  /// The shape stored under `name`; throws if it is missing.
  std::vector<int64_t> shape(std::string_view name) const;
  std::string full_name(std::string_view name) const;
  /// Of the tensors it gives.
  at::ScalarType dtype() const { return placement_.dtype; }
  const Placement& placement() const { return placement_; }
  /// Where a layer is to keep its large weights; empty: where it computes.
  const HostCopy& host_copy() const { return placement_.host_copy; }

 private:
  friend class Weights;
  WeightsView(std::shared_ptr<Weights::Store> store, std::string prefix, const Placement& placement,
              std::shared_ptr<TensorLoader> loader);
  std::shared_ptr<Weights::Store> store_;
  std::string prefix_;  // empty, or ends with a dot
  Placement placement_;
  std::shared_ptr<TensorLoader> loader_;  // null: tensors come by the CPU
};

}  // namespace brume
