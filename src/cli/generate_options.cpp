#include "generate_options.h"

#include <limits>
#include <random>

#include "brume/base/error.h"
#include "picture_files.h"
#include "values.h"

namespace brume::cli {

namespace {

constexpr int64_t kUsualSeed = 42;
constexpr int64_t kMostPictures = 1'000'000;

[[noreturn]] void refuse(const std::string& option, const std::string& problem, const std::string& remedy) {
  throw Error(ExitCode::kUsage, option, problem, remedy);
}

}  // namespace

void add_picture_options(CLI::App& command, PictureSettings& settings) {
  command.add_option("-p,--prompt", settings.prompt, "What to draw");
  command.add_option("-n,--negative-prompt", settings.negative_prompt, "What to keep out of the picture");
  command.add_option("-W,--width", settings.width, "Pixels (default: the model's own)")
      ->transform(whole_number(1, kMostSide));
  command.add_option("-H,--height", settings.height, "Pixels (default: the model's own)")
      ->transform(whole_number(1, kMostSide));
  command
      .add_option("--steps,--num-inference-steps,--sampling-steps", settings.steps,
                  "Denoising steps (default: the model's own, or 20)")
      ->transform(whole_number(1, kMostSteps));
  command
      .add_option("--cfg-scale,--guidance-scale", settings.cfg_scale,
                  "How closely to follow the prompt; 1 or less: no guidance (default: the model's own, or 7)")
      ->transform(real_number(0, kMostGuidance));
  command
      .add_option("--cfg-rescale,--guidance-rescale", settings.cfg_rescale,
                  "0 to 1: keeps strong guidance from burning colours out; 0.7 is usual (default 0)")
      ->transform(real_number(0, 1));
  command.add_option("--sampling-method,--sampler,--sampler-name", settings.sampler,
                     "ddim or ddpm (default: ddim, or the model's own ddpm)");
  command.add_option("--eta", settings.eta, "ddim: fresh noise in each step, 0 to 1 (default 0)")
      ->transform(real_number(0, 1));
  command
      .add_option("-s,--seed", settings.seed,
                  "Of the first picture, the next has the next number; -1: any (default 42)")
      ->transform(whole_number(-1, std::numeric_limits<int64_t>::max()));
  command
      .add_option("--clip-skip", settings.clip_skip,
                  "1: the text encoder's last layer; 2: the one before (default 1)")
      ->transform(whole_number(1, kMostClipSkip));
  command.add_flag("--vae-tiling", settings.vae_tiling, "Decode large pictures by tiles, in less memory");
}

void add_run_options(CLI::App& command, RunOptions& options) {
  command
      .add_option("-m,--model", options.model,
                  "Model directory in diffusers layout (default: the embedded model)")
      ->check(not_empty());
  command
      .add_option("-b,--batch-count,--num-images-per-prompt", options.batch_count,
                  "Pictures to make (default 1)")
      ->transform(whole_number(1, kMostPictures));
  command.add_option("--batch-size", options.batch_size, "Pictures in one call of the UNet (default 1)")
      ->transform(whole_number(1, 1024));
  command
      .add_option(
          "-o,--output", options.output,
          "File, pattern such as x_%03d.png, directory, or - for standard output (default: output.png, "
          "numbered so that no file is replaced)")
      ->check(not_empty());
  command
      .add_option("--init-latents", options.init_latents,
                  "Start from the tensor \"latents\" of this .safetensors file")
      ->check(not_empty());
  command
      .add_option("--save-latents", options.save_latents, "Write the final latents to this .safetensors file")
      ->check(not_empty());
  // For comparing every stage with another engine (tools/parity).
  command.add_option("--dump-stages", options.dump_stages)->group("");
  command
      .add_option_function<std::string>(
          "--rng", [](const std::string&) {}, "Noise: cpu, the same numbers as torch.Generator(\"cpu\")")
      ->check(one_of({"cpu"}));
  command.add_option("--device", options.device, "auto or cpu")->check(one_of({"auto", "cpu"}));
  command.add_option("--dtype", options.dtype, "auto, fp32, bf16 or fp16 (default auto: fp32)")
      ->check(one_of({"auto", "fp32", "bf16", "fp16"}));
  command
      .add_option("-t,--threads", options.threads,
                  "CPU threads (default: one a core; one for a small network)")
      ->transform(whole_number(1, 1024));
  command.add_flag("-v,--verbose", options.verbose, "Say what is being done, with times");
  command.add_flag("--json", options.json, "One JSON object on standard output instead of paths");
}

void check_options(const GenerateOptions& options) {
  const PictureSettings& picture = options.picture;
  const RunOptions& run = options.run;
  if (picture.seed.value_or(kUsualSeed) > std::numeric_limits<int64_t>::max() - (run.batch_count - 1))
    refuse("--seed",
           "the seeds of all pictures must be at most " + std::to_string(std::numeric_limits<int64_t>::max()),
           "use a smaller seed");
  if (picture.sampler && sampler_from_name(*picture.sampler) != Sampler::kDdim &&
      picture.eta.value_or(0) != 0) {
    refuse("--eta", "only ddim has it", "leave it out");
  }
  if (run.output && is_standard_output(*run.output) && run.json)
    refuse("--json", "standard output already takes the picture", "name a file with -o");
  if (run.dump_stages && run.batch_count > run.batch_size) {
    refuse("--dump-stages", "takes one batch", "use a --batch-size of the --batch-count");
  }
}

std::vector<uint64_t> seeds_of(const GenerateOptions& options) {
  const int64_t seed = options.picture.seed.value_or(kUsualSeed);
  uint64_t first = static_cast<uint64_t>(seed);
  if (seed < 0) {
    std::random_device source;
    first = source();
  }
  std::vector<uint64_t> seeds;
  for (int64_t i = 0; i < options.run.batch_count; ++i) seeds.push_back(first + static_cast<uint64_t>(i));
  return seeds;
}

}  // namespace brume::cli
