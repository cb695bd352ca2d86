#include "networks.h"

#include <c10/core/InferenceMode.h>

#include <utility>

#include "brume/weights/weights.h"
#include "remarks.h"

namespace brume {

namespace {

/// A network of the model, made by `make` from its weights.
template <class Make>
auto opened(const ModelSource& model, const char* component, const Placement& placement,
            const std::shared_ptr<TensorLoader>& loader, std::vector<std::string>& remarks,
            const Make& make) {
  const c10::InferenceMode guard;
  const Weights weights = model.weights(component);
  auto network = make(weights.view(placement, loader));
  append_unused(weights, component, remarks);
  return network;
}

// They keep the configuration: it is smaller than the least of layers.

Streamable<PromptEncoder>::Open prompts_of(const ModelConfig& model,
                                           const std::shared_ptr<const Loaders>& loaders) {
  return [model, loaders](const Placement& placement, std::vector<std::string>& remarks) {
    const c10::InferenceMode guard;
    return std::make_unique<const PromptEncoder>(model.source(), model.embeddings(), placement,
                                                 loaders->one(), remarks);
  };
}

Streamable<PlacedUNet>::Open unet_of(const ModelConfig& model, const std::shared_ptr<const Loaders>& loaders,
                                     const kernels::gpu::Gpu* gpu) {
  return [model, loaders, gpu](const Placement& placement, std::vector<std::string>& remarks) {
    return opened(model.source(), "unet", placement, loaders->one(), remarks,
                  [&](const WeightsView& weights) {
                    return std::make_unique<const PlacedUNet>(weights, model.unet(), gpu);
                  });
  };
}

Streamable<Autoencoder>::Open vae_of(const ModelConfig& model,
                                     const std::shared_ptr<const Loaders>& loaders) {
  return [model, loaders](const Placement& placement, std::vector<std::string>& remarks) {
    return opened(model.source(), "vae", placement, loaders->one(), remarks,
                  [&](const WeightsView& weights) { return open_autoencoder(weights, model.vae()); });
  };
}

}  // namespace

PlacedUNet::PlacedUNet(const WeightsView& weights, const UNetConfig& config, const kernels::gpu::Gpu* gpu)
    : unet(weights, config),
      rows(gpu != nullptr ? std::make_unique<RowsThatFit>(unet, *gpu, weights.dtype()) : nullptr) {}

Networks::Networks(const ModelConfig& model, const Placement& placement, at::ScalarType vae_dtype,
                   std::shared_ptr<const kernels::gpu::Gpu> gpu, std::vector<std::string>& remarks)
    : gpu_(std::move(gpu)),
      loaders_(std::make_shared<Loaders>(gpu_)),
      prompts_(placement, gpu_.get(), prompts_of(model, loaders_)),
      unet_(placement, gpu_.get(), unet_of(model, loaders_, gpu_.get())),
      vae_({vae_dtype, placement.device}, gpu_.get(), vae_of(model, loaders_)),
      exact_vae_({at::kFloat, placement.device}, gpu_.get(), vae_of(model, loaders_)) {
  const auto open = [&](auto& network, const char* name) {
    network.open(remarks);
    if (network.is_streamed())
      remarks.push_back(std::string("the GPU has no room for the ") + name +
                        ": its weights are fetched from the machine's memory in each call, which is slower");
  };
  open(prompts_, "text encoder");
  open(unet_, "UNet");
  open(vae_, "autoencoder");
  loaders_->all_are_open();
}

bool Networks::make_room(int time) {
  if (!gpu_) return false;
  if (time == 0) {
    if (!unet_.use_if_open([](const PlacedUNet& unet) { unet.rows->make_room(); })) gpu_->give_back();
    return true;
  }
  // A picture's words and its decoding fetch their weights once, its steps do so each.
  const bool made = prompts_.stream() || vae_.stream() || exact_vae_.stream() || unet_.stream();
  if (made) gpu_->give_back();
  return made;
}

void Networks::give_back() const {
  if (gpu_) gpu_->give_back();
}

bool Networks::any_streamed() const {
  return prompts_.is_streamed() || unet_.is_streamed() || vae_.is_streamed() || exact_vae_.is_streamed();
}

int64_t Networks::streamable_bytes() const {
  return prompts_.streamable_bytes() + unet_.streamable_bytes() + vae_.streamable_bytes() +
         exact_vae_.streamable_bytes();
}

}  // namespace brume
