#include "kernels/gpu/scratch.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cstddef>
#include <map>
#include <vector>

#include "kernels/gpu/call.h"
#include "kernels/gpu/tuning.h"

namespace brume::kernels::gpu {

namespace {

constexpr int64_t kBytes = int64_t{4} << 20;  // of a recording
constexpr int64_t kSmall = int64_t{4} << 10;
constexpr int64_t kAlignment = 256;

thread_local Scratch* open_scratch = nullptr;

using Nodes = std::vector<cudaGraphNode_t>;

/// What a call of CUDA's writes in two: first how many there are.
template <class Get>
Nodes all_of(const Get& get) {
  size_t count = 0;  // asked for with no place to write to
  check(get(nullptr, &count), "a graph's nodes");
  Nodes nodes(count);
  if (count > 0) check(get(nodes.data(), &count), "a graph's nodes");
  return nodes;
}

/// What kind an edge is must be asked, too, where it is not a plain one.
template <class Get>
Nodes neighbours(cudaGraphNode_t node, const Get& get) {
  return all_of([&](cudaGraphNode_t* nodes, size_t* count) {
    std::vector<cudaGraphEdgeData> kinds(*count);
    return get(node, nodes, nodes == nullptr ? nullptr : kinds.data(), count);
  });
}
Nodes before(cudaGraphNode_t node) { return neighbours(node, cudaGraphNodeGetDependencies); }
Nodes after(cudaGraphNode_t node) { return neighbours(node, cudaGraphNodeGetDependentNodes); }

/// Takes a node out; what came behind it comes behind what it came behind.
void take_out(cudaGraph_t graph, cudaGraphNode_t node) {
  const Nodes first = before(node);
  const Nodes then = after(node);
  for (cudaGraphNode_t from : first) {
    const Nodes known = after(from);
    for (cudaGraphNode_t to : then) {
      if (std::find(known.begin(), known.end(), to) == known.end())
        check(cudaGraphAddDependencies(graph, &from, &to, nullptr, 1), "an edge of a graph");
    }
  }
  check(cudaGraphDestroyNode(node), "a node of a graph");
}

}  // namespace

Scratch::Scratch(c10::Device device)
    : memory_(at::zeros({kBytes}, at::TensorOptions(device).dtype(at::kByte))), outer_(open_scratch) {
  open_scratch = this;
}

Scratch::~Scratch() { close(); }

void Scratch::close() {
  if (open_scratch == this) open_scratch = outer_;
}

at::Tensor Scratch::take(int64_t bytes) {
  const int64_t whole = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  if (whole > kSmall || taken_ + whole > kBytes) return {};
  at::Tensor part = memory_.narrow(0, taken_, bytes);
  taken_ += whole;
  return part;
}

bool Scratch::holds(const void* address) const {
  const auto* const first = static_cast<const std::byte*>(memory_.const_data_ptr());
  const auto* const place = static_cast<const std::byte*>(address);
  return place >= first && place < first + taken_;
}

void Scratch::zero_at_once(cudaGraph_t graph) {
  const Nodes nodes =
      all_of([&](cudaGraphNode_t* all, size_t* count) { return cudaGraphGetNodes(graph, all, count); });
  std::map<const void*, Nodes> zeroed;  // by where
  for (cudaGraphNode_t node : nodes) {
    cudaGraphNodeType type{};
    check(cudaGraphNodeGetType(node, &type), "a node's type");
    if (type != cudaGraphNodeTypeMemset) continue;
    cudaMemsetParams memset{};
    check(cudaGraphMemsetNodeGetParams(node, &memset), "a node's memset");
    if (memset.value == 0 && memset.height == 1 && holds(memset.dst)) zeroed[memset.dst].push_back(node);
  }
  bool any = false;
  for (const auto& [place, times] : zeroed) {
    if (times.size() > 1) continue;  // a product that needs it anew on its way
    take_out(graph, times.front());
    any = true;
  }
  if (!any) return;
  const Nodes first =
      all_of([&](cudaGraphNode_t* all, size_t* count) { return cudaGraphGetRootNodes(graph, all, count); });
  cudaMemsetParams all{};
  all.dst = memory_.mutable_data_ptr();
  all.elementSize = 4;
  all.width = static_cast<size_t>(taken_) / all.elementSize;
  all.height = 1;
  cudaGraphNode_t zeroing = nullptr;
  check(cudaGraphAddMemsetNode(&zeroing, graph, nullptr, 0, &all), "a graph's memset");
  for (cudaGraphNode_t one : first)
    check(cudaGraphAddDependencies(graph, &zeroing, &one, nullptr, 1), "an edge of a graph");
}

at::Tensor scratch(int64_t bytes, const at::Tensor& like) {
  if (open_scratch != nullptr && bytes > 0 && is_captured()) {
    if (at::Tensor part = open_scratch->take(bytes); part.defined()) return part;
  }
  return at::empty({bytes}, like.options().dtype(at::kByte));
}

}  // namespace brume::kernels::gpu
