#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "brume/pipeline/pipeline.h"

namespace brume {

class Pace;

/// How the UNet sees the pictures that are on their way together. Apart, a picture has the same bits whoever
/// its neighbours are; together, large machines are used better.
enum class RowCalls { kTogether, kApart };

/// A picture that has been denoised.
struct DenoisedRow {
  uint64_t ticket = 0;
  at::Tensor latents;                   // [1, C, h, w] fp32
  std::string failed_stage;             // where its numbers overflowed; empty where it is sound
  PictureInputs inputs = {};            // for its decoding
  std::vector<std::string> notes = {};  // beside those that its decoding leaves
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

  /// Takes in a picture of one seed, whose material is that of the same request. It must have the size of the
  /// pictures that are there.
  void join(uint64_t ticket, const Request& request, PictureMaterial material);
  size_t size() const { return rows_.size(); }

  /// One prediction for every row. Gives the rows that have ended with it, in the order they joined.
  std::vector<DenoisedRow> advance();
  /// Of all rows since the beginning.
  int64_t steps_done() const { return steps_done_; }
  /// Gives up the rows whose predictions still to come satisfy `hopeless`.
  void leave_if(const std::function<bool(int64_t calls_left)>& hopeless);

 private:
  class Row;
  /// Rows of the UNet that go through it in one call: groups of pictures' words, all of one length.
  struct Call {
    std::vector<std::pair<Row*, size_t>> groups;
    PreparedWords words;
  };

  void erase_if(const std::function<bool(const Row&)>& gone);
  std::vector<Call> calls() const;
  void predict(const Call& call) const;

  const Pipeline& pipeline_;
  RowCalls row_calls_;
  std::vector<std::unique_ptr<Row>> rows_;
  std::optional<std::vector<Call>> calls_;  // until a row joins, leaves or reads other words
  std::unique_ptr<Pace> pace_;
  int64_t steps_done_ = 0;
};

}  // namespace brume
