#include "kernels/element_dispatch.h"
#include "kernels/geglu_kernel.h"
#include "kernels/guided_step_kernel.h"
#include "kernels/layer_norm_kernel.h"
#include "kernels/silu_kernel.h"
#include "kernels/timestep_embedding_kernel.h"
#include "tests/machine/machine.h"

namespace brume::kernels::machine {

namespace {

/// Runs kernel.operator()<T>() for the element type, as the launchers launch it.
template <class Kernel>
Report run(const SmallPlan& plan, Element element, const Kernel& kernel) {
  Report report;
  with_element(element, [&]<class T>() {
    report =
        device::host::run_grid({.x = plan.blocks, .threads = plan.threads, .shared_bytes = plan.shared_bytes},
                               [&] { kernel.template operator()<T>(); });
    return 0;
  });
  return report;
}

}  // namespace

Report layer_norm(const LayerNormParams& params, Element element) {
  if (!layer_norm_fits(params, bytes_of(element))) return {.faults = {"launch: rows that do not fit"}};
  const SmallPlan plan = plan_layer_norm(params, bytes_of(element));
  return run(plan, element, [&]<class T>() {
    if (plan.vector == 1) {
      device::LayerNorm<T, 1>{params}();
    } else {
      device::LayerNorm<T, 16 / sizeof(T)>{params}();
    }
  });
}

Report geglu(const GegluParams& params, Element element) {
  const SmallPlan plan = plan_geglu(params, bytes_of(element));
  return run(plan, element, [&]<class T>() {
    plan.vector == 1 ? device::geglu<T, 1>(params) : device::geglu<T, 16 / sizeof(T)>(params);
  });
}

Report silu(const SiluParams& params, Element element) {
  const SmallPlan plan = plan_silu(params, bytes_of(element));
  return run(plan, element, [&]<class T>() {
    plan.vector == 1 ? device::silu<T, 1>(params) : device::silu<T, 16 / sizeof(T)>(params);
  });
}

Report timestep_embedding(const TimestepEmbeddingParams& params, Element element) {
  return run(plan_timestep_embedding(params), element,
             [&]<class T>() { device::timestep_embedding<T>(params); });
}

Report guided_step(const GuidedStepParams& params, Element element) {
  const SmallPlan plan = plan_guided_step(params, bytes_of(element));
  return run(plan, element, [&]<class T>() {
    plan.vector == 1 ? device::guided_step<T, 1>(params) : device::guided_step<T, 4>(params);
  });
}

}  // namespace brume::kernels::machine
