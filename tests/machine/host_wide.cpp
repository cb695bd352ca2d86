#include "tests/machine/host_wide.h"

#include "tests/machine/machine.h"

namespace brume::kernels::machine {

namespace {

template <class T>
Report run(const AttentionParams& params, const WideShape& shape, void* workspace) {
  Report report;
  kernels::wide_attention(params, shape, workspace,
                          {multiply<T>, [&](const float* scores, void* weights, int32_t rows, int32_t keys) {
                             report = softmax_rows<T>(scores, weights, rows, keys);
                             return report.faults.empty() ? 0 : 1;
                           }});
  return report;
}

}  // namespace

Report softmax_rows(const float* scores, void* weights, int rows, int columns, Element element) {
  return element == Element::kHalf ? softmax_rows<device::Half>(scores, weights, rows, columns)
                                   : softmax_rows<device::Bfloat16>(scores, weights, rows, columns);
}

Report wide_attention(const AttentionParams& params, const WideShape& shape, void* workspace,
                      Element element) {
  return element == Element::kHalf ? run<device::Half>(params, shape, workspace)
                                   : run<device::Bfloat16>(params, shape, workspace);
}

}  // namespace brume::kernels::machine
