// The kernels for one instruction set: compiled several times, each with its own flags and a name for
// BRUME_MACHINE.
#include "kernels/cpu/attention.h"
#include "kernels/cpu/attention_amx.h"
#include "kernels/cpu/norm.h"

namespace brume::kernels::cpu {

namespace {

#if defined(__AVX512BF16__)
using Bf16Operand = PairOperand;
#else
using Bf16Operand = FloatOperand;  // no instruction for it: computed in floats
#endif

template <class Operand, class T>
constexpr AttentionKernel attention_kernel() {
  return {kQueries, packed_bytes<Operand>, scratch_bytes<Operand>, pack<Operand, T>, attend<Operand, T>};
}

#if defined(BRUME_TILES)
template <>
constexpr AttentionKernel attention_kernel<Bf16Operand, Bf16>() {
  return {kQueries, tiles_packed_bytes, tiles_scratch_bytes, pack_tiles, attend_tiles};
}
#endif

template <class Operand, class T>
constexpr DtypeKernels dtype_kernels() {
  return {attention_kernel<Operand, T>(), channel_sums<T>, scale_and_shift<T>, layer_norm<T>};
}

#define BRUME_TEXT(x) #x
#define BRUME_NAME(x) BRUME_TEXT(x)

}  // namespace

extern const Machine BRUME_MACHINE;
const Machine BRUME_MACHINE = {BRUME_NAME(BRUME_MACHINE), dtype_kernels<FloatOperand, float>(),
                               dtype_kernels<Bf16Operand, Bf16>()};

}  // namespace brume::kernels::cpu
