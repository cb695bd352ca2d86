#pragma once
#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <vector>

namespace brume::cli {

/// Checks of an option's value. CLI11's own conversions take what does not fit for the nearest number, a
/// leading zero for octal, and "nan" for a number; these refuse or read all of it as decimal. For
/// transform().
CLI::Validator whole_number(int64_t least, int64_t most);
CLI::Validator real_number(double least, double most);

/// Refuses what is not one of `values`.
CLI::Validator one_of(const std::vector<std::string>& values);

/// A type of arithmetic by any of its names, or `other`: "auto", say. For transform().
CLI::Validator dtype_value(const std::string& other);

/// "auto", "cpu", "cuda" or "cuda:N".
CLI::Validator device_name();

/// Refuses "": most often a shell variable that is not set.
CLI::Validator not_empty();

}  // namespace brume::cli
