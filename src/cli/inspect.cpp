#include <filesystem>
#include <memory>
#include <span>
#include <system_error>

#include "brume/base/file.h"
#include "brume/image/inspect.h"
#include "brume/weights/listing.h"
#include "brume/weights/weights_format.h"
#include "commands.h"
#include "standard_output.h"
#include "values.h"

namespace brume::cli {

namespace {

struct InspectOptions {
  std::string file;
  bool json = false;
};

enum class Kind { kPicture, kTensors };

/// By what the file begins with; by its name where that says nothing, so that a broken file is told as such.
Kind kind_of(const std::filesystem::path& path) {
  std::error_code unreadable;  // opening it says why
  if (std::filesystem::is_directory(path, unreadable)) return Kind::kTensors;
  constexpr std::string_view kPngSignature = "\x89PNG";
  const InputFile file(path, ExitCode::kInputInvalid);
  std::string start(std::min<uint64_t>(file.size(), kPngSignature.size()), '\0');
  file.read_at(0, std::as_writable_bytes(std::span(start)));
  if (start == kPngSignature || path.extension() == ".png") return Kind::kPicture;
  if (weights_format(path, ExitCode::kInputInvalid)) return Kind::kTensors;
  throw Error(ExitCode::kInputInvalid, path.string(), "is neither a PNG picture nor a file of weights",
              "name a .png, a .safetensors, its .index.json, a .ckpt or a model directory");
}

int inspect(const InspectOptions& options) {
  std::string report;
  if (kind_of(options.file) == Kind::kPicture) {
    report = picture_report(options.file, options.json ? ReportFormat::kJson : ReportFormat::kText);
  } else {
    report = options.json ? tensors_json(options.file) : tensors_table(options.file);
  }
  if (!report.ends_with('\n')) report += '\n';
  print_text(report);
  return 0;
}

}  // namespace

void add_inspect(CLI::App& program, Action& chosen) {
  auto options = std::make_shared<InspectOptions>();
  CLI::App* command =
      program.add_subcommand("inspect", "Show the recipe inside a picture, or the tensors of a weights file");
  command
      ->add_option("file", options->file,
                   "A .png, a .safetensors or its index, a .ckpt, or a model directory")
      ->required()
      ->check(not_empty());
  command->add_flag("--json", options->json, "JSON instead of text");
  command->callback([options, &chosen] { chosen = [options] { return inspect(*options); }; });
}

}  // namespace brume::cli
