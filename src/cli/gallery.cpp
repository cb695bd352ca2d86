#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <system_error>

#include "brume/base/error.h"
#include "brume/base/file.h"
#include "brume/gallery/gallery.h"
#include "brume/gallery/page.h"
#include "commands.h"
#include "count_text.h"
#include "picture_files.h"
#include "say.h"
#include "signals.h"
#include "standard_output.h"
#include "values.h"

namespace brume::cli {

namespace fs = std::filesystem;

namespace {

struct GalleryOptions {
  fs::path directory;
  std::optional<fs::path> output;
  bool recursive = false;
};

void check_directory(const fs::path& directory) {
  std::error_code failed;
  if (fs::is_directory(directory, failed)) return;
  const bool there = fs::exists(directory, failed);
  throw Error(ExitCode::kInputInvalid, directory.string(), there ? "is no directory" : "no such directory",
              "name the directory of the pictures");
}

fs::path directory_of(const fs::path& page) {
  const fs::path place = written_place(page);
  return place.has_parent_path() ? place.parent_path() : ".";
}

int exit_code(const gallery::GalleryTally& tally) {
  if (tally.stopped) return signal_exit_code(stop_signal());
  return static_cast<int>(tally.failed > 0 ? ExitCode::kItemsFailed : ExitCode::kDone);
}

int make_gallery(const GalleryOptions& options) {
  check_directory(options.directory);
  check_standard_output();
  const fs::path page = options.output.value_or(options.directory / "index.html");
  const bool to_output = is_standard_output(page);
  if (!options.output) gallery::check_page_replaceable(page);
  if (!to_output) check_writable(page);
  const gallery::GallerySettings settings{
      .directory = options.directory,
      .page_directory = to_output ? fs::path(".") : directory_of(page),
      .depth = options.recursive ? gallery::Depth::kRecursive : gallery::Depth::kOwnFiles,
      .note = [](const std::string& line) { say("note: " + line); },
      .stop_requested = [] { return stop_signal() != 0; }};
  const PoliteStop polite;
  gallery::GalleryTally tally;
  const auto produce = [&](const ByteSink& sink) {
    tally = write_gallery(settings, sink);
    return !tally.stopped;
  };
  bool told = true;  // false: a stop came, and nobody read it
  if (to_output) {
    produce([&told](std::span<const std::byte> bytes) { told = told && print_bytes(bytes); });
  } else if (write_stream_atomically(page, produce)) {
    told = print_path(page);
  }
  if (!told) return signal_exit_code(stop_signal());
  if (tally.shown == 0 && tally.failed == 0 && !tally.stopped)
    say("note: " + options.directory.string() + " holds no pictures");
  if (tally.failed > 0) say(count_text(tally.failed, "picture") + " cannot be shown");
  return exit_code(tally);
}

}  // namespace

void add_gallery(CLI::App& program, Action& chosen) {
  auto options = std::make_shared<GalleryOptions>();
  CLI::App* command = program.add_subcommand("gallery", "Make a web page of a directory's pictures");
  command->add_option("directory", options->directory, "Directory with PNG pictures")
      ->required()
      ->check(not_empty());
  command
      ->add_option("-o,--output", options->output,
                   "The page, or - for standard output (default DIR/index.html)")
      ->check(not_empty());
  command->add_flag("-r,--recursive", options->recursive, "Also the pictures of directories below");
  command->callback([options, &chosen] { chosen = [options] { return make_gallery(*options); }; });
}

}  // namespace brume::cli
