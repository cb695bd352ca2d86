#include "kernels/device/host/host.h"

namespace brume::kernels::device {

namespace {

constexpr int kCopyBytes = 16;
constexpr int kMatrixRow = 16;  // bytes

}  // namespace

float to_float(Half x) {
  const uint32_t sign = (x.bits & 0x8000U) << 16;
  const int exponent = x.bits >> 10 & 31;
  const uint32_t fraction = x.bits & 0x3FFU;
  if (exponent == 31) return bits_as<float>(sign | 0x7F800000U | fraction << 13);
  const float magnitude = exponent == 0 ? std::ldexp(static_cast<float>(fraction), -24)
                                        : std::ldexp(static_cast<float>(fraction | 0x400U), exponent - 25);
  return sign == 0 ? magnitude : -magnitude;
}

template <>
Half from_float<Half>(float x) {
  const auto bits = bits_as<uint32_t>(x);
  const auto sign = static_cast<uint16_t>(bits >> 16 & 0x8000U);
  if (std::isnan(x)) return {static_cast<uint16_t>(sign | 0x7FFFU)};
  const float magnitude = std::fabs(x);
  if (magnitude >= 65520.0F) return {static_cast<uint16_t>(sign | 0x7C00U)};
  // One unit of the last place, rounded to even by the addition of fp32.
  const int exponent = magnitude < 0x1p-14F ? -14 : std::ilogb(magnitude);
  const float unit = std::ldexp(1.0F, exponent - 10);
  const auto units = static_cast<uint32_t>(std::nearbyint(magnitude / unit));
  const uint32_t biased = exponent == -14 && units < 0x400U ? 0 : static_cast<uint32_t>(exponent + 14) << 10;
  return {static_cast<uint16_t>(sign | (biased + units))};
}

template <>
Bfloat16 from_float<Bfloat16>(float x) {
  auto bits = bits_as<uint32_t>(x);
  if (std::isnan(x)) return {0x7FFF};
  bits += 0x7FFFU + (bits >> 16 & 1U);  // to the nearest, ties to even
  return {static_cast<uint16_t>(bits >> 16)};
}

namespace host {

void stop_at(const std::string& fault) {
  if (fault.empty()) return;
  Thread& thread = current();
  thread.block->fail("thread " + std::to_string(thread.index) + ": " + fault);
  thread.fiber->pause();  // for good: the grid ends at its first fault
}

void touch_global(Access access, const void* place, int bytes) {
  const Thread& thread = current();
  const uint32_t time = thread.clock[static_cast<size_t>(thread.index)];
  stop_at(thread.block->global().touch(access, place, bytes,
                                       {thread.block->number(), thread.index, time, thread.clock}));
}

void copy_async(int to, const void* from, int valid) {
  Thread& thread = current();
  if (valid < 0 || valid > kCopyBytes) stop_at("a copy of " + std::to_string(valid) + " bytes");
  if (reinterpret_cast<uintptr_t>(from) % kCopyBytes != 0)
    stop_at("a copy from global memory that is not aligned");
  touch_global(Access::kRead, from, valid);
  PendingCopy copy{to, std::vector<std::byte>(kCopyBytes)};
  memcpy(copy.bytes.data(), from, static_cast<size_t>(valid));
  stop_at(thread.block->shared().begin_copy(thread.index, thread.clock, to, kCopyBytes));
  thread.groups.back().push_back(std::move(copy));
}

void copy_wait(int pending) {
  Thread& thread = current();
  while (static_cast<int>(thread.groups.size()) - 1 > pending) {
    for (const PendingCopy& copy : thread.groups.front())
      thread.block->shared().complete_copy(thread.index, thread.clock, copy.offset, kCopyBytes,
                                           copy.bytes.data());
    thread.groups.pop_front();
  }
}

void load_matrices(uint32_t* to, int count, int row_offset, Transpose transpose) {
  struct Operand {
    Thread* thread;
    uint32_t* to;
    int row;
  } own{&current(), to, row_offset};
  own.thread->block->meet_in_warp(*own.thread, "ldmatrix", &own, [=](const Operands& operands) {
    const auto at = [&](int lane) { return static_cast<Operand*>(operands[static_cast<size_t>(lane)]); };
    for (int matrix = 0; matrix < count; ++matrix) {
      uint16_t values[8][8];
      std::vector<std::pair<int, int>> accesses;
      for (int row = 0; row < 8; ++row) {
        const Operand& owner = *at(matrix * 8 + row);
        Thread& reader = *owner.thread;
        accesses.emplace_back(owner.row, kMatrixRow);
        stop_at(reader.block->shared().read(reader.index, reader.clock, owner.row, kMatrixRow, values[row]));
      }
      at(0)->thread->block->report().bank_conflicts += extra_passes(accesses);
      for (int lane = 0; lane < kWarpSize; ++lane) {
        uint32_t packed = 0;
        for (int half = 0; half < 2; ++half) {
          const Place place = loaded_place(lane, half);
          const uint16_t value = transpose == Transpose::kYes ? values[place.column][place.row]
                                                              : values[place.row][place.column];
          packed |= static_cast<uint32_t>(value) << (16 * half);
        }
        at(lane)->to[matrix] = packed;
      }
    }
  });
}

template <class T>
void multiply(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  struct Operand {
    float* d;
    const uint32_t* a;
    const uint32_t* b;
  } own{d, a, b};
  Thread& thread = current();
  thread.block->meet_in_warp(thread, "mma", &own, [&thread](const Operands& operands) {
    const auto half_of = [](uint32_t pair, int half) {
      return to_float(T{static_cast<uint16_t>(pair >> (16 * half))});
    };
    float left[16][16];
    float right[16][8];
    for (int lane = 0; lane < kWarpSize; ++lane) {
      const Operand& one = *static_cast<Operand*>(operands[static_cast<size_t>(lane)]);
      for (int half = 0; half < 2; ++half) {
        for (int i = 0; i < 4; ++i) {
          const Place place = left_place(lane, i, half);
          left[place.row][place.column] = half_of(one.a[i], half);
        }
        for (int i = 0; i < 2; ++i) {
          const Place place = right_place(lane, i, half);
          right[place.row][place.column] = half_of(one.b[i], half);
        }
      }
    }
    for (int lane = 0; lane < kWarpSize; ++lane) {
      const Operand& one = *static_cast<Operand*>(operands[static_cast<size_t>(lane)]);
      for (int i = 0; i < 4; ++i) {
        const Place place = accumulator_place(lane, i);
        float sum = one.d[i];
        for (int k = 0; k < 16; ++k) sum += left[place.row][k] * right[k][place.column];
        one.d[i] = sum;
      }
    }
    ++thread.block->report().matrix_products;
  });
}

template void multiply<Half>(float (&)[4], const uint32_t (&)[4], const uint32_t (&)[2]);
template void multiply<Bfloat16>(float (&)[4], const uint32_t (&)[4], const uint32_t (&)[2]);

}  // namespace host

void global_arrive(unsigned* counter) {
  host::touch_global<unsigned>(host::Access::kAtomicAdd, counter);
  ++*counter;
  host::Thread& thread = host::current();
  thread.clock.release(thread.block->number(), thread.block->global().released(counter));
  ++thread.clock[static_cast<size_t>(thread.index)];
}

void global_wait(const unsigned* counter, unsigned until) {
  host::touch_global<unsigned>(host::Access::kAtomicRead, counter);
  host::Thread& thread = host::current();
  thread.block->wait(thread, "a barrier among blocks", [counter, until] { return *counter >= until; });
  thread.clock.acquire(thread.block->number(), thread.block->global().released(counter));
}

void warp_barrier() {
  host::Thread& thread = host::current();
  thread.block->meet_in_warp(thread, "warp barrier", nullptr,
                             [&thread](const host::Operands&) { thread.block->order_warp(thread.warp()); });
}

}  // namespace brume::kernels::device
