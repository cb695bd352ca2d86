#pragma once
#include "kernels/device/number.h"

// Which lane holds which number of a matrix fragment. PTX ISA 9.0, section 9.7.14.5.8, "Matrix fragments for
// mma.m16n8k16 with floating point type", and 9.7.14.5.15 for ldmatrix. tests/device_test.cpp holds the
// tables.
namespace brume::kernels::device {

/// A place in a matrix.
struct Place {
  int row;
  int column;
};

/// The accumulator [16, 8]: register i of a lane.
constexpr Place accumulator_place(int lane, int i) { return {lane / 4 + i / 2 * 8, lane % 4 * 2 + i % 2}; }

/// The left factor [16, 16]: half `half` of register i.
constexpr Place left_place(int lane, int i, int half) {
  return {lane / 4 + i % 2 * 8, lane % 4 * 2 + half + i / 2 * 8};
}

/// The right factor [16, 8] (row k, column n): half `half` of register i.
constexpr Place right_place(int lane, int i, int half) { return {lane % 4 * 2 + half + i * 8, lane / 4}; }

/// An 8x8 matrix as ldmatrix hands it out: half `half` of the lane's register.
constexpr Place loaded_place(int lane, int half) { return {lane / 4, lane % 4 * 2 + half}; }

/// Where 16-byte chunk `chunk` of row `row` lies in a tile of rows of `kChunks` chunks each, counted in
/// chunks. The eight rows that ldmatrix reads at once then begin in eight different groups of four banks,
/// whatever kChunks is: rows of an odd number do so by themselves; of an even number, the factor of two is
/// undone by exchanging chunks.
template <int kChunks>
constexpr int swizzled_chunk(int row, int chunk) {
  constexpr int kTwos = kChunks % 8 == 0 ? 3 : kChunks % 4 == 0 ? 2 : kChunks % 2 == 0 ? 1 : 0;
  return row * kChunks + (chunk ^ (row >> (3 - kTwos) & ((1 << kTwos) - 1)));
}

}  // namespace brume::kernels::device
