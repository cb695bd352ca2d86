#include "gpu_loader.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <thread>
#include <utility>

namespace brume {

namespace {

/// Copies are fastest from such places, and an element of any type fits.
constexpr size_t kAligned = 256;

size_t aligned(size_t bytes) { return (bytes + kAligned - 1) / kAligned * kAligned; }

size_t threads_here(size_t most) { return std::clamp<size_t>(std::thread::hardware_concurrency(), 1, most); }

}  // namespace

GpuLoader::GpuLoader(std::shared_ptr<const kernels::gpu::Gpu> gpu, const LoaderSizes& sizes)
    : gpu_(std::move(gpu)), sizes_(sizes), reader_(threads_here(sizes.threads), sizes.chunk) {}

/// The slot that is being filled, or the one after it: a new one, or that which was sent longest ago.
GpuLoader::Slot& GpuLoader::slot_with_room() {
  if (!slots_.empty() && slots_[current_].used < sizes_.slot) return slots_[current_];
  if (slots_.size() < sizes_.slots) {
    slots_.push_back({gpu_->staging(sizes_.slot)});
    current_ = slots_.size() - 1;
    return slots_.back();
  }
  current_ = (current_ + 1) % slots_.size();
  Slot& next = slots_[current_];
  next.memory->wait();
  next.used = 0;
  return next;
}

at::Tensor GpuLoader::load(at::IntArrayRef shape, at::ScalarType type, const PartReader& read) {
  at::Tensor tensor = at::empty(shape, at::TensorOptions(type).device(gpu_->properties().device));
  const at::Tensor values = tensor.view({-1});
  const auto item = static_cast<size_t>(tensor.element_size());
  const auto count = static_cast<size_t>(tensor.numel());
  for (size_t first = 0; first < count;) {
    Slot& slot = slot_with_room();
    const size_t place = slot.used;
    const size_t many = std::min(count - first, (sizes_.slot - place) / item);
    reader_.read(read, first * item, slot.memory->bytes().subspan(place, many * item));
    slot.memory->send(place, values.narrow(0, static_cast<int64_t>(first), static_cast<int64_t>(many)));
    slot.used = aligned(place + many * item);
    first += many;
  }
  return tensor;
}

std::shared_ptr<TensorLoader> loader_onto(std::shared_ptr<const kernels::gpu::Gpu> gpu) {
  return gpu ? std::make_shared<GpuLoader>(std::move(gpu)) : nullptr;
}

}  // namespace brume
