#pragma once
#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "brume/weights/adapters/adapter_choice.h"
#include "brume/weights/adapters/adapter_key.h"
#include "brume/weights/weights.h"

namespace brume {

class AdapterPatch;
/// What is merged into the tensors of one network, by their full dotted names, in order.
using AdapterPatches = std::map<std::string, std::vector<AdapterPatch>>;

/// A network that adapters may change.
struct AdaptedNetwork {
  AdapterTower tower;
  std::string component;  // "unet"
  Weights weights;        // before any change
};

/// What becomes of an adapter's tensors that fit nothing in the model.
enum class UnmatchedKeys { kRemark, kRefuse };

/// An adapter, as recipes name it.
struct AdapterRecord {
  std::string name;
  std::string strength;   // as strength_text writes it
  std::string hash;       // SHA-256 of the file in hexadecimal digits
  std::string data_hash;  // and of its tensors alone (AdapterFile::data_hash)
};

/// Adapters that are to be merged into a model's weights, as they are read: one after the other, so that
/// those that look at the weight itself (DoRA) see what those before them made of it.
class Adapters {
 public:
  /// Opens the files and finds a place for every tensor; none is read yet. Throws kModelInvalid, naming file
  /// and key, for one that is malformed, has another shape than the model's, or fits it nowhere at all;
  /// kUsage for block factors that do not fit the UNet.
  Adapters(const std::vector<AdapterChoice>& choices, const std::vector<AdaptedNetwork>& networks,
           UnmatchedKeys unmatched);

  /// The weights of a network with what is merged into it. Each tensor is changed in fp32 when it is asked
  /// for, and then converted; those that no adapter touches are as before. A change that is not finite throws
  /// kModelInvalid with the key.
  Weights adapt(const std::string& component, Weights base) const;
  /// Tensors that fit nothing, and those that change a part of a weight, a line each.
  const std::vector<std::string>& remarks() const { return remarks_; }
  /// Every tensor that fits nothing: "NAME: lora_unet_x.lora_down.weight fits nothing".
  const std::vector<std::string>& unmatched() const { return unmatched_; }
  const std::vector<AdapterRecord>& records() const { return records_; }

 private:
  std::map<std::string, std::shared_ptr<const AdapterPatches>> patches_;  // by component
  std::vector<std::string> remarks_;
  std::vector<std::string> unmatched_;
  std::vector<AdapterRecord> records_;
};

}  // namespace brume
