#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "brume/pipeline/model_adapters.h"
#include "brume/pipeline/pipeline.h"
#include "brume/weights/adapters/adapter_choice.h"
#include "reference_case.h"

namespace brume::testing {
namespace {

std::vector<std::string> all_adapter_cases() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(reference_path("adapters")))
    names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

class AdapterCase : public ::testing::TestWithParam<std::string> {
 protected:
  AdapterCase()
      : reference_("adapters/" + GetParam()), model_(reference_path(reference_.parameters()["model"])) {
    std::vector<AdapterChoice> choices;
    for (const std::string lora : reference_.parameters()["loras"]) {
      choices.push_back(adapter_choice(lora));
      choices.back().file = reference_.path() / choices.back().file;
    }
    model_.adapt(open_adapters(model_.source(), choices, UnmatchedKeys::kRefuse));
  }

  Request request() const {
    const nlohmann::json& parameters = reference_.parameters();
    Request request;
    request.prompt = parameters["prompt"];
    request.negative_prompt = parameters["negative_prompt"];
    request.width = parameters["width"];
    request.height = parameters["height"];
    request.seeds = {parameters["seed"].get<uint64_t>()};
    request.sampling = {.sampler = sampler_from_name(parameters["sampler"].get<std::string>()),
                        .steps = parameters["steps"]};
    request.guidance = {parameters["guidance_scale"], parameters["guidance_rescale"]};
    return request;
  }

  ReferenceCase reference_;
  ModelConfig model_;
};

TEST_P(AdapterCase, EveryWeightIsTheReferences) {
  std::set<std::string> components{"unet", "text_encoder"};
  if (model_.source().family() == ModelFamily::kStableDiffusionXl) components.insert("text_encoder_2");
  size_t changed = 0;
  const ModelConfig plain(model_.source().path());
  for (const std::string& component : components) {
    const Weights ours = model_.source().weights(component);
    const Weights before = plain.source().weights(component);
    const WeightsView view = ours.view(at::kFloat);
    for (const std::string& name : ours.names()) {
      const std::string stored = component + "/" + name;
      const std::vector<int64_t> shape = view.shape(name);
      if (reference_.has(stored)) {
        ++changed;
        const at::Tensor wanted = reference_.tensor(stored);
        ASSERT_FALSE(wanted.allclose(before.view(at::kFloat).tensor(name, shape), 0, 1e-3)) << stored;
        expect_close(view.tensor(name, shape), wanted, stored, 1e-5);
      } else {
        EXPECT_TRUE(view.tensor(name, shape).equal(before.view(at::kFloat).tensor(name, shape))) << stored;
      }
    }
  }
  EXPECT_GE(changed, 2U);
}

TEST_P(AdapterCase, LatentsAreTheReferences) {
  const Pipeline pipeline(model_, at::kFloat);
  EXPECT_EQ(pipeline.remarks(), Pipeline(ModelConfig(model_.source().path()), at::kFloat).remarks());
  Observer unseen;
  const Request request = this->request();
  std::vector<at::Tensor> contexts;
  for (const Conditioning& text : pipeline.words(request, unseen).texts) contexts.push_back(text.context);
  expect_close(at::cat(contexts), reference_.tensor("context"), "context");
  const Generation made = pipeline.generate(request, unseen);
  expect_close(made.latents, reference_.tensor(reference_.parameters()["last"]), "latents");
}

INSTANTIATE_TEST_SUITE_P(Adapters, AdapterCase, ::testing::ValuesIn(all_adapter_cases()),
                         [](const auto& name) { return name.param; });

}  // namespace
}  // namespace brume::testing
