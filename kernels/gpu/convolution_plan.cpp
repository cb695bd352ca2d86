#include "kernels/gpu/convolution_plan.h"

#include <ATen/cudnn/Handle.h>
#include <cuda_runtime_api.h>

#include <algorithm>
#include <array>
#include <exception>
#include <map>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <unordered_map>
#include <utility>

#define CUDNN_FRONTEND_SKIP_JSON_LIB
#include <cudnn_frontend.h>

#include "kernels/gpu/scratch.h"

namespace brume::kernels::gpu {

namespace {

namespace fe = cudnn_frontend;
using fe::graph::Graph;
using fe::graph::Tensor_attributes;

/// The tensors of a graph. cuDNN takes their addresses in this order.
enum Uid : int64_t { kX = 1, kWeight, kY, kBias, kResidual, kEnd };

/// Kernels with these are not what the header promises: other sums in each run, and products of inputs that
/// were transformed and rounded before.
const std::vector<fe::NumericalNote_t> kUnwanted = {
    fe::NumericalNote_t::NONDETERMINISTIC,  fe::NumericalNote_t::FFT,
    fe::NumericalNote_t::WINOGRAD,          fe::NumericalNote_t::WINOGRAD_TILE_4x4,
    fe::NumericalNote_t::WINOGRAD_TILE_6x6, fe::NumericalNote_t::WINOGRAD_TILE_13x13};

void check(fe::error_t status, const char* call) {
  if (status.is_bad()) throw std::runtime_error(std::string("cuDNN: ") + call + ": " + status.get_message());
}

fe::DataType_t type_of(at::ScalarType dtype) {
  return dtype == at::kHalf ? fe::DataType_t::HALF : fe::DataType_t::BFLOAT16;
}

/// A tensor of the sizes [N, C, H, W], channels last.
struct Map {
  int64_t uid;
  int64_t batch;
  int64_t channels;
  int64_t height;
  int64_t width;
};

void describe(Tensor_attributes& tensor, const Map& map, fe::DataType_t type) {
  const auto& [uid, batch, channels, height, width] = map;
  tensor.set_uid(uid)
      .set_dim({batch, channels, height, width})
      .set_stride({channels * height * width, 1, width * channels, channels})
      .set_data_type(type);
}

std::shared_ptr<Tensor_attributes> input(Graph& graph, const Map& map, fe::DataType_t type) {
  Tensor_attributes tensor;
  describe(tensor, map, type);
  return graph.tensor(tensor);
}

/// A kind of kernel and its settings.
struct Engine {
  int64_t id = -1;
  std::unordered_map<fe::KnobType_t, int64_t> knobs;
};

/// A graph that tells what cuDNN's heuristics propose for it.
class ConvolutionGraph : public Graph {
 public:
  /// Not by create_execution_plans: that would bind us to NVRTC, for graphs that are none of ours.
  std::vector<Engine> proposed() const {
    fe::EngineConfigList configs;
    check(fe::detail::query_cudnn_heuristics_impl(
              operation_graph, configs, {fe::HeurMode_t::A, fe::HeurMode_t::FALLBACK}, kAllOfTheGpu),
          "query_cudnn_heuristics_impl");
    std::vector<Engine> engines;
    for (const auto& config : configs) {
      Engine engine;
      std::vector<std::pair<cudnnBackendKnobType_t, int64_t>> knobs;
      if (fe::detail::get_engine_id_and_knobs(config, engine.id, knobs) != CUDNN_STATUS_SUCCESS) continue;
      for (const auto& [knob, value] : knobs) engine.knobs[fe::convert_from_backend_knob_type(knob)] = value;
      // Some engines of old have knobs that the frontend does not name, so it could not set them again.
      if (!engine.knobs.contains(fe::KnobType_t::NOT_SET)) engines.push_back(engine);
    }
    return engines;
  }

