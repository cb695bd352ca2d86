#include "other_vae.h"

#include <memory>
#include <system_error>
#include <utility>

#include "brume/base/error.h"
#include "brume/weights/checkpoint.h"
#include "brume/weights/packed_file.h"
#include "brume/weights/tensor_file.h"
#include "derived_model.h"
#include "model_index.h"

namespace brume {

namespace {

namespace fs = std::filesystem;

constexpr const char* kVae = "vae";

/// An autoencoder that is no part of its model.
class VaeSource {
 public:
  virtual ~VaeSource() = default;
  virtual ConfigFile config() const = 0;
  virtual std::string config_name() const = 0;
  virtual Weights weights() const = 0;
  virtual std::vector<NamedFile> files() const = 0;
};

class VaeDirectory : public VaeSource {
 public:
  /// The component's own directory, or that of a model.
  explicit VaeDirectory(const fs::path& path) : path_(path) {
    std::error_code failed;
    if (fs::exists(path / kVae / "config.json", failed)) path_ /= kVae;
  }
  ConfigFile config() const override { return ConfigFile(path_ / "config.json"); }
  std::string config_name() const override { return (path_ / "config.json").string(); }
  Weights weights() const override { return Weights::open(path_, "diffusion_pytorch_model"); }
  std::vector<NamedFile> files() const override {
    std::vector<NamedFile> files{{"other vae/config.json", path_ / "config.json"}};
    const Weights weights = this->weights();
    for (const fs::path& file : weights.files())
      files.push_back({"other vae/" + file.filename().string(), file});
    return files;
  }

 private:
  fs::path path_;
};

class VaeFile : public VaeSource {
 public:
  VaeFile(std::shared_ptr<const TensorFile> file, ModelFamily family)
      : file_(std::move(file)), tensors_(find_vae(file_->header())), family_(family) {
    if (tensors_.empty())
      throw Error(ExitCode::kModelInvalid, file_->path().string(), "holds no autoencoder that brume knows",
                  "name a file with decoder.up, decoder.up_blocks or decoder.layers");
  }
  ConfigFile config() const override {
    // The file does not say how far its latents spread; those of a family are the same, or could not be
    // swapped.
    const bool xl = is_xl(family_);
    return ConfigFile(vae_config_text(tensors_, xl ? 1024 : 512, xl ? 0.13025 : 0.18215, config_name()),
                      config_name());
  }
  std::string config_name() const override { return file_->path().string() + ": vae"; }
  Weights weights() const override { return Weights::part_of(file_, tensors_, config_name()); }
  std::vector<NamedFile> files() const override { return {{"other vae", file_->path()}}; }

 private:
  std::shared_ptr<const TensorFile> file_;
  ComponentTensors tensors_;
  ModelFamily family_;
};

/// Of a packed model, which has its configuration too.
class VaePacked : public VaeSource {
 public:
  explicit VaePacked(std::shared_ptr<const TensorFile> file) : file_(std::move(file)) {}
  ConfigFile config() const override { return ConfigFile(file_.text(config_path_of(kVae)), config_name()); }
  std::string config_name() const override { return file_.where(config_path_of(kVae)); }
  Weights weights() const override {
    return Weights::part_of(file_.file(), file_.component(kVae), config_name());
  }
  std::vector<NamedFile> files() const override { return {{"other vae", file_.file()->path()}}; }

 private:
  PackedFile file_;
};

/// Everything else comes from the model.
class ModelWithVae : public DerivedModel {
 public:
  ModelWithVae(std::shared_ptr<const ModelSource> model, std::unique_ptr<const VaeSource> vae)
      : DerivedModel(std::move(model)), vae_(std::move(vae)) {}

  ConfigFile config(const std::string& part) const override {
    return part == kVae ? vae_->config() : model().config(part);
  }
  std::string config_name(const std::string& part) const override {
    return part == kVae ? vae_->config_name() : model().config_name(part);
  }
  Weights weights(const std::string& component) const override {
    return component == kVae ? vae_->weights() : model().weights(component);
  }
  std::vector<NamedFile> files() const override {
    std::vector<NamedFile> files = model().files();
    for (NamedFile& file : vae_->files()) files.push_back(std::move(file));
    return files;
  }

 private:
  std::unique_ptr<const VaeSource> vae_;
};

std::unique_ptr<const VaeSource> open_vae(const fs::path& path, ModelFamily family) {
  std::error_code failed;
  if (fs::is_directory(path, failed)) return std::make_unique<VaeDirectory>(path);
  std::shared_ptr<const TensorFile> file = open_tensor_file(path);
  if (PackedFile::recognises(file->header())) return std::make_unique<VaePacked>(std::move(file));
  return std::make_unique<VaeFile>(std::move(file), family);
}

}  // namespace

std::shared_ptr<const ModelSource> with_vae(const std::shared_ptr<const ModelSource>& model,
                                            const fs::path& vae) {
  return std::make_shared<ModelWithVae>(model, open_vae(vae, model->family()));
}

}  // namespace brume
