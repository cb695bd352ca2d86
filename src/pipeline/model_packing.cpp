#include "brume/pipeline/model_packing.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <cstddef>
#include <map>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "brume/base/checked.h"
#include "brume/base/digest.h"
#include "brume/base/dtype.h"
#include "brume/base/error.h"
#include "brume/pipeline/packed_tokenizer.h"
#include "brume/pipeline/prompt_encoder.h"
#include "brume/unet/unet.h"
#include "brume/vae/autoencoder.h"
#include "brume/weights/adapters/adapters.h"
#include "brume/weights/packed_file.h"
#include "brume/weights/real_type.h"
#include "brume/weights/safetensors.h"
#include "model_index.h"

namespace brume {

namespace {

/// A component on its way into the file.
struct Part {
  std::string name;
  Weights weights;
  std::optional<at::ScalarType> dtype;  // nothing: as stored
};

/// Where a tensor of the file comes from.
struct Origin {
  const Part* part;
  std::string name;  // in its component
  at::ScalarType dtype;
};

/// Gives tensors without their numbers.
class ShapesAlone : public TensorLoader {
 public:
  at::Tensor load(at::IntArrayRef shape, at::ScalarType type, const PartReader& /*read*/) override {
    return at::empty(shape, at::TensorOptions(type).device(at::kMeta));
  }
};

/// Builds all networks without their numbers: tensors that are missing or of another shape are told before
/// anything is written. Throws kModelInvalid.
void check_networks(const ModelConfig& model) {
  const c10::InferenceMode guard;
  const Placement nowhere(at::kFloat, at::kMeta);
  const auto loader = std::make_shared<ShapesAlone>();
  std::vector<std::string> remarks;
  const PromptEncoder prompts(model.source(), model.embeddings(), nowhere, loader, remarks);
  const UNet unet(model.source().weights("unet").view(nowhere, loader), model.unet());
  const auto vae = open_autoencoder(model.source().weights("vae").view(nowhere, loader), model.vae());
}

class Packing {
 public:
  Packing(const ModelConfig& model, const PackSettings& settings) : model_(model), settings_(settings) {
    add_part("unet", settings.dtype);
    add_part("vae", vae_dtype());
    for (const std::string& suffix : towers()) add_part("text_encoder" + suffix, settings.dtype);
    for (const Part& part : parts_) list_tensors(part);
  }

  PackedModelFile write(const std::filesystem::path& to) {
    PackedModelFile made{entries_.size(), bytes_, origin(), {}};
    std::map<std::string, std::string> metadata = texts();
    metadata.emplace(PackedFile::kOriginKey, packed_origin_text(made.origin));
    uint64_t done = 0;
    stream_safetensors(
        to, entries_, metadata,
        [&](const TensorToStream& entry, const ByteSink& sink) {
          const at::Tensor values = read(origins_.at(entry.name), entry);
          if (!at::isfinite(values).all().item<bool>()) made.not_finite.push_back(entry.name);
          sink({static_cast<const std::byte*>(values.const_data_ptr()), values.nbytes()});
          done += entry.bytes;
          settings_.progress(done, bytes_);
        },
        settings_.existing);
    return made;
  }

 private:
  const ModelSource& source() const { return model_.source(); }
  std::vector<std::string> towers() const { return tower_suffixes(source().family()); }

  /// Nothing where it stays as it is.
  std::optional<at::ScalarType> vae_dtype() const {
    const bool stays = settings_.dtype && model_.vae_dtype(*settings_.dtype) != *settings_.dtype;
    return stays ? std::nullopt : settings_.dtype;
  }

  void add_part(const std::string& name, const std::optional<at::ScalarType>& dtype) {
    parts_.push_back({name, source().weights(name), dtype});
  }

  void list_tensors(const Part& part) {
    const WeightsView view = part.weights.view(at::kFloat);
    for (const std::string& name : part.weights.needed_names()) {
      const at::ScalarType stored = part.weights.stored_dtype(name);
      const at::ScalarType dtype = part.dtype.value_or(stored);
      const std::vector<int64_t> shape = view.shape(name);
      const TensorToStream entry{part.name + "." + name,
                                 stored_type_of(dtype),
                                 {shape.begin(), shape.end()},
                                 bytes_of(shape, dtype, part.name + "." + name)};
      bytes_ += entry.bytes;
      origins_.emplace(entry.name, Origin{&part, name, dtype});
      entries_.push_back(entry);
    }
  }

