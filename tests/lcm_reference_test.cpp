#include <gtest/gtest.h>

#include <filesystem>

#include "brume/pipeline/denoising_rows.h"
#include "brume/pipeline/pipeline.h"
#include "reference_case.h"
#include "temporary_directory.h"

namespace brume::testing {
namespace {

namespace fs = std::filesystem;

/// sd1 with a UNet that is told the guidance scale, as latent consistency models are.
class LatentConsistency : public TemporaryDirectory {
 protected:
  void SetUp() override {
    TemporaryDirectory::SetUp();
    for (const auto& part : fs::directory_iterator(reference_path(reference_.parameters()["model"]))) {
      if (part.path().filename() != "unet")
        fs::create_symlink(part.path(), directory_ / part.path().filename());
    }
    fs::create_symlink(reference_.path() / "unet", directory_ / "unet");
  }

  Request request(const Pipeline& pipeline, double scale) const {
    const nlohmann::json& run = reference_.parameters();
    PictureSettings settings;
    settings.prompt = run["prompt"];
    settings.negative_prompt = run["negative_prompt"];  // not looked at
    settings.compat = "diffusers";
    settings.width = run["width"];
    settings.height = run["height"];
    settings.steps = run["steps"];
    settings.sampler = run["sampler"];
    settings.cfg_scale = scale;
    const uint64_t seed = run["seed"];
    return pipeline.model().resolve(settings, {seed, seed + 1});
  }

  const ReferenceCase reference_{"lcm"};
};

TEST_F(LatentConsistency, IsToldTheScaleAsDiffusersTellsIt) {
  const Pipeline pipeline(ModelConfig(directory_), at::kFloat);
  Observer unseen;
  for (const std::string scale : {"8.0", "1.0", "1.7"}) {
    const Generation drawn = pipeline.generate(request(pipeline, std::stod(scale)), unseen);
    expect_close(drawn.latents, reference_.tensor("latents_" + scale), "scale " + scale, 1e-4);
  }
}

TEST_F(LatentConsistency, ABatchMixesScales) {
  const Pipeline pipeline(ModelConfig(directory_), at::kFloat);
  RecentPrompts recent;
  DenoisingRows rows(pipeline, RowCalls::kTogether);
  for (const double scale : {8.0, 1.7}) {
    Request one = request(pipeline, scale);
    one.seeds.resize(1);
    rows.join(static_cast<uint64_t>(scale), one, pipeline.material(one, recent));
  }
  int ended = 0;
  while (rows.size() > 0) {
    for (const DenoisedRow& row : rows.advance()) {
      const at::Tensor wanted = reference_.tensor(row.ticket == 8 ? "latents_8.0" : "latents_1.7");
      expect_close(row.latents, wanted.narrow(0, 0, 1), "picture", 1e-4);
      ++ended;
    }
  }
  EXPECT_EQ(ended, 2);
}

}  // namespace
}  // namespace brume::testing
