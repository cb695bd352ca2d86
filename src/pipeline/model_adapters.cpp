#include "brume/pipeline/model_adapters.h"

#include <string>
#include <utility>

#include "brume/base/error.h"
#include "derived_model.h"

namespace brume {

namespace {

class AdaptedModel : public DerivedModel {
 public:
  AdaptedModel(std::shared_ptr<const ModelSource> model, std::shared_ptr<const Adapters> adapters)
      : DerivedModel(std::move(model)), adapters_(std::move(adapters)) {}

  Weights weights(const std::string& component) const override {
    return adapters_->adapt(component, model().weights(component));
  }

 private:
  std::shared_ptr<const Adapters> adapters_;
};

}  // namespace

std::shared_ptr<const Adapters> open_adapters(const ModelSource& model,
                                              const std::vector<AdapterChoice>& choices,
                                              UnmatchedKeys unmatched) {
  std::vector<AdaptedNetwork> networks;
  const auto add = [&](AdapterTower tower, const std::string& component) {
    networks.push_back({tower, component, model.weights(component)});
    if (networks.back().weights.names().empty())
      throw Error(ExitCode::kUsage, "--lora", "there is no model to merge it into", "name one with -m");
  };
  add(AdapterTower::kUNet, "unet");
  for (const std::string& suffix : tower_suffixes(model.family()))
    add(suffix.empty() ? AdapterTower::kText : AdapterTower::kText2, "text_encoder" + suffix);
  return std::make_shared<const Adapters>(choices, networks, unmatched);
}

std::shared_ptr<const ModelSource> with_adapters(const std::shared_ptr<const ModelSource>& model,
                                                 const std::shared_ptr<const Adapters>& adapters) {
  return std::make_shared<AdaptedModel>(model, adapters);
}

}  // namespace brume
