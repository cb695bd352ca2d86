#include "kernels/cpu/machines.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace brume::kernels::cpu {

#if defined(__x86_64__)
extern const Machine amx;
extern const Machine avx512bf16;
extern const Machine avx512;
extern const Machine avx2;
#endif
extern const Machine baseline;

#if defined(__x86_64__)
namespace {

/// Whether the processor multiplies tiles of bfloat16, and the system lets this process: Linux wants to be
/// asked, as a thread with tiles has more to keep.
bool has_tiles() {
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  constexpr unsigned kFeatures = 7;
  constexpr unsigned kAmxTileAndBf16 = (1U << 24) | (1U << 22);
  if (__get_cpuid_count(kFeatures, 0, &eax, &ebx, &ecx, &edx) == 0) return false;
  if ((edx & kAmxTileAndBf16) != kAmxTileAndBf16) return false;
  constexpr long kArchReqXcompPerm = 0x1023;
  constexpr long kXfeatureXtiledata = 18;
  return ::syscall(SYS_arch_prctl, kArchReqXcompPerm, kXfeatureXtiledata) == 0;
}

}  // namespace
#endif

std::vector<const Machine*> machines() {
  std::vector<const Machine*> all;
#if defined(__x86_64__)
  const bool fused = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool wide = fused && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                    __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  const bool pairs = wide && __builtin_cpu_supports("avx512bf16");
  if (pairs && has_tiles()) all.push_back(&amx);
  if (pairs) all.push_back(&avx512bf16);
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
