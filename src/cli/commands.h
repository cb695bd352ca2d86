#pragma once
#include <CLI/CLI.hpp>
#include <functional>
#include <string>

namespace brume::cli {

/// What a command does once its options are read; the program's exit code.
using Action = std::function<int()>;

/// Each adds its command and options to the program; `chosen` is set when the command is given.
void add_batch(CLI::App& program, Action& chosen);
void add_bench(CLI::App& program, Action& chosen);
void add_convert(CLI::App& program, Action& chosen);
void add_gallery(CLI::App& program, Action& chosen);
void add_generate(CLI::App& program, Action& chosen);
void add_tokenize(CLI::App& program, Action& chosen);
void add_inspect(CLI::App& program, Action& chosen);
void add_worker(CLI::App& program, Action& chosen);

/// The version, the build, the devices and the instruction sets, a line each.
std::string version_text();
/// "brume 0.1.0"
std::string version_name();

}  // namespace brume::cli
