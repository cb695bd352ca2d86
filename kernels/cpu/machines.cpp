#include "kernels/cpu/machines.h"

namespace brume::kernels::cpu {

#if defined(__x86_64__)
extern const Machine avx512bf16;
extern const Machine avx512;
extern const Machine avx2;
#endif
extern const Machine baseline;

std::vector<const Machine*> machines() {
  std::vector<const Machine*> all;
#if defined(__x86_64__)
  const bool fused = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool wide = fused && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                    __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  if (wide && __builtin_cpu_supports("avx512bf16")) all.push_back(&avx512bf16);
  if (wide) all.push_back(&avx512);
  if (fused) all.push_back(&avx2);
#endif
  all.push_back(&baseline);
  return all;
}

const Machine& machine() {
  static const Machine& best = *machines().front();
  return best;
}

}  // namespace brume::kernels::cpu
