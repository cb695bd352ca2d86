#pragma once
#include "kernels/cpu/lanes.h"

// The vocabulary of AMX: registers that are tiles, and their product. Vectors and tiles share no registers;
// what goes from one to the other passes through memory.
#if defined(__AMX_BF16__) || defined(__AMXBF16__)  // GCC's name, and that of clang 14
#define BRUME_TILES 1

namespace brume::kernels::cpu {
namespace {

constexpr int64_t kTileSide = 16;   // rows of a tile, and columns of a result
constexpr int64_t kTileDepth = 32;  // bfloat16 numbers that a product sums over
constexpr int64_t kTileRowBytes = 64;
constexpr int64_t kTileBytes = kTileSide * kTileRowBytes;

/// GCC does not know what its tile instructions read: all that was written before stands in memory now.
BRUME_INLINE void settle() { asm volatile("" ::: "memory"); }

/// The right to the tiles, as long as it lives: each whole, 0 to 2 for results, the others for operands.
class Tiles {
 public:
  Tiles() {
    struct {
      uint8_t palette = 1;
      uint8_t start_row = 0;
      uint8_t reserved[14] = {};
      uint16_t row_bytes[16] = {};
      uint8_t rows[16] = {};
    } config;
    for (int tile = 0; tile < 7; ++tile) {
      config.row_bytes[tile] = kTileRowBytes;
      config.rows[tile] = kTileSide;
    }
    settle();
    _tile_loadconfig(&config);
  }
  ~Tiles() { _tile_release(); }
  Tiles(const Tiles&) = delete;
  Tiles& operator=(const Tiles&) = delete;
};

/// Three results side by side in memory: sixteen rows of kTileVectors vectors.
constexpr int64_t kTripleRowBytes = kTileVectors * kTileRowBytes;

BRUME_INLINE void clear_results() {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
}
BRUME_INLINE void load_results(const Floats* from) {
  const auto* bytes = reinterpret_cast<const char*>(from);
  settle();
  _tile_loadd(0, bytes, kTripleRowBytes);
  _tile_loadd(1, bytes + kTileRowBytes, kTripleRowBytes);
  _tile_loadd(2, bytes + 2 * kTileRowBytes, kTripleRowBytes);
}
BRUME_INLINE void store_results(Floats* to) {
  auto* bytes = reinterpret_cast<char*>(to);
  _tile_stored(0, bytes, kTripleRowBytes);
  _tile_stored(1, bytes + kTileRowBytes, kTripleRowBytes);
  _tile_stored(2, bytes + 2 * kTileRowBytes, kTripleRowBytes);
  settle();
}

/// Results += over the steps, rows times columns. Rows are tiles of [16][32], `row_tiles` from one step's to
/// the next; columns [16 * steps][kTileVectors] of pairs.
BRUME_INLINE void multiply_tiles(const char* rows, int64_t row_tiles, const Words* columns, int64_t steps) {
  settle();
  for (int64_t step = 0; step < steps; ++step) {
    const auto* column = reinterpret_cast<const char*>(columns + step * kTileSide * kTileVectors);
    _tile_loadd(3, rows + step * row_tiles * kTileBytes, kTileRowBytes);
    _tile_loadd(4, column, kTripleRowBytes);
    _tile_loadd(5, column + kTileRowBytes, kTripleRowBytes);
    _tile_loadd(6, column + 2 * kTileRowBytes, kTripleRowBytes);
    _tile_dpbf16ps(0, 3, 4);
    _tile_dpbf16ps(1, 3, 5);
    _tile_dpbf16ps(2, 3, 6);
  }
}

}  // namespace
}  // namespace brume::kernels::cpu

#endif
