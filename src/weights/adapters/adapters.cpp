#include "brume/weights/adapters/adapters.h"

#include <algorithm>
#include <optional>
#include <span>
#include <utility>

#include "adapter_patch.h"
#include "brume/base/digest.h"
#include "brume/base/error.h"
#include "brume/base/escape.h"
#include "src/weights/weights_store.h"

namespace brume {

namespace {

using Sizes = std::vector<uint64_t>;

/// One network, and what is found for it.
struct Target {
  const AdaptedNetwork& network;
  WeightsView weights;
  ModuleNames names;
  AdapterPatches patches;
};

Sizes sizes_of(const WeightsView& weights, const std::string& tensor) {
  const std::vector<int64_t> shape = weights.shape(tensor);
  return {shape.begin(), shape.end()};
}

/// A1111's lists for the layers with attention alone, by how many input blocks there are: the places of their
/// factors in the whole list.
const std::vector<size_t>* short_list(size_t input_blocks) {
  static const std::vector<size_t> kOfSd1{0, 2, 3, 5, 6, 8, 9, 13, 17, 18, 19, 20, 21, 22, 23, 24, 25};
  static const std::vector<size_t> kOfXl{0, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15, 16};
  constexpr size_t kSd1 = 12;
  constexpr size_t kXl = 9;
  if (input_blocks == kSd1) return &kOfSd1;
  return input_blocks == kXl ? &kOfXl : nullptr;
}

/// A factor for each of a UNet's blocks, the first for all that is in none.
std::vector<double> block_factors(const AdapterChoice& choice, const ModuleNames& names) {
  const std::vector<double>& given = choice.strength.blocks;
  const size_t count = 2 + names.input_blocks() + names.output_blocks();
  const std::vector<size_t>* few = short_list(names.input_blocks());
  if (given.empty()) return std::vector<double>(count, 1);
  if (given.size() == count) return given;
  if (few == nullptr || given.size() != few->size())
    throw Error(ExitCode::kUsage, "--lora " + choice_text(choice),
                "lbw= has " + std::to_string(given.size()) + " factors",
                "this UNet's list has " + std::to_string(count) +
                    (few != nullptr ? ", or " + std::to_string(few->size()) : ""));
  std::vector<double> all(count, 0);
  for (size_t i = 0; i < few->size(); ++i) {
    if ((*few)[i] < count) all[(*few)[i]] = given[i];
  }
  return all;
}

/// Finds the places of one file's tensors.
class Matching {
 public:
  Matching(const AdapterChoice& choice, std::vector<Target>& targets)
      : choice_(choice), adapter_(std::make_shared<const OpenAdapter>(choice.file)), targets_(targets) {
    unmatched_ = adapter_->file.strangers();
    for (const AdapterModule& module : adapter_->file.modules()) match(module);
  }

  const std::vector<std::string>& unmatched() const { return unmatched_; }
  /// What of it is merged otherwise than it stands there, a line each.
  const std::vector<std::string>& remarks() const { return remarks_; }
  size_t matched() const { return matched_; }
  const AdapterFile& file() const { return adapter_->file; }

 private:
  void match(const AdapterModule& module) {
    const auto target = std::find_if(targets_.begin(), targets_.end(),
                                     [&](const Target& one) { return one.network.tower == module.tower; });
    const std::optional<AdapterForm> form = adapter_form(module, where());
    const bool there = target != targets_.end() && !target->names.find(module.name).empty();
    if (!there) {
      for (const std::string& key : module.keys()) unmatched_.push_back(key);
      return;
    }
    matched_ += module.tensors.size();
    for (const ModulePlace& place : target->names.find(module.name)) {
      const double strength = strength_at(*target, place.layer);
      if (form) add_weight(*target, module, *form, place, strength);
      add_bias(*target, module, place, strength);
    }
  }

  double strength_at(const Target& target, const std::string& layer) {
    if (target.network.tower != AdapterTower::kUNet)
      return choice_.strength.text * (choice_.strength.blocks.empty() ? 1 : choice_.strength.blocks.front());
    if (factors_.empty()) factors_ = block_factors(choice_, target.names);
    return choice_.strength.unet * factors_[target.names.block_of(layer)];
  }

