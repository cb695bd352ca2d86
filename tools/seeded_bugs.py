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
    bug("last column of values taken for the one before", TILE, "(row, kLast) * Tile::kChunk", "(row, kLast - 1) * Tile::kChunk"),
    bug("output not rescaled", KERNEL, "output.scale(shrink);\n", "\n"),
    bug("sum not rescaled", TILE, "device::multiply_add(sum[r][half], shrink[r][half], added)", "sum[r][half] + added"),
    bug("maximum over half of the row", TILE, "peak = device::maximum(peak, device::shuffle_xor(peak, 2));", ""),
    bug("sum over half of the row", TILE, "total += device::shuffle_xor(total, 2);", ""),
    bug("no guard against rows of -inf", TILE, "peak == -device::infinity() ? 0.0F : peak;", "peak;"),
    bug("scale forgotten in the exponent", TILE, "device::exp2_fast((score - reference) * scale_log2)", "device::exp2_fast(score - reference)"),
    bug("peak taken away after the scaling", TILE, "device::exp2_fast((largest[r][half] - reference) * scale_log2)",
        "device::exp2_fast(device::multiply_add(largest[r][half], scale_log2, -(reference * scale_log2)))"),
    bug("weights packed in the wrong order", TILE, "device::pack<T>(pair[i % 2 * 2], pair[i % 2 * 2 + 1])",
        "device::pack<T>(pair[i % 2 * 2 + 1], pair[i % 2 * 2])"),
    bug("output row off by one", TILE, "if (row >= params.queries) continue;", "if (row > params.queries) continue;"),
    bug("no swizzle", "kernels/device/fragment.h", "(chunk ^ (row >> (3 - kTwos) & ((1 << kTwos) - 1)))", "chunk"),
    bug("streamed: values read by the strides of the keys", KERNEL, "values(params.v, params.v_strides, params.keys);\n    const int first_query",
        "values(params.v, params.k_strides, params.keys);\n    const int first_query"),
    bug("resident: values read by the strides of the keys", KERNEL, "values(params.v, params.v_strides, params.keys);\n    const int tiles",
        "values(params.v, params.k_strides, params.keys);\n    const int tiles"),
    bug("heads of the output taken for tight", TILE, "device::block_y() * params.out_strides.head", "device::block_y() * Tile::kHeadDim"),
    bug("pictures of the output taken for tight", TILE, "device::block_z() * params.out_strides.picture",
        "device::block_z() * params.queries * params.out_strides.token"),
    bug("third picture taken for the second", TILE, "device::block_z() * strides.picture", "(device::block_z() < 2 ? device::block_z() : 1) * strides.picture"),
    bug("resident: no mask for one key less than a tile", KERNEL, "if (params.keys < Tile::kKeys) scores.mask", "if (params.keys < Tile::kKeys - 1) scores.mask"),
    bug("rows of -inf divided by zero", TILE, "total == 0 ? 0.0F : device::reciprocal_fast(total)", "device::reciprocal_fast(total)"),
]

NORM, COLUMN, MOMENTS = "kernels/group_norm_kernel.h", "kernels/group_norm_column.h", "kernels/moments.h"

# How blocks meet, and how the first of them leaves the meeting.
WAIT = "      global_wait(meeting + 1 + phase, static_cast<unsigned>(plan_.chunks));\n"
LEAVE = ("      if (block_x() == 0) {\n        store_global(meeting + 2 - phase, 0U);\n"
         "        store_global(meeting, 1 - phase);\n      }\n")

