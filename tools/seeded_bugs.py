"""The bugs that tools/seed_bugs plants: what stands in the source, and what replaces it."""


def bug(name, file, old, new):
    return {"name": name, "file": file, "old": old, "new": new}


TILE, KERNEL = "kernels/attention_tile.h", "kernels/attention_kernel.h"

ATTENTION = [
    bug("no barrier before the next tile", KERNEL,
        "device::copy_async_wait<0>();\n      device::block_barrier();  // the next tile", "device::copy_async_wait<0>();\n      // the next tile"),
    bug("no barrier after the first copies", KERNEL,
        "device::copy_async_wait<0>();\n    device::block_barrier();", "device::copy_async_wait<0>();"),
    bug("wait that leaves a group on its way", KERNEL,
        "device::copy_async_wait<0>();\n      device::block_barrier();  // the next", "device::copy_async_wait<1>();\n      device::block_barrier();  // the next"),
    bug("next tile copied over this one", KERNEL, "stages + (tile + 1) % 2 * kStageElements", "stages + tile % 2 * kStageElements"),
    bug("resident: queries copied over those at work", KERNEL,
        "query_tiles + (1 - stage) * Tile::kQueryElements", "query_tiles + stage * Tile::kQueryElements"),
    bug("resident: no barrier between tiles", KERNEL,
        "device::block_barrier();  // this tile is here", "// this tile is here"),
    bug("mask off by one", TILE, "if (key >= count)", "if (key > count)"),
    bug("no mask on the last tile", KERNEL, "if constexpr (masked.value) scores.mask", "if constexpr (false) scores.mask"),
    bug("copy of one row too many", TILE, "in_head && from + row < rows.count", "in_head && from + row <= rows.count"),
    bug("padding of head_dim not zeroed", TILE, "const bool in_head = kChunks * 8 == kHeadDim || chunk * 8 < kHeadDim;",
        "const bool in_head = true;"),
    bug("stride of one row too many", TILE, "place += kRowsAtOnce * rows.stride;", "place += (kRowsAtOnce + 1) * rows.stride;"),
    bug("stride of the head taken for that of the token", TILE, "device::block_y() * strides.head", "device::block_y() * strides.token"),
    bug("wrong fragment row of the queries", TILE, "* 16 + device::lane() % 16;\n      BRUME_UNROLL", "* 16 + device::lane() % 8;\n      BRUME_UNROLL"),
    bug("wrong chunk of the keys", TILE, "const int chunk = 2 * step + device::lane() / 8 % 2;", "const int chunk = 2 * step + device::lane() / 16;"),
    bug("values not transposed", TILE, "device::load_matrices_4_transposed(", "device::load_matrices_4("),
    bug("last column of values not transposed", TILE, "device::load_matrices_2_transposed(", "device::load_matrices_2("),
    bug("output not rescaled", KERNEL, "output.scale(shrink);\n", "\n"),
    bug("sum not rescaled", TILE, "device::multiply_add(sum[r][half], shrink[r][half], added)", "sum[r][half] + added"),
    bug("maximum over half of the row", TILE, "peak = device::maximum(peak, device::shuffle_xor(peak, 2));", ""),
    bug("sum over half of the row", TILE, "total += device::shuffle_xor(total, 2);", ""),
    bug("no guard against rows of -inf", TILE, "peak == -device::infinity() ? 0.0F : peak * scale_log2", "peak * scale_log2"),
    bug("scale forgotten in the exponent", TILE, "device::exp2_fast(device::multiply_add(score, scale_log2, -reference))",
        "device::exp2_fast(score - reference)"),
    bug("weights packed in the wrong order", TILE, "device::pack<T>(pair[i % 2 * 2], pair[i % 2 * 2 + 1])",
        "device::pack<T>(pair[i % 2 * 2 + 1], pair[i % 2 * 2])"),
    bug("output row off by one", TILE, "if (row >= params.queries) continue;", "if (row > params.queries) continue;"),
    bug("no swizzle", "kernels/device/fragment.h", "(chunk ^ (row >> (3 - kTwos) & ((1 << kTwos) - 1)))", "chunk"),
]

SUITES = {
    "attention": {"sources": ["tests/attention_kernel_test.cpp", "kernels/attention_plan.cpp"], "bugs": ATTENTION},
}
