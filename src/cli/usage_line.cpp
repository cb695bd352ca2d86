#include "usage_line.h"

#include <algorithm>
#include <vector>

#include "brume/base/edit_distance.h"
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

/// "--cfg-scale" of "--cfg" and of "--cgf-scale=7"; empty where nothing is near.
std::string nearest_option(const CLI::App& command, const std::string& typed) {
  constexpr size_t kMostCompared = 40;
  std::string name = typed.substr(std::min(typed.find_first_not_of('-'), typed.size()));
  name = name.substr(0, std::min(name.find('='), kMostCompared));
  std::replace(name.begin(), name.end(), '_', '-');
  std::string nearest;
  size_t least = name.size() / 3 + 1;  // of changes that make it another word
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& known : option->get_lnames()) {
      constexpr size_t kShortest = 3;
      const bool begun = name.size() >= kShortest && known.starts_with(name);
      const size_t distance = begun ? 0 : edit_distance(name, known);
      if (distance >= least) continue;
      least = distance;
      nearest = "--" + known;
    }
  }
  return nearest;
}

/// Of a word that is no value of an option.
std::string about_word(const CLI::App& program, const std::string& word, bool missing) {
  if (!word.starts_with('-'))
    return word + (missing ? ": not expected here; write the prompt as -p TEXT"
                           : ": not expected here; quote a text that has spaces");
  const std::string nearest = nearest_option(*program.get_subcommands().front(), word);
  return word + ": unknown option" + (nearest.empty() ? "" : ", the nearest is " + nearest);
}

/// CLI11's own words name the option, but not what to do.
std::string problem(const CLI::App& program, const CLI::ParseError& error) {
  std::string text = error.what();
  const std::vector<std::string> unknown = program.remaining(true);
  if (program.get_subcommands().empty()) {
    if (unknown.empty()) return "no command given; name one of " + commands_of(program);
    return unknown.front() + ": unknown command; name one of " + commands_of(program);
  }
  // What is mistyped is told before what is missing: it may be the same.
  const bool missing = dynamic_cast<const CLI::RequiredError*>(&error) != nullptr;
  const bool extra = dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr;
  if (!unknown.empty() && (extra || missing)) return about_word(program, unknown.front(), missing);
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
