#include "gpu_double.h"

#include <ATen/ATen.h>
#include <c10/core/CPUAllocator.h>
#include <c10/util/Exception.h>

#include <algorithm>

#include "graph_memory.h"

namespace brume::testing {

namespace {

using kernels::gpu::Graph;
using kernels::gpu::Mark;
using Log = std::shared_ptr<GpuDouble::Log>;

class GraphDouble : public Graph {
 public:
  GraphDouble(const std::function<void()>& work, Log log) : work_(work), log_(std::move(log)) {
    memory_.run(work_);
    const std::lock_guard lock(log_->mutex);
    ++log_->graphs;
  }
  ~GraphDouble() override {
    const std::lock_guard lock(log_->mutex);
    --log_->graphs;
  }
  GraphDouble(const GraphDouble&) = delete;
  GraphDouble& operator=(const GraphDouble&) = delete;

  void replay() override {
    log_->add("replay");
    memory_.run(work_);
  }

 private:
  std::function<void()> work_;
  GraphMemory memory_;
  Log log_;
};

class MarkDouble : public Mark {
 public:
  MarkDouble(int64_t number, Log log) : number_(std::to_string(number)), log_(std::move(log)) {
    log_->add("mark " + number_);
  }
  void wait() override { log_->add("wait " + number_); }

 private:
  std::string number_;
  Log log_;
};

}  // namespace

void GpuDouble::Log::add(const std::string& event) {
  const std::lock_guard lock(mutex);
  events.push_back(event);
}

std::vector<std::string> GpuDouble::Log::all() const {
  const std::lock_guard lock(mutex);
  return events;
}

GpuDouble::GpuDouble() : properties_{"a double", c10::Device(c10::kCPU), 90, int64_t{80} << 30} {}

std::unique_ptr<Graph> GpuDouble::capture(const std::function<void()>& work) const {
  log_->add("capture");
  work();
  if (captures_to_failure_ > 0 && --captures_to_failure_ == 0)
    C10_THROW_ERROR(OutOfMemoryError, "CUDA out of memory. Tried to allocate 20.00 MiB.");
  return std::make_unique<GraphDouble>(work, log_);
}

std::unique_ptr<Mark> GpuDouble::mark() const { return std::make_unique<MarkDouble>(++marks_, log_); }

at::Tensor GpuDouble::host_copy(const at::Tensor& tensor) const {
  auto memory = std::make_shared<c10::DataPtr>(c10::GetDefaultCPUAllocator()->allocate(tensor.nbytes()));
  const auto count = [log = log_](int64_t more) {
    const std::lock_guard lock(log->mutex);
    log->hosted += more;
  };
  count(1);
  void* const place = memory->get();
  const auto free = [memory = std::move(memory), count](void* /*place*/) { count(-1); };
  return at::from_blob(place, tensor.sizes(), tensor.strides(), free, tensor.options()).copy_(tensor);
}

int64_t GpuDouble::count(const std::string& kind) const {
  const std::vector<std::string> all = events();
  return std::count_if(all.begin(), all.end(),
                       [&](const std::string& event) { return event.starts_with(kind); });
}

}  // namespace brume::testing
