#include <unistd.h>

#include <filesystem>
#include <memory>
#include <span>
#include <system_error>

#include "brume/base/file.h"
#include "brume/image/inspect.h"
#include "brume/weights/listing.h"
#include "commands.h"
#include "values.h"

namespace brume::cli {

namespace {

struct InspectOptions {
  std::string file;
  bool json = false;
};

bool is_picture(const std::filesystem::path& path) {
  constexpr std::string_view kPngSignature = "\x89PNG";
  const InputFile file(path, ExitCode::kInputInvalid);
  std::string start(std::min<uint64_t>(file.size(), kPngSignature.size()), '\0');
  file.read_at(0, std::as_writable_bytes(std::span(start)));
  return start == kPngSignature || path.extension() == ".png";
}

int inspect(const InspectOptions& options) {
  std::string report;
  std::error_code unreadable;  // is_picture says why
  if (!std::filesystem::is_directory(options.file, unreadable) && is_picture(options.file)) {
    report = picture_report(options.file, options.json ? ReportFormat::kJson : ReportFormat::kText);
  } else {
    report = options.json ? tensors_json(options.file) : tensors_table(options.file);
  }
  if (!report.ends_with('\n')) report += '\n';
  write_all(STDOUT_FILENO, std::as_bytes(std::span(report)), "standard output");
  return 0;
}

}  // namespace

void add_inspect(CLI::App& program, Action& chosen) {
  auto options = std::make_shared<InspectOptions>();
  CLI::App* command =
      program.add_subcommand("inspect", "Show the recipe inside a picture, or the tensors of a weights file");
  command->add_option("file", options->file, "A .png, a .safetensors or its index, or a model directory")
      ->required()
      ->check(not_empty());
  command->add_flag("--json", options->json, "JSON instead of text");
  command->callback([options, &chosen] { chosen = [options] { return inspect(*options); }; });
}

}  // namespace brume::cli
