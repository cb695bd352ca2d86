#include "brume/pipeline/denoising_rows.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <exception>
#include <map>
#include <utility>

#include "brume/base/fiber.h"
#include "brume/base/noise.h"
#include "finite.h"
#include "pace.h"
#include "with_room.h"

namespace brume {

namespace {

// A sampler's step, with what ATen needs below it; on a GPU also the driver, which may load a kernel there.
constexpr size_t kStackBytes = size_t{512} << 10;
constexpr size_t kGpuStackBytes = size_t{8} << 20;

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
  const auto changes = [](const PreparedWords* row) { return !row->changes.empty(); };
  if (std::none_of(rows.begin(), rows.end(), changes)) return words;
  for (const PreparedWords* row : rows) {
    std::vector<RowChange> of_row = row->changes;  // of a row without any as many that change nothing
    of_row.resize(static_cast<size_t>(row->keys_values.front().size(0)));
    words.changes.insert(words.changes.end(), of_row.begin(), of_row.end());
  }
  return words;
}

}  // namespace

/// The sampler is an ordinary loop that calls for a prediction; it runs on a stack of its own, and stands
/// still in that call until the UNet has answered all rows at once.
class DenoisingRows::Row {
 public:
  Row(const Pipeline& pipeline, uint64_t ticket, const Request& request, PictureMaterial material)
      : pipeline_(pipeline),
        request_(request),
        words_(pipeline, request, std::move(material.words)),
        inputs_(std::move(material.inputs)),
        predictions_(words_.rows()),
        noise_({request.seeds.front()}, request.rng),
        fiber_([this] { run(); }, pipeline.gpu() != nullptr ? kGpuStackBytes : kStackBytes) {
    result_.ticket = ticket;
    resume();
  }

  bool ended() const { return fiber_.ended(); }
  int64_t steps() const { return steps_; }
  int64_t calls_left() const { return network_calls(request_.sampling) - calls_; }
  const std::vector<WordGroup>& groups() const { return words_.groups(); }
  at::Tensor times(size_t group) { return words_.times(words_.groups()[group], level_.timestep); }
  /// What the prediction is wanted for. [rows of the group, in_channels, h, w]
  at::Tensor input(const WordGroup& group) const { return words_.input(group, latents_); }

  /// What the UNet has for one of the groups. [rows of the group, C, h, w]
  void take(const WordGroup& group, const at::Tensor& prediction) {
    for (size_t i = 0; i < group.rows.size(); ++i)
      predictions_[group.rows[i]] = prediction.narrow(0, static_cast<int64_t>(i), 1);
  }
  /// All groups are there: runs the sampler to its next call, or its end. True where it reads other words
  /// there.
  bool answer() {
    output_ = words_.output(predictions_, latents_, level_);
    ++calls_;
    resume();
    return !ended() && words_.move_to(steps_);  // here, not on the sampler's small stack
  }
  void note(const char* note) { add_note(result_.notes, note); }
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
    FiniteCheck finite(1, pipeline_.gpu());
    for (const Conditioning& text : words_.words().texts) {
      finite.look_at_shared(text.context, "text embedding");
      if (text.pooled.defined()) finite.look_at_shared(text.pooled, "pooled text embedding");
    }
    const auto noise = [this] {
      return pipeline_.placed(noise_.normal(pipeline_.model().latent_sizes(request_)));
    };
    const auto denoise = [this](const at::Tensor& latents, const NoiseLevel& level) {
      latents_ = latents;
      level_ = level;
      fiber_.pause();
      return std::exchange(output_, {});
    };
    const auto observe = [&](int64_t step, const at::Tensor& latents) {
      steps_ = step + 1;
      finite.look(latents, "latents after step " + std::to_string(steps_));
      return !finite.all_failed();
    };
    const PictureStart begun = pipeline_.start(request_, inputs_, noise_);
    words_.set_beside(begun.beside);
    at::Tensor latents =
        sample(pipeline_.model().schedule(), request_.sampling, begun.beginning, denoise, noise, observe);
    result_.failed_stage = finite.failed_stage(0);
    result_.inputs = std::move(inputs_);
    return latents;
  }

  const Pipeline& pipeline_;
  Request request_;
  WordsInTime words_;
  PictureInputs inputs_;
  std::vector<at::Tensor> predictions_;  // of each of its rows of the UNet
  Noise noise_;
  at::Tensor latents_;
  NetworkOutput output_;
  NoiseLevel level_{};
  int64_t steps_ = 0;
  int64_t calls_ = 0;  // of the network
  DenoisedRow result_;
  std::exception_ptr failure_;
  Fiber fiber_;  // the last: it is unwound while the others still stand
};

DenoisingRows::DenoisingRows(const Pipeline& pipeline, RowCalls calls)
    : pipeline_(pipeline), row_calls_(calls), pace_(std::make_unique<Pace>(pipeline.gpu())) {}
DenoisingRows::~DenoisingRows() = default;

void DenoisingRows::join(uint64_t ticket, const Request& request, PictureMaterial material) {
  const c10::InferenceMode guard;
  rows_.push_back(std::make_unique<Row>(pipeline_, ticket, request, std::move(material)));
  calls_.reset();
}

std::vector<DenoisedRow> DenoisingRows::advance() {
  const c10::InferenceMode guard;
  if (!calls_) calls_ = calls();
  for (const Call& call : *calls_) predict(call);
  pace_->step();
  for (const std::unique_ptr<Row>& row : rows_) {
    steps_done_ -= row->steps();
    if (row->answer()) calls_.reset();
    steps_done_ += row->steps();
  }
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
  if (std::erase_if(rows_, [&](const std::unique_ptr<Row>& row) { return gone(*row); }) > 0) calls_.reset();
}

/// Apart, a call for every group; together, one for all groups of words of one length.
std::vector<DenoisingRows::Call> DenoisingRows::calls() const {
  std::vector<Call> calls;
  std::map<int64_t, size_t> by_length;  // the call of a number of tokens
  for (const std::unique_ptr<Row>& row : rows_) {
    for (size_t i = 0; i < row->groups().size(); ++i) {
      const int64_t tokens = row->groups()[i].conditioning.context.size(1);
      const auto [place, is_new] = by_length.emplace(tokens, calls.size());
      if (!is_new && row_calls_ == RowCalls::kTogether) {
        calls[place->second].groups.emplace_back(row.get(), i);
      } else {
        calls.push_back({{{row.get(), i}}, {}});
      }
    }
  }
  for (Call& call : calls) {
    std::vector<const PreparedWords*> words;
    words.reserve(call.groups.size());
    for (const auto& [row, i] : call.groups) words.push_back(&row->groups()[i].words);
    call.words = words.size() == 1 ? *words.front() : joined(words);
  }
  return calls;
}

void DenoisingRows::predict(const Call& call) const {
  std::vector<at::Tensor> inputs;
  std::vector<at::Tensor> times;
  for (const auto& [row, i] : call.groups) {
    const WordGroup& group = row->groups()[i];
    inputs.push_back(row->input(group));
    times.push_back(row->times(i));
  }
  const PredictedRows predicted = pipeline_.predict(at::cat(inputs), at::cat(times), call.words);
  int64_t first = 0;
  for (const auto& [row, i] : call.groups) {
    const WordGroup& group = row->groups()[i];
    const auto count = static_cast<int64_t>(group.rows.size());
    row->take(group, predicted.prediction.narrow(0, first, count));
    if (predicted.in_parts) row->note(kSmallerBatchNote);
    first += count;
  }
}

}  // namespace brume
