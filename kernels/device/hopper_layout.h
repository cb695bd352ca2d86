#pragma once
#include "kernels/device/fragment.h"

// Where the operands of Hopper's matrix instructions lie. PTX ISA (go by the names, the numbers move between
// its versions): 9.7.15.5.1.1, "Register fragments" of wgmma.mma_async.m64nNk16; 9.7.15.5.1.2, "Shared memory
// matrix layout", with "Canonical layouts" and "Matrix descriptor format"; 5.5.7, "Swizzling modes" of tensor
// copies. tests/hopper_layout_test.cpp has the tables.
namespace brume::kernels::device {

/// How 16-byte chunks are exchanged among rows of 16, 32, 64 or 128 bytes, so that the same chunk of eight
/// neighbouring rows lies in eight different groups of four banks.
enum class Swizzle : uint8_t { kNone, k32, k64, k128 };

constexpr int swizzle_row_bytes(Swizzle swizzle) { return 16 << static_cast<int>(swizzle); }

/// Rows of eight repeat the pattern, which must begin at a multiple of its size.
constexpr int swizzle_pattern_bytes(Swizzle swizzle) { return 8 * swizzle_row_bytes(swizzle); }

/// The address that the swizzle puts in the place of `address`: the chunk's number is exchanged by that of
/// the 128-byte line.
constexpr int swizzled(int address, Swizzle swizzle) {
  const int chunks = (1 << static_cast<int>(swizzle)) - 1;
  return address ^ (address >> 7 & chunks) << 4;
}

/// The direction in which a matrix's elements are neighbours in memory: along the depth that a product sums
/// over ("K-major"), or across it ("MN-major", the instruction's transposed operand).
enum class Major { kDepth, kAcross };

/// A descriptor ("Matrix descriptor format"), taken apart; all in bytes.
struct MatrixPlace {
  int address;
  int leading;  // MN-major: from one swizzled panel of columns to the next. K-major: only without swizzle
  int stride;   // from eight rows to the next eight
  Swizzle swizzle;
};

constexpr uint64_t matrix_descriptor(const MatrixPlace& place) {
  const auto encode = [](int bytes) { return static_cast<uint64_t>((bytes & 0x3FFFF) >> 4); };
  const uint64_t mode = (4 - static_cast<uint64_t>(place.swizzle)) % 4;  // none 0, 128 1, 64 2, 32 3
  return encode(place.address) | encode(place.leading) << 16 | encode(place.stride) << 32 | mode << 62;
}

/// The same matrix, `bytes` further on: a multiple of 16.
constexpr uint64_t advance_matrix(uint64_t descriptor, int bytes) {
  return descriptor + static_cast<uint64_t>(bytes >> 4);
}

constexpr MatrixPlace matrix_place(uint64_t descriptor) {
  const auto decode = [descriptor](int bit) { return static_cast<int>(descriptor >> bit & 0x3FFF) << 4; };
  return {decode(0), decode(16), decode(32), static_cast<Swizzle>((4 - (descriptor >> 62)) % 4)};
}

/// Where element (row or column `across`, `depth` of 0 to 15) of a matrix of 16-bit numbers lies: "canonical
/// layouts", ((T,W,m),(8,k)) and ((8,m),(T,2)) with T = 8 elements of a chunk and W chunks of a row.
constexpr int matrix_byte(const MatrixPlace& place, Major major, int across, int depth) {
  const int row_bytes = swizzle_row_bytes(place.swizzle);
  const int chunks = row_bytes / 16;
  int address = place.address;
  if (major == Major::kDepth) {
    const int next_chunk = place.swizzle == Swizzle::kNone ? place.leading : 16;
    address += across / 8 * place.stride + across % 8 * row_bytes + depth / 8 * next_chunk + depth % 8 * 2;
  } else {
    const int block = across / 8;
    // Without a swizzle the two strides change their parts.
    const bool plain = place.swizzle == Swizzle::kNone;
    const int next_panel = plain ? place.stride : place.leading;
    const int next_rows = plain ? place.leading : place.stride;
    address += block / chunks * next_panel + block % chunks * 16 + across % 8 * 2 + depth / 8 * next_rows +
               depth % 8 * row_bytes;
  }
  return swizzled(address, place.swizzle);
}

/// The accumulator [64, N] of a warp group: register i of a thread of 0 to 127.
constexpr Place group_accumulator_place(int thread, int i) {
  const Place place = accumulator_place(thread % 32, i % 4);
  return {thread / 32 * 16 + place.row, i / 4 * 8 + place.column};
}

/// The left factor [64, 16] in registers: half `half` of register i.
constexpr Place group_left_place(int thread, int i, int half) {
  const Place place = left_place(thread % 32, i, half);
  return {thread / 32 * 16 + place.row, place.column};
}

/// What a tensor copy moves: a box of a tensor of 16-bit numbers [picture, row, head, column] in global
/// memory; what lies beyond the tensor arrives as zero. The box lies in shared memory as rows of its columns.
/// Dimensions are listed from the innermost on, in the order of their strides in a packed projection: the
/// driver asks that each stride be a multiple of the one before, and step over all that this one strides.
struct TensorTile {
  const void* base;
  int64_t sizes[4];    // elements: columns, heads, rows, pictures
  int64_t strides[3];  // bytes from one head, row, picture to the next
  int columns;         // of the box, as many bytes as a row of the swizzle
  int rows;            // of the box
  Swizzle swizzle;

  constexpr int bytes() const { return columns * rows * 2; }
};

/// The first element of a box.
struct TilePlace {
  int column;
  int head;
  int row;
  int picture;
};

}  // namespace brume::kernels::device