GROUP_NORM = [
    bug("no barrier before the statistics are read", NORM, "        settle(work);\n      }\n      block_barrier();", "        settle(work);\n      }"),
    bug("no barrier after the moments are shown", NORM, "      if (spans() == 2) show(high, 1);\n    }\n    block_barrier();", "      if (spans() == 2) show(high, 1);\n    }"),
    bug("second pass: no barrier", NORM, "    settle(work);\n    block_barrier();\n    for", "    settle(work);\n    for"),
    bug("first wait leaves one group too many on its way", NORM, "copy_async_wait<3>();", "copy_async_wait<4>();"),
    bug("last wait leaves a group on its way", NORM, "copy_async_wait<0>();", "copy_async_wait<1>();"),
    bug("meeting: no barrier before the arrival", NORM, "void meet(int job) const {\n    block_barrier();", "void meet(int job) const {"),
    bug("meeting: no barrier after the wait", NORM, "store_global(meeting, 1 - phase);\n      }\n    }\n    block_barrier();",
        "store_global(meeting, 1 - phase);\n      }\n    }"),
    bug("meeting: no wait", NORM, "global_wait(meeting + 1 + phase, static_cast<unsigned>(plan_.chunks));", ""),
    bug("meeting: phase changed before the wait", NORM, WAIT + LEAVE, LEAVE + WAIT),
    bug("meeting: the counter in use cleared", NORM, "store_global(meeting + 2 - phase, 0U);", "store_global(meeting + 1 + phase, 0U);"),
    bug("meeting: every block leaves it", NORM, "if (block_x() == 0) {\n        store_global(meeting", "if (true) {\n        store_global(meeting"),
    bug("meeting: arrival at the wrong slice's counter", NORM, "params_.workspace) + job * 4;", "params_.workspace) + job / 2 * 4;"),
    bug("partials of another chunk overwritten", NORM, "publish(work, block_x());\n        meet", "publish(work, block_x() / 2);\n        meet"),
    bug("groups meet without waiting for all", NORM, "static_cast<unsigned>(plan_.chunks));", "static_cast<unsigned>(plan_.chunks - 1));"),
    bug("meeting not left for the next launch", NORM, "store_global(meeting + 2 - phase, 0U);", ""),
    bug("pixels of the last chunk off by one", COLUMN, "const int pixels = smaller(plan.chunk_pixels, params.shape.pixels - first);",
        "const int pixels = smaller(plan.chunk_pixels, params.shape.pixels - first + 1);"),
    bug("groups of the last slice not cut", COLUMN, "smaller(plan.slice_groups, params.shape.groups - work.first_group)", "plan.slice_groups"),
    bug("second part read at the wrong channel", COLUMN, "(channel_ - (second ? params.parts[0].channels : 0))", "channel_"),
    bug("stride of the second part forgotten", COLUMN, "from_step_ = work.rows * part.pixel_stride;", "from_step_ = work.rows * params.parts[0].pixel_stride;"),
    bug("embedding not in the mean", COLUMN, "mean_[i] + added[i], squares_[i]}", "mean_[i], squares_[i]}"),
    bug("embedding not added to the values", NORM, "multiply_add(added[i] - mean, scale_[i]", "multiply_add(-mean, scale_[i]"),
    bug("vector over two groups taken for one", NORM, "if (column.split() < kVector) high", "if (false) high"),
    bug("eps forgotten", NORM, "reciprocal_root(variance + params_.eps)", "reciprocal_root(variance)"),
    bug("distance of the means forgotten", MOMENTS, "multiply_add(apart * apart * a.count, share, a.squares + b.squares)", "a.squares + b.squares"),
    bug("merge over half of the warp", MOMENTS, "mask = 16; mask > 0; mask /= 2) {\n    const Moments", "mask = 8; mask > 0; mask /= 2) {\n    const Moments"),
    bug("SiLU left out", NORM, "silu_ ? x * sigmoid(x) : x", "x"),
    bug("only as many chunks as lanes", NORM, "chunk < plan_.chunks; chunk += 32", "chunk < smaller(plan_.chunks, 32); chunk += 32"),
    bug("groups of the first warps alone", NORM, "group < work.groups; group += threads() / 32)\n      state", "group < smaller(work.groups, 1); group += threads() / 32)\n      state"),
    bug("embeddings taken for tight", COLUMN, "picture_ * params_.embedding_stride", "picture_ * params_.shape.channels"),
    bug("pictures of x taken for tight", COLUMN, "picture_ * part.picture_stride", "picture_ * params.shape.pixels * part.pixel_stride"),
    bug("pictures of y taken for tight", COLUMN, "picture_ * params.y_picture_stride", "picture_ * params.shape.pixels * params.y_pixel_stride"),
    bug("pixels of y by the stride of x", COLUMN, "to_step_(work.rows * params.y_pixel_stride)", "to_step_(work.rows * params.parts[0].pixel_stride)"),
    bug("one launch: y is scratch memory before x is read", NORM, "const GroupNormWork work = group_norm_work(params_, plan_, job, block_x());\n",
        "const GroupNormWork work = group_norm_work(params_, plan_, job, block_x());\n      for (int c = work.column; c < work.columns; c += work.width) {\n"
        "        const Column here(params_, work, c);\n        for (int i = 0; i < work.visits; ++i) here.store(i, Values{});\n      }\n"),
    bug("two passes: y is scratch memory of the first", NORM, "[&](int, const Values& values) { moments.add(values); }",
        "[&](int i, const Values& values) { moments.add(values); here.store(i, Values{}); }"),
    bug("one lane shows the wrong squares", NORM, "(place + 2 * threads()).store(mine.squares);", "(place + 2 * threads()).store(mine.mean);"),
]

