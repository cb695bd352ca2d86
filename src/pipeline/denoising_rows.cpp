#include "brume/pipeline/denoising_rows.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <exception>
#include <utility>

#include "brume/base/fiber.h"
#include "brume/base/noise.h"
#include "finite.h"

namespace brume {

namespace {

constexpr size_t kStackBytes = size_t{512} << 10;  // a sampler's step, with what ATen needs below it

PreparedWords joined(const std::vector<const PreparedWords*>& rows) {
  const auto all = [&](const auto& part) {
    std::vector<at::Tensor> parts;
    parts.reserve(rows.size());
    for (const PreparedWords* row : rows) parts.push_back(part(*row));
    return at::cat(parts);
  };
  PreparedWords words;
  for (size_t i = 0; i < rows.front()->keys_values.size(); ++i)
    words.keys_values.push_back(all([i](const PreparedWords& row) { return row.keys_values[i]; }));
  if (rows.front()->added.defined()) words.added = all([](const PreparedWords& row) { return row.added; });
  return words;
}

}  // namespace

/// The sampler is an ordinary loop that calls for a prediction; it runs on a stack of its own, and stands
/// still in that call until the UNet has answered all rows at once.
class DenoisingRows::Row {
 public:
  Row(const Pipeline& pipeline, uint64_t ticket, const Request& request, Conditioning words)
      : pipeline_(pipeline),
        request_(request),
        words_(std::move(words)),
        prepared_(pipeline.prepare(words_)),
        noise_({request.seeds.front()}),
        fiber_([this] { run(); }, kStackBytes) {
    result_.ticket = ticket;
    resume();
  }

  bool ended() const { return fiber_.ended(); }
  int64_t steps() const { return steps_; }
  int64_t calls_left() const { return network_calls(request_.sampling) - calls_; }
  bool guided() const { return request_.guidance.active(); }
  const PreparedWords& words() const { return prepared_; }
  /// What the prediction is wanted for. [1, C, h, w]
  const at::Tensor& latents() const { return latents_; }
  double timestep() const { return timestep_; }

  /// `prediction` [1 or 2, C, h, w], the negative half first. Runs the sampler to its next call, or its end.
  void answer(const at::Tensor& prediction) {
    const at::Tensor first = prediction.narrow(0, 0, 1);
    const at::Tensor all = guided() ? guide(first, prediction.narrow(0, 1, 1), request_.guidance) : first;
    output_ = {all, first};
    ++calls_;
    resume();
  }
  DenoisedRow take_result() { return std::move(result_); }

 private:
  void resume() {
    fiber_.resume();
    if (failure_) std::rethrow_exception(failure_);
  }

  void run() {
    try {
      result_.latents = sample_all();
    } catch (const std::exception&) {
      failure_ = std::current_exception();  // it cannot leave this stack
    }
  }

  at::Tensor sample_all() {
    FiniteCheck finite(1);
    finite.look_at_shared(words_.context, "text embedding");
    if (words_.pooled.defined()) finite.look_at_shared(words_.pooled, "pooled text embedding");
    const auto noise = [this] { return noise_.normal(pipeline_.model().latent_sizes(request_)); };
    const auto denoise = [this](const at::Tensor& latents, double timestep) {
      latents_ = latents;
      timestep_ = timestep;
      fiber_.pause();
      return std::exchange(output_, {});
    };
    const auto observe = [&](int64_t step, const at::Tensor& latents) {
      steps_ = step + 1;
      finite.look(latents, "latents after step " + std::to_string(steps_));
      return !finite.all_failed();
    };
    at::Tensor latents =
        sample(pipeline_.model().schedule(), request_.sampling, noise(), denoise, noise, observe);
    result_.failed_stage = finite.failed_stage(0);
    return latents;
  }

  const Pipeline& pipeline_;
  Request request_;
  Conditioning words_;
  PreparedWords prepared_;
  Noise noise_;
  at::Tensor latents_;
  NetworkOutput output_;
  double timestep_ = 0;
  int64_t steps_ = 0;
  int64_t calls_ = 0;  // of the network
  DenoisedRow result_;
  std::exception_ptr failure_;
  Fiber fiber_;  // the last: it is unwound while the others still stand
};

DenoisingRows::DenoisingRows(const Pipeline& pipeline, RowCalls calls) : pipeline_(pipeline), calls_(calls) {}
DenoisingRows::~DenoisingRows() = default;

void DenoisingRows::join(uint64_t ticket, const Request& request, Conditioning words) {
  const c10::InferenceMode guard;
  rows_.push_back(std::make_unique<Row>(pipeline_, ticket, request, std::move(words)));
  together_.reset();
}

std::vector<DenoisedRow> DenoisingRows::advance() {
  const c10::InferenceMode guard;
  std::vector<Row*> all;
  for (const std::unique_ptr<Row>& row : rows_) all.push_back(row.get());
  for (const Row* row : all) steps_done_ -= row->steps();
  if (calls_ == RowCalls::kTogether && all.size() > 1) {
    if (!together_) {
      std::vector<const PreparedWords*> words;
      words.reserve(all.size());
      for (const Row* row : all) words.push_back(&row->words());
      together_ = joined(words);
    }
    predict(all, *together_);
  } else {
    for (Row* row : all) predict({row}, row->words());
  }
  for (const Row* row : all) steps_done_ += row->steps();
  std::vector<DenoisedRow> ended;
  for (const std::unique_ptr<Row>& row : rows_) {
    if (row->ended()) ended.push_back(row->take_result());
  }
  erase_if([](const Row& row) { return row.ended(); });
  return ended;
}

void DenoisingRows::leave_if(const std::function<bool(int64_t calls_left)>& hopeless) {
  erase_if([&](const Row& row) { return hopeless(row.calls_left()); });
}

void DenoisingRows::erase_if(const std::function<bool(const Row&)>& gone) {
  if (std::erase_if(rows_, [&](const std::unique_ptr<Row>& row) { return gone(*row); }) > 0)
    together_.reset();
}

void DenoisingRows::predict(const std::vector<Row*>& rows, const PreparedWords& words) const {
  std::vector<at::Tensor> latents;
  std::vector<float> timesteps;
  for (const Row* row : rows) {
    for (int half = 0; half < (row->guided() ? 2 : 1); ++half) {
      latents.push_back(row->latents());
      timesteps.push_back(static_cast<float>(row->timestep()));
    }
  }
  const at::Tensor prediction = pipeline_.predict(at::cat(latents), at::tensor(timesteps), words);
  int64_t first = 0;
  for (Row* row : rows) {
    const int64_t count = row->guided() ? 2 : 1;
    row->answer(prediction.narrow(0, first, count));
    first += count;
  }
}

}  // namespace brume
