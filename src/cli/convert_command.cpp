#include <filesystem>
#include <memory>
#include <system_error>

#include "brume/base/error.h"
#include "commands.h"
#include "engine_door.h"
#include "picture_files.h"
#include "standard_output.h"
#include "values.h"

namespace brume::cli {

namespace {

/// What cannot be written is known at once, not after minutes of reading.
void check_output(const ConvertOptions& options) {
  const std::filesystem::path& file = options.output;
  if (is_standard_output(file))
    throw Error(ExitCode::kUsage, file.string(), "standard output is for the path of the result",
                "name a file");
  std::error_code failed;
  const bool taken = std::filesystem::exists(file, failed) && !std::filesystem::is_directory(file, failed);
  if (taken && !options.force)
    throw Error(ExitCode::kOutputFailed, file.string(), "is there already",
                "choose another name, or replace it with --force");
  check_writable(file);
}

int convert(const ConvertOptions& options) {
  check_standard_output();
  check_output(options);
  return work_in_engine(options);
}

}  // namespace

void add_convert(CLI::App& program, Action& chosen) {
  auto options = std::make_shared<ConvertOptions>();
  options->engine.dtype = "keep";
  CLI::App* command =
      program.add_subcommand("convert", "Pack a model into one file that -m takes, with all that it needs");
  command
      ->add_option("input", options->engine.model,
                   "Model directory, or a .safetensors or .ckpt file: what -m takes")
      ->required()
      ->check(not_empty());
  command->add_option("output", options->output, "The file to write (.safetensors)")
      ->required()
      ->check(not_empty());
  command
      ->add_option("--dtype,--type", options->engine.dtype,
                   "Cast UNet, text encoders and autoencoder to fp32, bf16 or fp16; an autoencoder that "
                   "overflows in fp16 (force_upcast) stays as it is then (default keep: all as stored)")
      ->transform(dtype_value("keep"));
  add_component_options(*command, options->engine);
  command->add_flag("--strict", options->engine.adapters.strict,
                    "Fail where some of an adapter fits nothing in the model (default: a note)");
  command->add_flag("-f,--force", options->force, "Replace a file that is there");
  command->add_flag("--json", options->json, "Say what was written as one JSON object");
  command->callback([options, &chosen] { chosen = [options] { return convert(*options); }; });
}

}  // namespace brume::cli
