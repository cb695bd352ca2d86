#include "other_component.h"

#include <algorithm>
#include <memory>
#include <set>
#include <system_error>
#include <utility>

#include "brume/base/error.h"
#include "brume/text/clip_text_config.h"
#include "brume/unet/unet_config.h"
#include "brume/weights/component_file.h"
#include "brume/weights/packed_file.h"
#include "brume/weights/tensor_file.h"
#include "derived_model.h"
#include "model_index.h"

namespace brume {

namespace {

namespace fs = std::filesystem;

/// A component that is no part of its model.
class OtherComponent {
 public:
  virtual ~OtherComponent() = default;
  virtual ConfigFile config() const = 0;
  virtual std::string config_name() const = 0;
  virtual Weights weights() const = 0;
  virtual std::vector<NamedFile> files() const = 0;
};

class InDirectory : public OtherComponent {
 public:
  /// `path`: the component's own directory, or that of a model.
  InDirectory(std::string component, const fs::path& path) : component_(std::move(component)), path_(path) {
    std::error_code failed;
    if (fs::exists(path_ / component_ / "config.json", failed)) path_ /= component_;
  }
  ConfigFile config() const override { return ConfigFile(path_ / "config.json"); }
  std::string config_name() const override { return (path_ / "config.json").string(); }
  Weights weights() const override { return Weights::open(path_, weights_stem_of(component_)); }
  std::vector<NamedFile> files() const override {
    const std::string folder = "other " + component_ + "/";
    std::vector<NamedFile> files{{folder + "config.json", path_ / "config.json"}};
    const Weights weights = this->weights();
    for (const fs::path& file : weights.files()) files.push_back({folder + file.filename().string(), file});
    return files;
  }

 private:
  std::string component_;
  fs::path path_;
};

/// What of a model a component's file leaves open. `model` is the one that it is for.
ComponentFacts facts_of(const ModelSource& model, const std::string& component) {
  constexpr uint64_t kXlPixels = 1024;
  constexpr double kXlScale = 0.13025;
  ComponentFacts facts;
  if (!is_xl(model.family())) return facts;
  // How far its latents spread: those of a family are the same, or could not be swapped.
  facts.pixels = kXlPixels;
  facts.scaling_factor = kXlScale;
  if (component != "unet") return facts;
  std::vector<std::string> ignored;
  const ClipTextConfig text = ClipTextConfig::read(model.config("text_encoder_2"), ignored);
  facts.pooled = static_cast<uint64_t>(text.projection_width.value_or(0));
  facts.time_ids = model.family() == ModelFamily::kStableDiffusionXlRefiner ? 5 : 6;
  return facts;
}

/// The model's own, or nothing where it lacks it and is completed by another.
std::optional<Weights> own_weights(const ModelSource& model, const std::string& component) {
  try {
    return model.weights(component);
  } catch (const Error& error) {
    if (error.code() != ExitCode::kModelInvalid) throw;
    return std::nullopt;
  }
}

/// Whether both have the same tensors, in other values.
bool same_shapes(const Weights& a, const Weights& b) {
  const std::vector<std::string> names = a.needed_names();
  if (names != b.needed_names()) return false;
  const WeightsView of_a = a.view(at::kFloat);
  const WeightsView of_b = b.view(at::kFloat);
  return std::all_of(names.begin(), names.end(),
                     [&](const std::string& name) { return of_a.shape(name) == of_b.shape(name); });
}

const char* title_of(const std::string& component) {
  if (component == "vae") return "autoencoder";
  return component == "unet" ? "UNet" : "text encoder";
}

class InFile : public OtherComponent {
 public:
  InFile(const std::shared_ptr<const ModelSource>& model, std::string component,
         std::shared_ptr<const TensorFile> file)
      : model_(model),
        component_(std::move(component)),
        file_(std::move(file)),
        tensors_(find_component(file_->header(), component_)) {
    if (tensors_.empty())
      throw Error(ExitCode::kModelInvalid, file_->path().string(),
                  std::string("holds no ") + title_of(component_) + " that brume knows",
                  "name a file of one, of latent-diffusion's names or diffusers', or of a whole model");
  }
  /// Tensors do not tell everything, such as how many heads there are: where they are shaped as the model's
  /// own, the rest is as there. An autoencoder's do.
  ConfigFile config() const override {
    if (component_ != "vae") {
      const std::optional<Weights> own = own_weights(*model_, component_);
      if (own && same_shapes(*own, weights())) return model_->config(component_);
    }
    return ConfigFile(
        component_config_text(component_, tensors_, facts_of(*model_, component_), config_name()),
        config_name());
  }
  std::string config_name() const override { return file_->path().string() + ": " + component_; }
  Weights weights() const override { return Weights::part_of(file_, tensors_, config_name()); }
  std::vector<NamedFile> files() const override { return {{"other " + component_, file_->path()}}; }