  void add_weight(Target& target, const AdapterModule& module, const AdapterForm& form,
                  const ModulePlace& place, double strength) {
    const std::string name = place.layer + ".weight";
    Sizes sizes = sizes_of(target.weights, name);
    if (!sizes.empty()) sizes[0] *= static_cast<uint64_t>(place.parts);
    ModulePlace seen = place;
    if (!fits(form, sizes)) {
      seen.inputs = latents_alone(target, form, place.layer, sizes);
      if (!seen.inputs)
        reject(module.tensors.begin()->second.name, form.shape, target.network.component + " " + name, sizes);
      remarks_.push_back(place.layer + " is changed for the " + std::to_string(*seen.inputs) +
                         " channels of the latents alone, not for all of the model's " +
                         std::to_string(sizes[1]));
    }
    if (form.rank) adapter_->file.scale(module, *form.rank);
    check_magnitude(module, name, sizes, seen);
    if (strength != 0) target.patches[name].emplace_back(adapter_, module, form, seen, strength);
  }

  /// How many channels latents have, where the change is made for a UNet that sees nothing else and this one
  /// sees more behind them (inpainting, instruct-pix2pix). A1111 merges these so too.
  static std::optional<int64_t> latents_alone(const Target& target, const AdapterForm& form,
                                              const std::string& layer, const Sizes& sizes) {
    constexpr size_t kRank = 4;  // of a convolution
    if (target.network.tower != AdapterTower::kUNet || layer != "conv_in" || sizes.size() != kRank ||
        !target.weights.contains("conv_out.weight"))
      return std::nullopt;
    const Sizes last = sizes_of(target.weights, "conv_out.weight");
    if (last.size() != kRank || last[0] >= sizes[1]) return std::nullopt;
    Sizes narrow = sizes;
    narrow[1] = last[0];
    return fits(form, narrow) ? std::optional(static_cast<int64_t>(last[0])) : std::nullopt;
  }

  /// DoRA's, of each output or of each input.
  void check_magnitude(const AdapterModule& module, const std::string& name, const Sizes& sizes,
                       const ModulePlace& place) const {
    for (const AdapterRole role : {AdapterRole::kMagnitude, AdapterRole::kDoraScale}) {
      const StoredTensor* stored = module.find(role);
      if (stored == nullptr) continue;
      const bool of_inputs = role == AdapterRole::kDoraScale && stored->shape.size() > 1 &&
                             stored->shape[0] == 1 && sizes[0] != 1;
      uint64_t count = 1;
      for (const uint64_t size : stored->shape) count *= size;  // it has as many numbers: no overflow
      if (sizes.size() < 2 || count != sizes[of_inputs ? 1 : 0])
        reject(stored->name, stored->shape, name, sizes);
      if (place.parts > 1)
        throw Error(ExitCode::kModelInvalid, where(),
                    "\"" + stored->name + "\" is DoRA of a joined projection",
                    "brume merges DoRA of single layers");
      // Its norms are those of weights without the other channels.
      if (place.inputs)
        throw Error(ExitCode::kModelInvalid, where(),
                    "\"" + stored->name + "\" is DoRA of " + std::to_string(*place.inputs) +
                        " input channels, and the model's " + name + " has " + std::to_string(sizes[1]),
                    "it was made for another model");
    }
  }

  void add_bias(Target& target, const AdapterModule& module, const ModulePlace& place, double strength) {
    for (const AdapterRole role : {AdapterRole::kDiffBias, AdapterRole::kUpBias}) {
      const StoredTensor* stored = module.find(role);
      if (stored == nullptr) continue;
      const std::string name = place.layer + ".bias";
      if (!target.weights.contains(name)) {
        if (place.part == 0) unmatched_.push_back(stored->name);
        if (place.part == 0) --matched_;
        continue;
      }
      Sizes sizes = sizes_of(target.weights, name);
      if (!sizes.empty()) sizes[0] *= static_cast<uint64_t>(place.parts);
      if (stored->shape != sizes)
        reject(stored->name, stored->shape, target.network.component + " " + name, sizes);
      if (strength != 0) target.patches[name].emplace_back(adapter_, module, role, place, strength);
    }
  }

  [[noreturn]] void reject(const std::string& key, const Sizes& shape, const std::string& tensor,
                           const Sizes& wanted) const {
    throw Error(ExitCode::kModelInvalid, where(),
                "\"" + key + "\" is for a weight of " + shape_text(shape) + ", but the model's " + tensor +
                    " is " + shape_text(wanted),
                "it was made for another model");
  }

  std::string where() const { return choice_.file.string(); }

