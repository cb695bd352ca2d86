#include "arguments.h"

#include <algorithm>
#include <set>

namespace brume::cli {

namespace {

std::set<std::string> option_names(const CLI::App& program) {
  std::set<std::string> names;
  for (const CLI::App* command : program.get_subcommands([](const CLI::App*) { return true; })) {
    for (const CLI::Option* option : command->get_options()) {
      names.insert(option->get_lnames().begin(), option->get_lnames().end());
    }
  }
  return names;
}

}  // namespace

std::vector<std::string> normalise(int argc, char** argv, const CLI::App& program) {
  const std::set<std::string> names = option_names(program);
  std::vector<std::string> arguments(argv + std::min(argc, 1), argv + argc);
  for (std::string& argument : arguments) {
    if (argument == "--") break;
    if (!argument.starts_with("--")) continue;
    const size_t end = std::min(argument.find('='), argument.size());
    std::string name = argument.substr(2, end - 2);
    std::replace(name.begin(), name.end(), '_', '-');
    if (names.contains(name)) argument.replace(2, end - 2, name);
  }
  return arguments;
}

}  // namespace brume::cli
