#pragma once
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "brume/batch/runner.h"
#include "brume/pipeline/denoising_rows.h"
#include "brume/pipeline/pipeline.h"
#include "gpu_double.h"
#include "graph_memory.h"
#include "reference_case.h"

namespace brume::testing {

using Notes = std::vector<std::string>;
inline const Notes kNoNotes;
inline const Notes kInParts{"smaller_batch memory"};
inline const Notes kTiled{"vae_tiling memory"};
inline const Notes kStreamed{"weights_streamed memory"};

class ShortOfMemory : public ::testing::Test {
 protected:
  /// One whose layers have made what they keep, and that has recorded nothing yet.
  std::unique_ptr<Pipeline> open() {
    gpu_ = std::make_shared<GpuDouble>();
    auto pipeline = std::make_unique<Pipeline>(ModelConfig(reference_path("sd1")), at::kFloat, gpu_);
    PictureSettings settings;
    settings.freeu = "1,1,1,1";  // with which it would not
    drawn(*pipeline, request(*pipeline, 16, 16, settings));
    return pipeline;
  }

  static Request request(const Pipeline& pipeline, int64_t width, int64_t height,
                         PictureSettings settings = {}) {
    if (!settings.prompt) settings.prompt = "a fox";
    if (!settings.steps) settings.steps = 1;
    if (!settings.cfg_scale) settings.cfg_scale = 1;
    settings.width = width;
    settings.height = height;
    return pipeline.model().resolve(settings, {7});
  }

  static Generation drawn(const Pipeline& pipeline, const Request& request) {
    Observer unseen;
    return pipeline.generate(request, unseen);
  }

  static Request tiled(Request request) {
    request.decode = DecodeMode::kTiled;
    return request;
  }

  /// What there must be for `less`, and is not enough for `more`: bytes in use, or in one piece.
  template <class Less, class More>
  int64_t between(int64_t (MemorySupply::*bytes)() const, const Less& less, const More& more) {
    const auto needed = [&](const auto& work) {
      const auto pipeline = open();
      const MemorySupply supply;
      work(*pipeline);
      return (supply.*bytes)();
    };
    const int64_t least = needed(less);
    const int64_t most = needed(more);
    EXPECT_LT(least + least / 10, most);
    return (least + most) / 2;
  }

  std::shared_ptr<GpuDouble> gpu_;
};

/// Draws so many pictures of a request, all phases beside each other; `made` has those that were done, too,
/// where that throws.
inline void draw_beside(const Pipeline& pipeline, const Request& request, uint64_t count,
                        std::vector<PictureResult>& made) {
  batch::Runner runner(
      pipeline, {.phases = batch::Phases::kBeside},
      [&, next = uint64_t{0}]() mutable -> std::optional<batch::Work> {
        if (next == count) return {};
        return batch::Work{next++, request};
      },
      [&](const batch::Made& one) { made.push_back(one.result); }, [] { return false; });
  runner.run();
}

inline constexpr int64_t kTile = 64;  // pixels, of the model's autoencoder

/// So many pictures on their way together.
inline std::map<uint64_t, DenoisedRow> by_rows(const Pipeline& pipeline, const Request& request,
                                               uint64_t count) {
  DenoisingRows rows(pipeline, RowCalls::kTogether);
  RecentPrompts recent;
  std::map<uint64_t, DenoisedRow> ended;
  for (uint64_t ticket = 0; ticket < count; ++ticket) {
    Request one = request;
    one.seeds = {ticket};
    rows.join(ticket, one, pipeline.material(one, recent));
  }
  while (rows.size() > 0) {
    for (DenoisedRow& row : rows.advance()) ended[row.ticket] = std::move(row);
  }
  return ended;
}

}  // namespace brume::testing
