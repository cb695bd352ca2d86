#include "brume/base/error.h"

#include <string_view>

#include "brume/base/escape.h"

namespace brume {

namespace {

std::string one_line(const std::string& where, const std::string& problem, const std::string& remedy) {
  std::string line = where.empty() ? problem : where + ": " + problem;
  if (!remedy.empty()) line += "; " + remedy;
  return escape_control(line);
}

}  // namespace

Error::Error(ExitCode code, const std::string& where, const std::string& problem, const std::string& remedy)
    : std::runtime_error(one_line(where, problem, remedy)), code_(code) {}

bool Error::names(const std::string& where) const {
  return std::string_view(what()).starts_with(escape_control(where) + ": ");
}

}  // namespace brume
