#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "brume/pipeline/pipeline.h"

namespace brume {

/// How the UNet sees the pictures that are on their way together. Apart, a picture has the same bits whoever
/// its neighbours are; together, large machines are used better.
enum class RowCalls { kTogether, kApart };

/// A picture that has been denoised.
struct DenoisedRow {
  uint64_t ticket = 0;
  at::Tensor latents;        // [1, C, h, w] fp32
  std::string failed_stage;  // where its numbers overflowed; empty where it is sound
};

/// Pictures of one size on their way through the UNet, each with its own words, sampler, guidance and number
/// of steps. They join and leave at any step, as requests do in "Orca: A Distributed Serving System for
/// Transformer-Based Generative Models" (Yu et al., OSDI 2022): no picture waits for the end of another.
/// To be used from one thread.
class DenoisingRows {
 public:
  /// `pipeline` must outlive the rows.
  DenoisingRows(const Pipeline& pipeline, RowCalls calls);
  ~DenoisingRows();

  /// Takes in a picture of one seed, whose words are Pipeline::words of the same request. It must have the
  /// size of the pictures that are there.
  void join(uint64_t ticket, const Request& request, Conditioning words);
  size_t size() const { return rows_.size(); }

  /// One prediction for every row. Gives the rows that have ended with it, in the order they joined.
  std::vector<DenoisedRow> advance();
  /// Of all rows since the beginning.
  int64_t steps_done() const { return steps_done_; }
  /// Gives up the rows whose predictions still to come satisfy `hopeless`.
  void leave_if(const std::function<bool(int64_t calls_left)>& hopeless);

 private:
  class Row;

  void erase_if(const std::function<bool(const Row&)>& gone);
  void predict(const std::vector<Row*>& rows, const PreparedWords& words) const;

  const Pipeline& pipeline_;
  RowCalls calls_;
  std::vector<std::unique_ptr<Row>> rows_;
  std::optional<PreparedWords> together_;  // of all rows, until one joins or leaves
  int64_t steps_done_ = 0;
};

}  // namespace brume
