#include "generate_options.h"

#include <limits>
#include <random>

#include "brume/base/error.h"
#include "standard_output.h"
#include "usage_line.h"
#include "values.h"

namespace brume::cli {

namespace {

constexpr int64_t kUsualSeed = 42;
constexpr int64_t kMostPictures = 1'000'000;

}  // namespace

void add_seed_option(CLI::App& command, std::optional<int64_t>& seed) {
  command
      .add_option("-s,--seed", seed,
                  "Of the first picture, the next has the next number; -1: any (default 42)")
      ->transform(whole_number(-1, std::numeric_limits<int64_t>::max()));
}

void add_run_options(CLI::App& command, RunOptions& options) {
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
  add_wildcards_option(command, options.wildcards);
  command
      .add_option("--init-latents", options.init_latents,
                  "Start from the tensor \"latents\" of this .safetensors file")
      ->check(not_empty());
  command
      .add_option("--save-latents", options.save_latents, "Write the final latents to this .safetensors file")
      ->check(not_empty());
  // For comparing every stage with another engine (tools/parity).
  command.add_option("--dump-stages", options.dump_stages)->group("");
  command.add_flag("--json", options.json, "One JSON object on standard output instead of paths");
}

void check_options(const GenerateOptions& options) {
  const PictureSettings& picture = options.picture;
  const RunOptions& run = options.run;
  if (picture.seed.value_or(kUsualSeed) > std::numeric_limits<int64_t>::max() - (run.batch_count - 1))
    refuse("--seed",
           "the seeds of all pictures must be at most " + std::to_string(std::numeric_limits<int64_t>::max()),
           "use a smaller seed");
  check_wildcards(run.wildcards, picture.compat);
  if (picture.init_img && run.init_latents)
    refuse("--init-latents", "takes the place of the noise, all of it, and --init-img of some of it",
           "leave one out");
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