 private:
  std::shared_ptr<const ModelSource> model_;
  std::string component_;
  std::shared_ptr<const TensorFile> file_;
  ComponentTensors tensors_;
};

/// Of a packed model, which has its configuration too.
class InPackedFile : public OtherComponent {
 public:
  InPackedFile(std::string component, std::shared_ptr<const TensorFile> file)
      : component_(std::move(component)), file_(std::move(file)) {}
  ConfigFile config() const override {
    return ConfigFile(file_.text(config_path_of(component_)), config_name());
  }
  std::string config_name() const override { return file_.where(config_path_of(component_)); }
  Weights weights() const override {
    return Weights::part_of(file_.file(), file_.component(component_), config_name());
  }
  std::vector<NamedFile> files() const override { return {{"other " + component_, file_.file()->path()}}; }

 private:
  std::string component_;
  PackedFile file_;
};

/// Everything else comes from the model.
class ModelWithComponent : public DerivedModel {
 public:
  ModelWithComponent(std::shared_ptr<const ModelSource> model, std::string component,
                     std::unique_ptr<const OtherComponent> other)
      : DerivedModel(std::move(model)), component_(std::move(component)), other_(std::move(other)) {}

  ConfigFile config(const std::string& part) const override {
    return part == component_ ? other_->config() : model().config(part);
  }
  std::string config_name(const std::string& part) const override {
    return part == component_ ? other_->config_name() : model().config_name(part);
  }
  Weights weights(const std::string& component) const override {
    return component == component_ ? other_->weights() : model().weights(component);
  }
  std::vector<NamedFile> files_but(const std::set<std::string>& components) const override {
    std::set<std::string> replaced = components;
    replaced.insert(component_);
    std::vector<NamedFile> files = model().files_but(replaced);
    if (components.contains(component_)) return files;
    for (NamedFile& file : other_->files()) files.push_back(std::move(file));
    return files;
  }

 private:
  std::string component_;
  std::unique_ptr<const OtherComponent> other_;
};

std::unique_ptr<const OtherComponent> open_component(const std::shared_ptr<const ModelSource>& model,
                                                     const std::string& component, const fs::path& place) {
  std::error_code failed;
  if (fs::is_directory(place, failed)) return std::make_unique<InDirectory>(component, place);
  std::shared_ptr<const TensorFile> file = open_tensor_file(place);
  if (PackedFile::recognises(file->header()))
    return std::make_unique<InPackedFile>(component, std::move(file));
  return std::make_unique<InFile>(model, component, std::move(file));
}

/// How wide the words are that a component makes or reads.
int64_t words_width(const ModelSource& model, const std::string& component) {
  std::vector<std::string> ignored;
  if (component == "unet")
    return UNetConfig::read(model.config(component), ignored).levels.front().context_width;
  return ClipTextConfig::read(model.config(component), ignored).width;
}

/// By that, which no two kinds of models have in common.
void check_kind(const ModelSource& model, const ModelSource& changed, const std::string& component) {
  if (component == "vae" || !own_weights(model, component)) return;
  const int64_t own = words_width(model, component);
  const int64_t other = words_width(changed, component);
  if (own == other) return;
  throw Error(
      ExitCode::kModelInvalid, changed.config_name(component),
      "is for words " + std::to_string(other) + " wide, and this model's own is for " + std::to_string(own),
      "use one of the model's kind");
}

void check_has(const ModelSource& model, const std::string& component) {
  constexpr std::string_view kText = "text_encoder";
  if (!component.starts_with(kText)) return;
  const std::vector<std::string> towers = tower_suffixes(model.family());
  const std::string suffix = component.substr(kText.size());
  if (std::find(towers.begin(), towers.end(), suffix) != towers.end()) return;
  throw Error(ExitCode::kUsage, component_option(component), "this model has no such text encoder",
              "leave it out, or name its own with " + component_option(std::string(kText) + towers.front()));
}

}  // namespace

std::shared_ptr<const ModelSource> with_component(const std::shared_ptr<const ModelSource>& model,
                                                  const std::string& component, const fs::path& place) {
  check_has(*model, component);
  const auto changed =
      std::make_shared<ModelWithComponent>(model, component, open_component(model, component, place));
  check_kind(*model, *changed, component);
  return changed;
}

}  // namespace brume