  const AdapterChoice& choice_;
  std::shared_ptr<const OpenAdapter> adapter_;
  std::vector<Target>& targets_;
  std::vector<double> factors_;
  std::vector<std::string> unmatched_;
  std::vector<std::string> remarks_;
  size_t matched_ = 0;
};

/// "3 of 24 keys fit nothing in this model: a, b, c"
std::string unmatched_text(const Matching& matching) {
  constexpr size_t kMostNamed = 3;
  const std::vector<std::string>& keys = matching.unmatched();
  std::string text = std::to_string(keys.size()) + " of " + std::to_string(keys.size() + matching.matched()) +
                     " keys fit nothing in this model: ";
  for (size_t i = 0; i < std::min(kMostNamed, keys.size()); ++i)
    text += (i == 0 ? "" : ", ") + escape_control(keys[i]);
  return text + (keys.size() > kMostNamed ? ", ..." : "");
}

/// The tensors of a network, changed as they are asked for.
class AdaptedStore : public Weights::Store {
 public:
  AdaptedStore(std::shared_ptr<Weights::Store> base, std::shared_ptr<const AdapterPatches> patches)
      : Store(base->where()), base_(std::move(base)), patches_(std::move(patches)) {}

  std::optional<at::Tensor> find(const std::string& name, at::IntArrayRef shape, at::ScalarType dtype,
                                 TensorLoader* loader) override {
    const auto found = patches_->find(name);
    if (found == patches_->end()) return base_->find(name, shape, dtype, loader);
    std::optional<at::Tensor> tensor = base_->find(name, shape, at::kFloat, nullptr);
    if (!tensor) return tensor;
    for (const AdapterPatch& patch : found->second) patch.apply(*tensor);
    return tensor->to(dtype);
  }

  bool contains(const std::string& name) const override { return base_->contains(name); }
  std::vector<int64_t> shape(const std::string& name) const override { return base_->shape(name); }
  at::ScalarType stored_dtype(const std::string& name) const override { return base_->stored_dtype(name); }
  std::vector<std::string> names() const override { return base_->names(); }
  std::vector<std::string> unused() const override { return base_->unused(); }
  std::vector<std::filesystem::path> files() const override { return base_->files(); }

 private:
  std::shared_ptr<Weights::Store> base_;
  std::shared_ptr<const AdapterPatches> patches_;
};

}  // namespace

Weights Weights::adapted(std::shared_ptr<const AdapterPatches> patches) const {
  return Weights(std::make_shared<AdaptedStore>(store_, std::move(patches)));
}

Adapters::Adapters(const std::vector<AdapterChoice>& choices, const std::vector<AdaptedNetwork>& networks,
                   UnmatchedKeys unmatched) {
  std::vector<Target> targets;
  targets.reserve(networks.size());
  for (const AdaptedNetwork& network : networks) {
    targets.push_back(
        {network, network.weights.view(at::kFloat), ModuleNames(network.tower, network.weights.names()), {}});
  }
  for (const AdapterChoice& choice : choices) {
    const Matching matching(choice, targets);
    const std::string where = choice.file.string();
    if (matching.matched() == 0)
      throw Error(ExitCode::kModelInvalid, where, unmatched_text(matching), "it was made for another model");
    if (!matching.unmatched().empty()) {
      if (unmatched == UnmatchedKeys::kRefuse)
        throw Error(ExitCode::kModelInvalid, where, unmatched_text(matching),
                    "leave --strict out to draw without them");
      remarks_.push_back(choice.name() + ": " + unmatched_text(matching));
      for (const std::string& key : matching.unmatched())
        unmatched_.push_back(choice.name() + ": " + escape_control(key) + " fits nothing");
    }
    for (const std::string& remark : matching.remarks()) remarks_.push_back(choice.name() + ": " + remark);
    records_.push_back({choice.name(), strength_text(choice.strength),
                        hex_digits(sha256_of_file(choice.file, ExitCode::kModelInvalid)),
                        matching.file().data_hash()});
  }
  for (Target& target : targets) {
    if (target.patches.empty()) continue;
    patches_[target.network.component] = std::make_shared<const AdapterPatches>(std::move(target.patches));
  }
}

Weights Adapters::adapt(const std::string& component, Weights base) const {
  const auto found = patches_.find(component);
  if (found == patches_.end()) return base;
  return base.adapted(found->second);
}

}  // namespace brume
