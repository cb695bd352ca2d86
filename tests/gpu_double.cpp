#include "gpu_double.h"

#include <ATen/ATen.h>
#include <c10/core/CPUAllocator.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <thread>
#include <utility>

#include "graph_memory.h"

namespace brume::testing {

namespace {

using kernels::gpu::Graph;
using kernels::gpu::Mark;
using kernels::gpu::Staging;
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

class StagingDouble : public Staging {
 public:
  StagingDouble(size_t bytes, int64_t number, Log log)
      : bytes_(bytes), number_(std::to_string(number)), log_(std::move(log)) {
    log_->add("staging " + number_);
  }
  ~StagingDouble() override {
    copy_all();
    log_->add("staging " + number_ + " ends");
  }
  StagingDouble(const StagingDouble&) = delete;
  StagingDouble& operator=(const StagingDouble&) = delete;

  std::span<std::byte> bytes() override { return bytes_; }

  void send(size_t first, const at::Tensor& to) override {
    if (std::this_thread::get_id() != thread_) throw std::logic_error("sent by a thread that is not its own");
    if (!to.is_contiguous()) throw std::logic_error("sent to a tensor that is not contiguous");
    if (first > bytes_.size() || to.nbytes() > bytes_.size() - first)
      throw std::logic_error("sent are bytes that are not there");
    log_->add("send " + number_);
    sent_.push_back({first, to.nbytes(), to.mutable_data_ptr(), to.storage().getWeakStorageImpl()});
    copy(sent_.back());
  }

  void wait() override {
    copy_all();
    log_->add("sent " + number_);
  }

 private:
  /// As on a GPU, the memory is free for others as soon as the tensor is gone: it is not held here.
  struct Sent {
    size_t first;
    size_t bytes;
    void* to;
    c10::weak_intrusive_ptr<c10::StorageImpl> memory;
  };
  void copy(const Sent& sent) {
    if (const auto memory = sent.memory.lock()) std::memcpy(sent.to, bytes_.data() + sent.first, sent.bytes);
  }
  void copy_all() {
    for (const Sent& sent : sent_) copy(sent);
    sent_.clear();
  }

  std::vector<std::byte> bytes_;
  std::string number_;
  Log log_;
  std::vector<Sent> sent_;
  std::thread::id thread_ = std::this_thread::get_id();
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

std::unique_ptr<Staging> GpuDouble::staging(size_t bytes) const {
  return std::make_unique<StagingDouble>(bytes, ++stagings_, log_);
}

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
