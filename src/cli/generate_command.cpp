#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

#include "brume/base/error.h"
#include "brume/base/file.h"
#include "commands.h"
#include "engine_door.h"
#include "standard_output.h"

namespace brume::cli {

namespace {

/// A place that cannot be written to, or that is named twice, is known at once, not after minutes of drawing.
void check_places(const PictureSettings& picture, const RunOptions& run, const PictureFiles& files) {
  std::map<std::filesystem::path, std::string> taken;  // where it really is -> the option
  const auto take = [&](const std::filesystem::path& file, const std::string& option) {
    std::error_code failed;
    if (std::filesystem::is_other(std::filesystem::status(file, failed))) return;  // devices take anything
    const auto [other, added] = taken.emplace(written_place(file), option);
    if (added) return;
    throw Error(ExitCode::kUsage, option + " " + file.string(), "is the same file as " + other->second + "'s",
                "give each a name of its own");
  };
  for (const std::filesystem::path& file : files.named()) take(file, "-o");
  if (picture.init_img) take(*picture.init_img, "--init-img");
  if (picture.mask && picture.mask != picture.init_img) take(*picture.mask, "--mask");
  if (run.init_latents) take(*run.init_latents, "--init-latents");
  if (run.save_latents) {
    if (is_standard_output(*run.save_latents))
      throw Error(ExitCode::kUsage, "--save-latents", "standard output is for pictures and paths",
                  "name a file");
    check_writable(*run.save_latents);
    take(*run.save_latents, "--save-latents");
  }
  if (run.dump_stages) {
    check_writable(*run.dump_stages);
    take(*run.dump_stages, "--dump-stages");
  }
}

int generate(const GenerateOptions& options) {
  const auto began = std::chrono::steady_clock::now();
  check_options(options);
  check_standard_output();
  PictureFiles files(options.run.output, options.run.batch_count);
  check_places(options.picture, options.run, files);
  return work_in_engine(GenerateWork{options, std::move(files), began});
}

}  // namespace

void add_generate(CLI::App& program, Action& chosen) {
  auto options = std::make_shared<GenerateOptions>();
  CLI::App* command = program.add_subcommand("generate", "Draw pictures of a prompt");
  add_picture_options(*command, options->picture);
  command->get_option("--prompt")->required();
  add_seed_option(*command, options->picture.seed);
  add_engine_options(*command, options->engine);
  add_run_options(*command, options->run);
  command->callback([options, &chosen] {
    options->engine.adapters.strict = options->picture.strict.value_or(false);
    chosen = [options] { return generate(*options); };
  });
}

}  // namespace brume::cli
