#include <c10/util/Exception.h>

#include <cstdint>
#include <iostream>
#include <stdexcept>

#include "brume/pipeline/pipeline.h"
#include "kernels/entry_small.h"
#include "kernels/gpu/door.h"
#include "src/cli/failure.h"
#include "src/cli/torch_errors.h"

// Draws a picture on a GPU as the program does, and has a kernel write where there is no memory in the middle
// of that: what the GPU answers from then on is that error. In a process of its own, as no other can be had
// in one that has met it.
namespace {

using namespace brume;

/// Breaks the GPU after a step, as the program's own stream sees it.
class Breaker : public Observer {
 public:
  void on_step(int64_t done, int64_t /*total*/) override {
    if (done != 3) return;
    constexpr uintptr_t kNowhere = 0x100000;
    const auto* const nowhere = reinterpret_cast<const void*>(kNowhere);
    const BrumeSilu call{{nowhere, nowhere}, 1 << 20, 0};
    if (brume_silu(&call, nullptr) != 0) throw std::logic_error("the kernel did not begin");
    std::cout << "broken" << std::endl;  // the time is taken from here
  }
};

int draw() {
  const std::shared_ptr<const kernels::gpu::Gpu> gpu =
      kernels::gpu::open_gpu(BRUME_CUDA_PLUGIN, 0, {}, nullptr);
  const Pipeline pipeline(ModelConfig(BRUME_TEST_DATA "/reference/sd1"), at::kHalf, gpu);
  PictureSettings settings;
  settings.prompt = "a lighthouse at dusk";
  settings.steps = 20;
  settings.width = settings.height = 64;
  Breaker breaker;
  pipeline.generate(pipeline.model().resolve(settings, {7}), breaker);
  return 0;
}

}  // namespace

int main() {
  return cli::told_as_line([] { return cli::without_torch_errors(draw); });
}
