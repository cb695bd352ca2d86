#include <ATen/Parallel.h>
#include <ATen/Version.h>

#include <chrono>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <utility>
#include <variant>

#include "adapter_options.h"
#include "bench_progress.h"
#include "brume/base/dtype.h"
#include "brume/base/error.h"
#include "brume/base/file.h"
#include "brume/base/shortest_number.h"
#include "brume/base/threads.h"
#include "brume/bench/machine.h"
#include "brume/pipeline/memory.h"
#include "brume/pipeline/request_recipe.h"
#include "commands.h"
#include "engine_choices.h"
#include "engine_commands.h"
#include "notes.h"
#include "open_pipeline.h"
#include "say.h"
#include "shipped.h"
#include "signals.h"
#include "standard_output.h"
#include "usage_line.h"

namespace brume::cli {

namespace {

using Clock = std::chrono::steady_clock;

constexpr uint64_t kFirstSeed = 42;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

ModelConfig model_of(const BenchOptions& options) {
  if (options.arch)
    return ModelConfig(shipped_model("architectures/" + *options.arch), {.origin = WeightsOrigin::kRandom});
  return open_model(options.engine);
}

Request request_of(const BenchOptions& options, const ModelConfig& model) {
  if (model.task() != ModelTask::kDraw)
    throw Error(ExitCode::kUsage, "-m " + model.source().path().string(),
                "draws from pictures; brume bench draws from words alone", "name a text-to-image model");
  PictureSettings settings = options.picture;
  if (!settings.prompt) settings.prompt = "a photograph of an astronaut riding a horse";
  std::vector<uint64_t> seeds;
  for (int64_t i = 0; i < options.batch_size; ++i) seeds.push_back(kFirstSeed + static_cast<uint64_t>(i));
  return model.resolve(settings, std::move(seeds));
}

/// What of the request not every one uses, and changes the work: what the noise is made of does not.
std::map<std::string, std::string> options_of(const Request& request, const EngineOptions& engine) {
  const RecipeSampling sampling = recipe_of(request, kFirstSeed, {}).sampling;
  std::map<std::string, std::string> options;
  for (const RecipeOption& one : sampling.options) {
    const auto* number = std::get_if<double>(&one.value);
    if (one.name != "rng")
      options[one.name] = number != nullptr ? shortest_number(*number) : std::get<std::string>(one.value);
  }
  if (!sampling.scheduler.empty()) options["scheduler"] = sampling.scheduler;
  if (sampling.cfg_rescale > 0) options["cfg_rescale"] = shortest_number(sampling.cfg_rescale);
  if (request.decode == DecodeMode::kTiled) options["vae_tiling"] = "true";
  if (request.clip_skip > 1) options["clip_skip"] = std::to_string(request.clip_skip);
  options.merge(component_names(engine));
  return options;
}

bench::Workload workload_of(const BenchOptions& options, const Compute& compute, const ModelConfig& model,
                            const Request& request) {
  return {.arch = options.arch.value_or(model.source().name()),
          .weights = options.arch ? "random" : "model",
          .width = request.width,
          .height = request.height,
          .batch_size = options.batch_size,
          .steps = request.sampling.steps,
          .sampler = std::string(sampler_name(request.sampling.sampler)),
          .cfg_scale = request.guidance.scale,
          .dtype = std::string(dtype_name(compute.dtype)),
          .device = compute.gpu ? "cuda" : "cpu",
          .options = options_of(request, options.engine)};
}

/// A model that cannot fit is refused before it is read: the system would kill us half-way.
void check_weights_fit(const ModelConfig& model, const Compute& compute, const std::string& name) {
  constexpr double kGibibyte = 1024.0 * 1024 * 1024;
  const double wanted = bench::weight_bytes(model, compute.estimate_dtype());
  const std::optional<double> free = compute.free_memory();
  if (!free || wanted < *free) return;
  std::string problem(160, '\0');
  problem.resize(static_cast<size_t>(
      std::snprintf(problem.data(), problem.size(), "its weights need %.1f GiB as %s, %.1f GiB are free",
                    wanted / kGibibyte, std::string(dtype_name(compute.dtype)).c_str(), *free / kGibibyte)));
  throw Error(ExitCode::kOutOfMemory, name, problem, "use --dtype bf16 or a smaller model");
}

ExitCode code_of(bench::Verdict verdict) {
  if (verdict == bench::Verdict::kUndecided) return ExitCode::kUndecided;
  return verdict == bench::Verdict::kPassed ? ExitCode::kDone : ExitCode::kItemsFailed;
}

/// On one line, where there are any.
void say_all(const std::vector<std::string>& parts) {
  std::string line;
  for (const std::string& part : parts) line += (line.empty() ? "" : "; ") + part;
  if (!line.empty()) say(line);
}

class Stopper : public Observer {
 public:
  bool stop_requested() override { return stop_signal() != 0; }
};

/// One command's work, from its options to its exit code.
class Bench {
 public:
  explicit Bench(const BenchOptions& options)
      : options_(options),
        compute_(open_compute(options.engine)),
        model_(model_of(options)),
        request_(request_of(options, model_)) {
    embed(model_, options.engine.embeddings);
    adapt(model_, adapters_of(options.engine.adapters, request_), options.engine.adapters);
    model_.check_fit(request_);
    model_.check_pictures(request_);
    model_.check_memory(request_, compute_.estimate_dtype(), compute_.free_memory());
    report_.result.workload = workload_of(options, compute_, model_, request_);
    if (options.profile && compute_.gpu)
      refuse("--profile", "takes the processor's time, which says nothing of a GPU",
             "use --device cpu, or ncu");
    report_.limits = options.error_limits;
    if (options.baseline) {
      baseline_ = bench::Baseline::read(*options.baseline);
      check_before_loading(*baseline_);
    }
    check_weights_fit(model_, compute_, report_.result.workload.arch);
    if (options.error_limits.any()) check_weights_fit(model_, exact_, "the fp32 reference");
    const double work = model_.step_work(request_.width, request_.height);
    use_threads(threads_for(options.engine, work * static_cast<double>(options.batch_size)));
  }

