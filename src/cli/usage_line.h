#pragma once
#include <CLI/CLI.hpp>
#include <string>

namespace brume::cli {

/// What is wrong with the arguments and what to do, on one line.
std::string usage_line(const CLI::App& program, const CLI::ParseError& error);

/// Throws kUsage for an option that cannot be taken: what is wrong with it, and what to do.
[[noreturn]] void refuse(const std::string& option, const std::string& problem, const std::string& remedy);

}  // namespace brume::cli
