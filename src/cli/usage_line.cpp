#include "usage_line.h"

#include <vector>

#include "brume/base/error.h"
#include "brume/base/escape.h"

namespace brume::cli {

namespace {

/// Those that --help lists.
std::string commands_of(const CLI::App& program) {
  const auto listed = [](const CLI::App* command) { return !command->get_group().empty(); };
  std::string names;
  for (const CLI::App* command : program.get_subcommands(listed))
    names += (names.empty() ? "" : ", ") + command->get_name();
  return names;
}

/// CLI11's own words name the option, but not what to do.
std::string problem(const CLI::App& program, const CLI::ParseError& error) {
  std::string text = error.what();
  const std::vector<std::string> unknown = program.remaining(true);
  if (program.get_subcommands().empty()) {
    if (unknown.empty()) return "no command given; name one of " + commands_of(program);
    return unknown.front() + ": unknown command; name one of " + commands_of(program);
  }
  // A mistyped option is told before the one that is missing: it may be the same.
  const bool missing = dynamic_cast<const CLI::RequiredError*>(&error) != nullptr;
  const bool extra = dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr;
  if (!unknown.empty() && (extra || (missing && unknown.front().starts_with('-')))) {
    const std::string& first = unknown.front();
    return first.starts_with('-') ? first + ": unknown option"
                                  : first + ": not expected here; quote a text that has spaces";
  }
  const std::string option = text.substr(0, text.find(':'));
  if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr) {
    const bool repeated = text.find("At Most") != std::string::npos;
    return option + (repeated ? ": given more than once; give it once" : ": its value is missing");
  }
  constexpr std::string_view kConversion = "Could not convert: ";
  if (text.starts_with(kConversion)) return text.substr(kConversion.size()) + ": cannot be read";
  return text;
}

}  // namespace

std::string usage_line(const CLI::App& program, const CLI::ParseError& error) {
  const std::vector<CLI::App*> chosen = program.get_subcommands();
  const std::string command = chosen.empty() ? "" : " " + chosen.front()->get_name();
  return escape_control(problem(program, error)) + "; see brume" + command + " --help";
}

void refuse(const std::string& option, const std::string& problem, const std::string& remedy) {
  throw Error(ExitCode::kUsage, option, problem, remedy);
}

}  // namespace brume::cli