LAYER, GEGLU = "kernels/layer_norm_kernel.h", "kernels/geglu_kernel.h"
STEP, WAVES, SILU = "kernels/guided_step_kernel.h", "kernels/timestep_embedding_kernel.h", "kernels/silu_kernel.h"
PLAN = "kernels/small_plan.cpp"

SMALL = [
    bug("layer norm: a row too many", LAYER, "if (row_ >= params_.rows) return;", "if (row_ > params_.rows) return;"),
    bug("layer norm: warps share a row's place", LAYER, "(warp() * ceil_div(vectors_, 32) * 32 + lane())", "(lane())"),
    bug("layer norm: mean over half of the warp", LAYER, "mask = 16; mask > 0", "mask = 8; mask > 0"),
    bug("layer norm: squares not centred", LAYER, "const float off = to_float(values[j]) - mean;", "const float off = to_float(values[j]);"),
    bug("layer norm: residual forgotten", LAYER, "if (residual) values[k] = plus(values[k], added[k]);", ""),
    bug("layer norm: sum not written", LAYER, "if (params_.sum.data != nullptr) store_global", "if (false) store_global"),
    bug("layer norm: eps forgotten", LAYER, "reciprocal_root(variance + params_.eps)", "reciprocal_root(variance)"),
    bug("layer norm: stride of x taken for the width", LAYER, "row_ * matrix.stride + i * kVector;\n  }\n  BRUME_DEVICE T*",
        "row_ * params_.width + i * kVector;\n  }\n  BRUME_DEVICE T*"),
    bug("layer norm: sum written by the stride of x", LAYER, "store_global(write_place(params_.sum, i)", "store_global(write_place({params_.sum.data, params_.x.stride}, i)"),
    bug("layer norm: residual read by the stride of x", LAYER, "place(params_.residual, i)", "place({params_.residual.data, params_.x.stride}, i)"),
    bug("layer norm: y written by the stride of x", LAYER, "store_global(write_place(params_.y, i)", "store_global(write_place({params_.y.data, params_.x.stride}, i)"),
    bug("layer norm: the sum taken again from x and the residual", LAYER, "const Values values = at(i).load();\n      const auto weight",
        "Values values = load_global<Values>(place(params_.x, i));\n      if (params_.residual.data != nullptr)\n"
        "        values = plus(values, load_global<Values>(place(params_.residual, i)));\n      const auto weight"),
    bug("layer norm: a plan for rows of nothing", PLAN, "if (params.rows < 1 || params.width < 1) return plan;", ""),
    bug("layer norm: no row is too long", PLAN, "return params.rows < 1 || params.width <= kLayerNormMostBytes / element_bytes;", "return true;"),
    bug("silu: y is scratch memory", SILU, "auto values = load_global", "store_global(static_cast<T*>(params.y) + first, Vector<T, kVector>{});\n  auto values = load_global"),
    bug("guided step: next is scratch memory", STEP, "auto latents = load_global", "store_global(params.next + first, Latents{});\n  auto latents = load_global"),
    bug("geglu: gate and value exchanged", GEGLU, "to_float(value[i]) * gelu(to_float(gate[i]))", "to_float(gate[i]) * gelu(to_float(value[i]))"),
    bug("geglu: gelu by its logistic approximation", GEGLU, "multiply_add(half, error_function(x * kRootHalf), half)",
        "x / (1.0F + exp2_fast(-2.4554F * x))"),
    bug("geglu: gate read in the wrong place", GEGLU, "from + params.width)", "from + params.width - kVector)"),
    bug("geglu: a vector too many", GEGLU, "if (index >= int64_t{params.rows} * columns) return;", "if (index > int64_t{params.rows} * columns) return;"),
    bug("guided step: guidance the wrong way round", STEP, "to_float(positive[i]) - without, without)", "without - to_float(positive[i]), without)"),
    bug("guided step: noise forgotten", STEP, "factors.noise * noise[i]", "0.0F"),
    bug("guided step: always the first row of the table", STEP, "params.table + load_global<int>(params.step)", "params.table"),
    bug("guided step: tail forgotten", STEP, "for (int64_t i = first; i < params.count; ++i) guided", "for (int64_t i = first; i < params.count - 1; ++i) guided"),
    bug("timestep embedding: orders exchanged", WAVES, "params.order == WaveOrder::kCosineFirst", "params.order == WaveOrder::kSineFirst"),
    bug("timestep embedding: shift forgotten", WAVES, "static_cast<float>(half) - params.freq_shift", "static_cast<float>(half)"),
    bug("timestep embedding: odd end not written", WAVES, "store_global(y + params.width - 1, from_float<T>(0));", ""),
    bug("timestep embedding: angle not reduced", WAVES, "reduced_angle(load_global<float>(params.values + row) * exponential(exponent))",
        "load_global<float>(params.values + row) * exponential(exponent) * 1.00001F"),
    bug("silu: tail beyond the end", SILU, "if (first + kVector <= params.count)", "if (first <= params.count)"),
    bug("silu: sign of the exponent", "kernels/moments.h", "exp2_fast(-kLog2E * x)", "exp2_fast(kLog2E * x)"),
]

