#pragma once
#include <CLI/CLI.hpp>
#include <string>

namespace brume::cli {

/// What is wrong with the arguments and what to do, on one line.
std::string usage_line(const CLI::App& program, const CLI::ParseError& error);

}  // namespace brume::cli
