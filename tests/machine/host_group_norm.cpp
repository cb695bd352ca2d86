#include <algorithm>

#include "kernels/element_dispatch.h"
#include "kernels/group_norm_kernel.h"
#include "tests/machine/machine.h"

namespace brume::kernels::machine {

namespace {

using device::GroupNorm;
using device::host::run_grid;

/// What the launcher does, on the CPU.
template <class T, int kVector>
std::vector<Report> run(const GroupNormParams& params, const GroupNormPlan& plan, uint32_t schedule) {
  device::host::Launch grid{.x = plan.chunks,
                            .y = plan.teams,
                            .threads = plan.threads,
                            .shared_bytes = plan.shared_bytes,
                            .schedule = schedule};
  std::vector<Report> reports;
  if (plan.mode == GroupNormPlan::Mode::kOneLaunch) {
    if (group_norm_meets(plan)) grid.residency = device::host::Residency::kTogether;
    reports.push_back(run_grid(grid, [&] { GroupNorm<T, kVector>(params, plan).one_launch(); }));
    return reports;
  }
  const int jobs = params.shape.pictures * plan.slices;
  for (int first = 0; first < jobs; first += plan.teams) {
    grid.y = std::min(plan.teams, jobs - first);
    reports.push_back(run_grid(grid, [&] { GroupNorm<T, kVector>(params, plan).first_pass(first); }));
    reports.push_back(run_grid(grid, [&] { GroupNorm<T, kVector>(params, plan).second_pass(first); }));
  }
  return reports;
}

}  // namespace

std::vector<Report> group_norm(const GroupNormParams& params, const GroupNormPlan& plan, Element element,
                               uint32_t schedule) {
  std::vector<Report> reports;
  if (plan.chunks == 0) return reports;
  with_element(element, [&]<class T>() {
    reports =
        plan.vector == 1 ? run<T, 1>(params, plan, schedule) : run<T, 16 / sizeof(T)>(params, plan, schedule);
    return 0;
  });
  return reports;
}

}  // namespace brume::kernels::machine