ROWS = "kernels/softmax_rows_kernel.h"

WIDE = [
    bug("no barrier before the warps are joined", ROWS, "device::block_barrier();\n", ""),
    bug("rows of -inf divided by zero", ROWS, "sum == 0 ? 1.0F : device::reciprocal_fast(sum)", "device::reciprocal_fast(sum)"),
    bug("rows of -inf compared with themselves", ROWS, "if (sum == 0) largest = 0;", ""),
    bug("wide: values read by the strides of the keys", "kernels/attention_wide.cpp", "params.v_strides.token,", "params.k_strides.token,"),
    bug("wide: pictures of the values where the keys' are", "kernels/attention_wide.cpp", "picture * params.v_strides.picture", "picture * params.k_strides.picture"),
    bug("joined over half of the warp", ROWS, "mask = 16; mask > 0", "mask = 8; mask > 0"),
    bug("one warp forgotten", ROWS, "warp = 0; warp < kWarps", "warp = 1; warp < kWarps"),
    bug("sum not rescaled", ROWS, "sum * device::exp2_fast((largest - peak) * kLog2E)", "sum"),
    bug("no guard against rows of -inf", ROWS, "if (peak == -device::infinity()) return;", ""),
    bug("wrong row", ROWS, "static_cast<int64_t>(device::block_x()) * params.columns", "static_cast<int64_t>(device::block_x()) * (params.columns - 1)"),
    bug("a column too many", ROWS, "i < params.columns; i += kThreads) {\n", "i <= params.columns; i += kThreads) {\n"),
    bug("scores of the exponent not scaled", ROWS, "(device::load_global<float>(scores + i) - largest) * kLog2E", "device::load_global<float>(scores + i) - largest"),
    bug("wide: blocks walk over too many rows", "kernels/attention_wide.cpp", "std::min(block, shape.queries - first)", "block"),
    bug("wide: pictures not told apart", "kernels/attention_wide.cpp", "half_at(params.k, picture * params.k_strides.picture)", "half_at(params.k, 0)"),
    bug("wide: scale forgotten", "kernels/attention_wide.cpp", "params.scale_log2 * kLn2", "params.scale_log2"),
]

HKERNEL, HTILE = "kernels/attention_hopper_kernel.h", "kernels/attention_hopper_tile.h"
HMAPS = "kernels/attention_hopper_instances.h"

