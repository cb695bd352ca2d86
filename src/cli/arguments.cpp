#include "arguments.h"

#include <algorithm>
#include <set>
#include <utility>

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
  std::vector<std::string> arguments;
  bool options = true;
  for (int i = 1; i < argc; ++i) {
    std::string argument = argv[i];
    options = options && argument != "--";
    const size_t end = std::min(argument.find('='), argument.size());
    bool empty_value = false;
    if (options && argument.starts_with("--")) {
      std::string name = argument.substr(2, end - 2);
      std::replace(name.begin(), name.end(), '_', '-');
      if (names.contains(name)) {
        argument.replace(2, end - 2, name);
        empty_value = end + 1 == argument.size();
      }
    }
    // CLI11 would take the next word for the value that a script has left empty.
    if (empty_value) argument.pop_back();
    arguments.push_back(std::move(argument));
    if (empty_value) arguments.emplace_back();
  }
  return arguments;
}

}  // namespace brume::cli
