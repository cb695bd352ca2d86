#include <charconv>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>

#include "brume/pipeline/pipeline.h"
#include "forwarding_gpu.h"
#include "kernels/gpu/door.h"
#include "memory/trace.h"
#include "memory/traced_drawing.h"

// Draws a picture on a GPU and writes down what memory its tensors took on the way: for memory_estimate_test,
// which holds the estimates against it.
namespace {

using namespace brume;
using testing::TraceWriter;

/// Runs each time what would be recorded as a graph, which has the memory of every step for itself.
class Unrecorded : public testing::ForwardingGpu {
 public:
  using ForwardingGpu::ForwardingGpu;

  std::unique_ptr<kernels::gpu::Graph> capture(const std::function<void()>& work) const override {
    class Work : public kernels::gpu::Graph {
     public:
      explicit Work(const std::function<void()>& work) : work_(work) {}
      void replay() override { work_(); }

     private:
      std::function<void()> work_;
    };
    work();
    return std::make_unique<Work>(work);
  }
};

class Phases : public Observer {
 public:
  explicit Phases(TraceWriter& trace) : trace_(trace) { trace_.phase("text"); }
  void on_stage(std::string_view name, const at::Tensor& /*tensor*/) override {
    if (name == "context") trace_.phase("steps");
  }
  void on_step(int64_t done, int64_t total) override {
    if (done == total) trace_.phase("decode");
  }

 private:
  TraceWriter& trace_;
};

int64_t number(const char* text) {
  int64_t value = 0;
  std::from_chars(text, text + std::string_view(text).size(), value);
  return value;
}

std::string record(const testing::TracedDrawing& drawing) {
  static TraceWriter& trace = *new TraceWriter;  // the GPU tells it of memory until the end
  const std::shared_ptr<const kernels::gpu::Gpu> gpu =
      kernels::gpu::open_gpu(BRUME_CUDA_PLUGIN, 0, {}, nullptr);
  gpu->watch_memory([](uint64_t address, int64_t bytes) { trace.see(address, bytes); });
  trace.fact("model", drawing.model);
  trace.fact("width", std::to_string(drawing.width));
  trace.fact("height", std::to_string(drawing.height));
  trace.fact("dtype", "fp16");
  trace.fact("gpu", gpu->properties().name);

  const ModelConfig config = drawing.config();
  const Request request = drawing.request(config);
  trace.phase("weights");
  const Pipeline pipeline(config, at::kHalf, std::make_shared<Unrecorded>(gpu));
  trace.pause();
  Observer unseen;
  pipeline.generate(request, unseen);  // measures the kernels, which takes memory of its own
  gpu->synchronize();
  Phases phases(trace);
  const Generation made = pipeline.generate(request, phases);
  gpu->synchronize();
  trace.pause();
  if (!made.pictures.front().picture)
    std::cerr << "the picture has numbers that are not finite: " << made.pictures.front().failed_stage
              << '\n';
  return trace.text();
}

}  // namespace

int main(int count, char** words) {
  if (count != 5) {
    std::cerr << "usage: record_memory_trace ARCHITECTURE WIDTH HEIGHT FILE\n";
    return EXIT_FAILURE;
  }
  try {
    const std::string text = record({words[1], number(words[2]), number(words[3])});
    std::ofstream file(words[4]);
    file << text;
    file.close();
    std::cout << words[4] << ": " << text.size() << " bytes\n";
    return file ? EXIT_SUCCESS : EXIT_FAILURE;
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return EXIT_FAILURE;
  }
}