 private:
  static constexpr int32_t kAllOfTheGpu = -1;
};

/// The problem in cuDNN's words. The order of the additions is the one that its ready-made kernels know, too:
/// first the residual.
std::shared_ptr<ConvolutionGraph> described(const ConvolutionProblem& p) {
  const fe::DataType_t type = type_of(p.dtype);
  auto graph = std::make_shared<ConvolutionGraph>();
  graph->set_io_data_type(type)
      .set_intermediate_data_type(fe::DataType_t::FLOAT)
      .set_compute_data_type(fe::DataType_t::FLOAT)
      // Plans live until the process ends, so captured graphs need not hold them.
      .set_cuda_graph_retention(fe::CudaGraphRetention_t::NONE);
  const Map out{kY, p.batch, p.filters, p.out_height(), p.out_width()};
  const auto x = input(*graph, {kX, p.batch, p.channels, p.height, p.width}, type);
  const auto weight = input(*graph, {kWeight, p.filters, p.channels, p.kernel_height, p.kernel_width}, type);
  auto y = graph->conv_fprop(x, weight,
                             fe::graph::Conv_fprop_attributes()
                                 .set_padding({p.padding, p.padding})
                                 .set_stride({p.stride, p.stride})
                                 .set_dilation({1, 1}));
  const auto add = fe::graph::Pointwise_attributes().set_mode(fe::PointwiseMode_t::ADD);
  if (p.epilogue.has_residual) {
    Map residual = out;
    residual.uid = kResidual;
    y = graph->pointwise(y, input(*graph, residual, type), add);
  }
  if (p.epilogue.has_bias) y = graph->pointwise(y, input(*graph, {kBias, 1, p.filters, 1, 1}, type), add);
  if (p.epilogue.has_relu)
    y = graph->pointwise(y, fe::graph::Pointwise_attributes().set_mode(fe::PointwiseMode_t::RELU_FWD));
  describe(y->set_output(true), out, type);
  check(graph->validate(), "validate");
  check(graph->build_operation_graph(at::native::getCudnnHandle()), "build_operation_graph");
  return graph;
}

/// "ID KNOB=VALUE KNOB=VALUE", by the frontend's numbers, which do not change.
std::string written(const Engine& engine) {
  std::ostringstream text;
  text << engine.id;
  const std::map<fe::KnobType_t, int64_t> ordered(engine.knobs.begin(), engine.knobs.end());
  for (const auto& [knob, value] : ordered) text << ' ' << static_cast<int64_t>(knob) << '=' << value;
  return text.str();
}

std::optional<Engine> engine_of(const std::string& text) {
  std::istringstream words(text);
  Engine engine;
  if (!(words >> engine.id)) return std::nullopt;
  int64_t knob = 0;
  while (words >> knob) {
    char equals = 0;
    int64_t value = 0;
    if (!(words >> equals >> value) || equals != '=') return std::nullopt;
    engine.knobs[static_cast<fe::KnobType_t>(knob)] = value;
  }
  return words.eof() ? std::optional(engine) : std::nullopt;
}

void* address_of(const at::Tensor& tensor) { return const_cast<void*>(tensor.const_data_ptr()); }

}  // namespace

ConvolutionPlan::ConvolutionPlan(std::shared_ptr<const Graph> graph, std::string engine,
                                 int64_t workspace_bytes)
    : graph_(std::move(graph)), engine_(std::move(engine)), workspace_bytes_(workspace_bytes) {}

std::shared_ptr<const ConvolutionPlan> ConvolutionPlan::build(const ConvolutionProblem& problem,
                                                              const std::string& engine) {
  const std::optional<Engine> wanted = engine_of(engine);
  if (!wanted) return nullptr;
  try {
    // A graph for each plan, and this thread's own handle: plans may be built side by side.
    auto graph = described(problem);
    check(graph->create_execution_plan(wanted->id, wanted->knobs), "create_execution_plan");
    graph->deselect_workspace_greater_than(kMaxWorkspaceBytes).deselect_numeric_notes(kUnwanted);
    check(graph->build_plan_at_index(0), "build_plan_at_index");
    int64_t workspace_bytes = 0;
    check(graph->get_workspace_size_plan_at_index(0, workspace_bytes), "get_workspace_size");
    check(graph->prepare_variant_pack_template(), "prepare_variant_pack_template");
    if (workspace_bytes > kMaxWorkspaceBytes) return nullptr;
    return std::make_shared<const ConvolutionPlan>(std::move(graph), engine, workspace_bytes);
  } catch (const std::exception&) {
    return nullptr;  // cuDNN finds out but here what an engine cannot do
  }
}

void ConvolutionPlan::operator()(const ConvolutionOperands& operands, const at::Tensor& y) const {
  std::array<void*, kEnd> addresses{};
  int count = 0;
  addresses[count++] = address_of(operands.x);
  addresses[count++] = address_of(operands.weight);
  addresses[count++] = y.mutable_data_ptr();
  if (operands.bias) addresses[count++] = address_of(*operands.bias);
  if (operands.residual) addresses[count++] = address_of(*operands.residual);
  const at::Tensor workspace = scratch(workspace_bytes_, y);
  void* const place = workspace_bytes_ > 0 ? workspace.mutable_data_ptr() : nullptr;
  const std::lock_guard lock(mutex_);
  check(graph_->execute(at::native::getCudnnHandle(), addresses.data(), count, place), "execute");
}

std::vector<std::string> proposed_engines(const ConvolutionProblem& problem) {
  std::vector<std::string> engines;
  try {
    for (const Engine& engine : described(problem)->proposed()) {
      const std::string text = written(engine);
      if (std::find(engines.begin(), engines.end(), text) == engines.end()) engines.push_back(text);
    }
  } catch (const std::exception&) {
    engines.clear();           // what cuDNN has no engine for is an error to it
    (void)cudaGetLastError();  // which PyTorch would take for its next kernel's
  }
  return engines;
}

}  // namespace brume::kernels::gpu