  int run() {
    const PoliteStop polite;
    measure();
    if (stop_signal() == 0 && options_.error_limits.any() && report_.result.failed_stage.empty())
      compare_with_fp32();
    if (stop_signal() != 0) return stopped();
    if (baseline_)
      report_.comparison = bench::compare(report_.result, *baseline_, options_.max_regress.value_or(0.03));
    if (!publish()) return stopped();
    return static_cast<int>(code_of(report_.verdict()));
  }

 private:
  void note(const std::string& line) const {
    if (options_.engine.verbose) say(line);
  }

  void measure() {
    bench::Result& result = report_.result;
    result.machine = {.version = version_name(),
                      .device_name = compute_.gpu ? compute_.gpu->properties().name : bench::processor_name(),
                      .threads = at::get_num_threads(),
                      .instruction_set = at::get_cpu_capability()};
    note(options_.arch ? "drawing random weights" : "loading " + model_.source().path().string());
    const Clock::time_point start = Clock::now();
    const Pipeline pipeline = open_pipeline(model_, compute_);
    result.load_seconds = seconds_since(start);
    Observer unseen;
    const PictureWords words = pipeline.words(request_, unseen);
    take_words(words);
    result.conditions.peak_before = measured_peak();
    const bench::MachineWatch watch;
    bench::Rounds rounds = draw(pipeline, options_.limits);
    result.conditions.waited_share = watch.waited_share();
    result.conditions.throttle_events = watch.throttle_events();
    result.conditions.peak_after = measured_peak();
    result.peak_memory_bytes = compute_.peak_memory();
    if (rounds.stopped) return;
    bench::count_work(model_, request_, words, rounds);
    if (options_.profile) result.profile = profile_of(pipeline);
    take(std::move(rounds));
  }

