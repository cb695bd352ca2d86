#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "brume/base/config_file.h"
#include "brume/base/digest.h"
#include "brume/diffusion/noise_schedule.h"
#include "brume/text/tokenizer.h"
#include "brume/text/tokenizer_texts.h"
#include "brume/weights/packed_origin.h"
#include "brume/weights/weights.h"

namespace brume {

enum class ModelFamily { kStableDiffusion, kStableDiffusionXl, kStableDiffusionXlRefiner };
/// SDXL itself, or the refiner that finishes its pictures.
inline bool is_xl(ModelFamily family) { return family != ModelFamily::kStableDiffusion; }

/// Random ones need no checkpoint: the directory has configurations and tokenizers alone.
enum class WeightsOrigin { kFiles, kRandom };

/// What a model's author advises, where nobody says otherwise.
struct ModelDefaults {
  int64_t steps = 20;
  double cfg_scale = 7;
  std::optional<int64_t> width;
  std::optional<int64_t> height;
};

/// What whoever opens a model decides about it.
struct ModelChoices {
  WeightsOrigin origin = WeightsOrigin::kFiles;
  std::optional<Prediction> prediction = {};  // instead of what the model says
  std::filesystem::path vocabulary = {};      // tokenizer directory of CLIP, for files that carry none
  // Files or directories to take components from, by their names: text_encoder, text_encoder_2, unet, vae.
  std::map<std::string, std::filesystem::path> components = {};
};

/// What a model is, wherever its parts lie.
struct ModelFacts {
  std::filesystem::path path;
  std::string name;  // for messages and recipes
  ModelFamily family = ModelFamily::kStableDiffusion;
  ModelDefaults defaults;
  std::filesystem::path defaults_file;  // that they come from
  bool zero_empty_negative = false;     // SDXL: no negative prompt at all means zeros, not the words ""
  std::vector<std::string> remarks;     // what is ignored or assumed, a line each
};

/// The suffixes of a family's text towers: text_encoder and tokenizer, text_encoder_2 and tokenizer_2.
std::vector<std::string> tower_suffixes(ModelFamily family);

/// Where a model's parts come from. They are called as in diffusers: unet, vae, scheduler, text_encoder,
/// tokenizer, and for a second tower text_encoder_2, tokenizer_2, which is a refiner's only one.
class ModelSource {
 public:
  explicit ModelSource(ModelFacts facts) : facts_(std::move(facts)) {}
  virtual ~ModelSource() = default;
  ModelSource(const ModelSource&) = delete;
  ModelSource& operator=(const ModelSource&) = delete;

  const ModelFacts& facts() const { return facts_; }
  const std::filesystem::path& path() const { return facts_.path; }
  const std::string& name() const { return facts_.name; }
  ModelFamily family() const { return facts_.family; }

  /// The configuration of a component or of the scheduler. Throws kModelInvalid.
  virtual ConfigFile config(const std::string& part) const = 0;
  /// What messages call that configuration.
  virtual std::string config_name(const std::string& part) const = 0;
  virtual Weights weights(const std::string& component) const = 0;
  virtual TokenizerTexts tokenizer_texts(const std::string& part) const = 0;
  Tokenizer tokenizer(const std::string& part) const { return Tokenizer(tokenizer_texts(part)); }
  /// Every file that the pictures depend on, by names that do not say where the model lies: configurations,
  /// vocabularies and the weights that would be loaded. Throws kModelInvalid where there are no weights.
  std::vector<NamedFile> files() const { return files_but({}); }
  /// The same without the weights of these components, which come from elsewhere and need not be there.
  virtual std::vector<NamedFile> files_but(const std::set<std::string>& components) const = 0;
  /// What a packed model was made from; null for any other.
  virtual const PackedOrigin* origin() const { return nullptr; }

 private:
  ModelFacts facts_;
};

/// A directory in diffusers layout, a checkpoint of one file in original naming, or what brume convert wrote;
/// with the choices that say so, parts of another. Throws kModelInvalid.
std::shared_ptr<const ModelSource> open_model(const std::filesystem::path& path, const ModelChoices& choices);

}  // namespace brume