HOPPER = [
    bug("no barrier after the barriers are made", HKERNEL, "memory.init_barriers();\n    device::block_barrier();", "memory.init_barriers();"),
    bug("no fence after the barriers are made", HTILE, "    device::fence_async_proxy();\n", ""),
    bug("stage filled before it is empty", HKERNEL,
        "device::mbarrier_wait(values.value ? memory.values_empty(stage) : memory.keys_empty(stage), parity);", ""),
    bug("parity of empty stages the wrong way round", HKERNEL, "const int parity = 1 - tile / Tile::kStages % 2;", "const int parity = tile / Tile::kStages % 2;"),
    bug("scores of keys that are not here", HKERNEL, "device::mbarrier_wait(memory.keys_full(0), 0);", ""),
    bug("queries that are not here", HKERNEL, "device::mbarrier_wait(memory.queries_full(), 0);", ""),
    bug("values that are not here", HKERNEL, "device::mbarrier_wait(memory.values_full(before), (tile - 1) / Tile::kStages % 2);", ""),
    bug("scores read before their products end", HKERNEL, "device::group_wait<1>(rows.scores);", "device::group_wait<2>(rows.scores);"),
    bug("output scaled before its products end", HKERNEL, "device::group_wait<0>(rows.output);\n      release", "release"),
    bug("values released too early", HKERNEL, "device::group_wait<0>(rows.output);\n      release(memory.values_empty(before));",
        "release(memory.values_empty(before));\n      device::group_wait<0>(rows.output);"),
    bug("keys never released", HKERNEL, "release(memory.keys_empty(stage));\n      take", "take"),
    bug("a warp too few to release a stage", HTILE, "device::mbarrier_init(keys_empty(stage), 4 * Tile::kConsumers);",
        "device::mbarrier_init(keys_empty(stage), 4 * Tile::kConsumers - 1);"),
    bug("fewer bytes expected than come", HKERNEL, "device::mbarrier_arrive_expect(full, Tile::kKeyBytes);", "device::mbarrier_arrive_expect(full, Tile::kKeyBytes - 16);"),
    bug("a producer that keeps more registers than there are", HKERNEL, "kProducerRegisters = 24", "kProducerRegisters = 32"),
    bug("turns never passed", HTILE, "if (--left_ > 0 || group_ == 0) device::named_arrive", "if (--left_ > 0 && group_ == 0) device::named_arrive"),
    bug("no fence before the products", HTILE, "device::pin_registers(output);\n    device::group_fence();", "device::pin_registers(output);"),
    bug("first step adds to what is there", HTILE, "step > 0);", "1);"),
    bug("wrong stride of the panels", HTILE, "panel * Tile::kPanelStride + inside),\n          device", "panel * Tile::kRowsStride + inside),\n          device"),
    bug("values walked over in the wrong steps", HTILE, "step * 16 * Tile::kRowBytes), 1);", "step * 8 * Tile::kRowBytes), 1);"),
    bug("wrong swizzle", HTILE, ": kRowBytes == 64 ? device::Swizzle::k64", ": kRowBytes == 64 ? device::Swizzle::k128"),
    bug("mask off by one", HTILE, "if (key >= count) scores", "if (key > count) scores"),
    bug("output not rescaled", HKERNEL, "rows.scale_output(shrink);", ""),
    bug("sum not rescaled", HTILE, "device::multiply_add(sum[half], shrink[half], added)", "sum[half] + added"),
    bug("maximum over half of the row", HTILE, "peak = device::maximum(peak, device::shuffle_xor(peak, 2));", ""),
    bug("no guard against rows of -inf", HTILE, "peak == -device::infinity() ? 0.0F : peak;", "peak;"),
    bug("output row off by one", HTILE, "if (row >= queries) continue;", "if (row > queries) continue;"),
    bug("values read by the strides of the keys", HMAPS, "(params.v, params.v_strides,", "(params.v, params.k_strides,"),
    bug("heads of the output taken for tight", HKERNEL, "device::block_y() * params.out_strides.head", "device::block_y() * Tile::kHeadDim"),
    bug("pictures of the output taken for tight", HKERNEL, "device::block_z() * params.out_strides.picture",
        "device::block_z() * params.queries * params.out_strides.token"),
    bug("third picture taken for the second at head_dim 64", HKERNEL, "row, device::block_z()}",
        "row, Tile::kHeadDim == 64 && device::block_z() == 2 ? 1 : device::block_z()}"),
    bug("rows of -inf divided by zero", HTILE, "total == 0 ? 0.0F : device::reciprocal_fast(total)", "device::reciprocal_fast(total)"),
    bug("weights packed in the wrong order", HTILE, "device::pack<T>(scores[8 * step + 2 * i], scores[8 * step + 2 * i + 1])",
        "device::pack<T>(scores[8 * step + 2 * i + 1], scores[8 * step + 2 * i])"),
]

SUITES = {
    "attention": {"sources": ["tests/attention_kernel_test.cpp", "tests/machine/host_attention.cpp",
                              "kernels/attention_plan.cpp"], "bugs": ATTENTION},
    "hopper": {"sources": ["tests/attention_hopper_test.cpp", "tests/machine/host_hopper.cpp", "kernels/attention_plan.cpp",
                           "kernels/attention_hopper_plan.cpp"], "bugs": HOPPER},
    "group_norm": {"sources": ["tests/group_norm_kernel_test.cpp", "tests/machine/host_group_norm.cpp",
                               "kernels/group_norm_plan.cpp"], "bugs": GROUP_NORM},
    "small": {"sources": ["tests/small_kernels_test.cpp", "tests/machine/host_small.cpp", "kernels/small_plan.cpp"], "bugs": SMALL},
    "wide": {"sources": ["tests/attention_wide_test.cpp", "tests/machine/host_wide.cpp", "kernels/attention_wide.cpp"],
             "bugs": WIDE},
}
