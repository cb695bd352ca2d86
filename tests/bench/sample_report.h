#pragma once
#include "brume/bench/report.h"

namespace brume::bench {

/// A made-up result: steps of 100 ms in a batch of two, rounds of 2.5 s.
inline Report sample_report() {
  Report report;
  Result& result = report.result;
  result.workload = {.arch = "sd15",
                     .weights = "random",
                     .width = 512,
                     .height = 512,
                     .batch_size = 2,
                     .steps = 20,
                     .sampler = "ddim",
                     .cfg_scale = 7,
                     .dtype = "fp32",
                     .device = "cpu",
                     .options = {{"pag_scale", "3"}}};
  result.machine = {
      .version = "brume 0.1.0", .device_name = "A <fast> CPU", .threads = 2, .instruction_set = "AVX512"};
  result.text = {std::vector<double>(10, 0.02), 1, 1e9};
  result.step = {std::vector<double>(200, 0.1), 20, 20e9};
  result.decode = {std::vector<double>(10, 0.2), 1, std::nullopt};
  result.rounds = std::vector<double>(10, 2.5);
  result.load_seconds = 1.5;
  result.peak_memory_bytes = int64_t{3} << 30;
  result.conditions = {
      .peak_before = 400e9, .peak_after = 398e9, .waited_share = 0.001, .throttle_events = 0};
  result.converged = true;
  return report;
}

}  // namespace brume::bench