  /// How many tokens the UNet reads is not known yet: as many as the baseline's read.
  void check_before_loading(const bench::Baseline& baseline) const {
    bench::Workload known = report_.result.workload;
    const auto& theirs = baseline.workload.options;
    if (const auto tokens = theirs.find(bench::kTokensOption); tokens != theirs.end())
      known.options.insert(*tokens);
    baseline.check_comparable(known);
  }

  /// How many tokens the UNet reads is known by the model's tokenizers alone.
  void take_words(const PictureWords& words) {
    report_.result.workload.options.merge(bench::word_options(model_, request_, words));
    if (baseline_) baseline_->check_comparable(report_.result.workload);
  }

  double measured_peak() const { return bench::measured_peak(compute_.dtype, compute_.gpu.get()); }

  /// Of a round of its own: taking the time of every operation costs some.
  std::vector<bench::Operation> profile_of(const Pipeline& pipeline) const {
    Stopper stopper;
    const bench::Profiler profiler;
    pipeline.generate(request_, stopper);
    return profiler.operations();
  }

  bench::Rounds draw(const Pipeline& pipeline, const bench::Limits& limits) const {
    BenchProgress line;
    return bench::draw_rounds(pipeline, request_, limits, [&line](const bench::RoundsProgress& progress) {
      line.show(progress);
      return stop_signal() == 0;
    });
  }

  void take(bench::Rounds rounds) {
    bench::Result& result = report_.result;
    result.text = std::move(rounds.text);
    result.step = std::move(rounds.step);
    result.decode = std::move(rounds.decode);
    result.rounds = std::move(rounds.seconds);
    result.converged = rounds.converged;
    result.failed_stage = std::move(rounds.failed_stage);
    result.repeatable = rounds.repeatable;
    pictures_ = std::move(rounds.pictures);
  }

  /// The reference draws each picture alone, so that neither the dtype nor the neighbours can hide.
  void compare_with_fp32() {
    note("drawing the pictures in fp32");
    const Pipeline exact = open_pipeline(model_, exact_);
    bench::PictureError error;
    for (size_t i = 0; i < pictures_.size(); ++i) {
      Request one = request_;
      one.seeds = {request_.seeds[i]};
      const std::optional<Picture> reference = draw_one(exact, one);
      if (stop_signal() != 0) return;
      if (!reference)
        throw Error(ExitCode::kItemsFailed, "the fp32 reference", "its numbers overflowed",
                    "compare at a smaller --cfg-scale");
      error.add(pictures_[i], *reference);
    }
    report_.error = error;
  }

  static std::optional<Picture> draw_one(const Pipeline& pipeline, const Request& request) {
    Stopper stopper;
    const Generation drawn = pipeline.generate(request, stopper);
    return drawn.pictures.empty() ? std::nullopt : drawn.pictures.front().picture;
  }

  static int stopped() {
    say("stopped by signal " + std::to_string(stop_signal()) + "; nothing is reported");
    return signal_exit_code(stop_signal());
  }

  /// False where a stop came, and nobody read it.
  bool publish() const {
    // First what needs no place: a page that cannot be written takes nothing with it.
    if (!(options_.json ? print_json(bench::to_json(report_)) : print_text(bench::to_table(report_))))
      return false;
    if (options_.html) {
      const std::string page = bench::to_html(report_);
      write_file_atomically(*options_.html, std::as_bytes(std::span(page)));
    }
    say_all(report_.failures());
    if (report_.verdict() == bench::Verdict::kUndecided) say_all(report_.doubts());
    return true;
  }

  const BenchOptions& options_;
  Compute compute_;
  Compute exact_{at::kFloat, "cpu", nullptr};
  ModelConfig model_;
  Request request_;
  std::optional<bench::Baseline> baseline_;
  bench::Report report_;
  std::vector<Picture> pictures_;
};

}  // namespace

int run_command(const BenchOptions& options) { return Bench(options).run(); }

}  // namespace brume::cli