  /// The sum over all of them fits too: each is in a file.
  uint64_t bytes_of(const std::vector<int64_t>& shape, at::ScalarType dtype, const std::string& name) const {
    std::optional<uint64_t> bytes = c10::elementSize(dtype);
    for (const int64_t size : shape) {
      if (bytes) bytes = checked_multiply(*bytes, static_cast<uint64_t>(size));
    }
    if (!bytes) throw Error(ExitCode::kModelInvalid, source().path().string(), name + " is too large");
    return *bytes;
  }

  at::Tensor read(const Origin& from, const TensorToStream& entry) const {
    const c10::InferenceMode guard;
    const std::vector<int64_t> shape(entry.shape.begin(), entry.shape.end());
    at::Tensor values = from.part->weights.view(from.dtype).tensor(from.name, shape).contiguous();
    const bool cast = from.part->dtype.has_value();
    if (cast && from.dtype == at::kHalf && !at::isfinite(values).all().item<bool>())
      throw Error(ExitCode::kModelInvalid, source().path().string(),
                  "tensor \"" + entry.name + "\" holds values that fp16 does not", "use --dtype bf16");
    return values;
  }

  /// The files of a model directory, beside its weights.
  std::map<std::string, std::string> texts() const {
    std::map<std::string, std::string> texts{{"model_index.json", index_text()},
                                             {"brume.json", model_defaults_text(source().facts().defaults)}};
    for (const Part& part : parts_)
      texts.emplace(config_path_of(part.name), source().config(part.name).text());
    ConfigFile scheduler = source().config("scheduler");
    scheduler.set_string("prediction_type",
                         std::string(prediction_name(model_.schedule().config().prediction)));
    texts.emplace(config_path_of("scheduler"), scheduler.text());
    for (const std::string& suffix : towers()) {
      const std::string folder = "tokenizer" + suffix;
      TokenizerTexts tokenizer = source().tokenizer_texts(folder);
      for (auto& [name, text] : tokenizer.files) texts.emplace(folder + "/" + name, std::move(text));
      if (tokenizer.pad) texts.emplace(folder + "/" + kPadFile, *tokenizer.pad);
    }
    return texts;
  }

  std::string index_text() const {
    return model_index_text(source().facts(), model_.task(),
                            model_.vae().tiny ? "AutoencoderTiny" : "AutoencoderKL");
  }

  PackedOrigin origin() const {
    const auto name_of = [](const std::optional<at::ScalarType>& dtype) {
      return dtype ? std::string(dtype_name(*dtype)) : std::string();
    };
    PackedOrigin origin{.program = settings_.program,
                        .model = source().name(),
                        .family = family_title(),
                        .dtype = name_of(settings_.dtype),
                        .vae_dtype = name_of(vae_dtype()),
                        .prediction = settings_.prediction
                                          ? std::string(prediction_name(*settings_.prediction))
                                          : std::string(),
                        .sources = {},
                        .adapters = {}};
    if (const PackedOrigin* earlier = source().origin()) {
      origin.sources = earlier->sources;
      origin.adapters = earlier->adapters;
      origin.model = earlier->model;
      if (origin.prediction.empty()) origin.prediction = earlier->prediction;
      if (origin.dtype.empty()) origin.dtype = earlier->dtype;
      if (origin.vae_dtype.empty()) origin.vae_dtype = earlier->vae_dtype;
    }
    for (const NamedFile& file : source().files())
      origin.sources.push_back({file.name, hex_digits(sha256_of_file(file.path, ExitCode::kModelInvalid))});
    if (const Adapters* adapters = model_.adapters()) {
      for (const AdapterRecord& record : adapters->records())
        origin.adapters.push_back({record.name, record.strength, record.hash});
    }
    return origin;
  }

  std::string family_title() const {
    switch (source().family()) {
      case ModelFamily::kStableDiffusion:
        return "Stable Diffusion";
      case ModelFamily::kStableDiffusionXl:
        return "Stable Diffusion XL";
      case ModelFamily::kStableDiffusionXlRefiner:
        return "Stable Diffusion XL refiner";
    }
    return {};
  }

  const ModelConfig& model_;
  const PackSettings& settings_;
  std::vector<Part> parts_;
  std::vector<TensorToStream> entries_;
  std::map<std::string, Origin> origins_;  // by the name in the file
  uint64_t bytes_ = 0;
};

}  // namespace

PackedModelFile pack_model(const ModelConfig& model, const std::filesystem::path& to,
                           const PackSettings& settings) {
  Packing packing(model, settings);
  check_networks(model);
  return packing.write(to);
}

}  // namespace brume
