#include "tests/sass.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <iterator>
#include <memory>
#include <regex>
#include <sstream>
#include <vector>

#include "tests/skip_all.h"

namespace brume::kernels::sass {
namespace {

const std::string kCuobjdump = BRUME_CUOBJDUMP;  // empty where there is none

/// Without cuobjdump the tests are skipped, or fail where it is required (preset cuda, tools/check).
class NeedsCuobjdump : public testing::Environment {
 public:
  void SetUp() override {
    if (kCuobjdump.empty())
      skip_all("no cuobjdump: the machine code of the kernels is not read (tools/setup)",
               "BRUME_REQUIRE_CUOBJDUMP");
  }
};
[[maybe_unused]] const auto* const kNeeds = testing::AddGlobalTestEnvironment(new NeedsCuobjdump);

std::string output_of(const std::string& command) {
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen(command.c_str(), "r"), ::pclose);
  std::string text;
  std::array<char, 1 << 16> buffer{};
  while (const size_t n = std::fread(buffer.data(), 1, buffer.size(), pipe.get()))
    text.append(buffer.data(), n);
  return text;
}

/// What cuobjdump says of each library. It calls nvdisasm, which lies beside it.
std::vector<std::string> dumps(const std::string& options) {
  std::vector<std::string> texts;
  std::istringstream libraries(BRUME_KERNEL_LIBRARIES);
  for (std::string library; std::getline(libraries, library, ':');) {
    const std::string folder = kCuobjdump.substr(0, kCuobjdump.rfind('/'));
    texts.push_back(
        output_of("PATH='" + folder + "':$PATH '" + kCuobjdump + "' " + options + " '" + library + "'"));
  }
  return texts;
}

void add_resources(const std::string& text, std::map<std::string, Kernels>& all) {
  static const std::regex kArchitecture("^arch = (sm_[0-9a-z]+)");
  static const std::regex kFunction("Function ([^ :]+)");
  static const std::regex kUsed("REG:([0-9]+) STACK:([0-9]+) SHARED:([0-9]+) LOCAL:([0-9]+)");
  std::istringstream lines(text);
  std::string architecture;
  std::string kernel;
  std::smatch match;
  for (std::string line; std::getline(lines, line);) {
    if (std::regex_search(line, match, kArchitecture)) architecture = match[1];
    if (std::regex_search(line, match, kFunction)) kernel = match[1];
    if (std::regex_search(line, match, kUsed))
      all[architecture][kernel] = {std::stoi(match[1]), std::stoi(match[2]), std::stoi(match[3]),
                                   std::stoi(match[4])};
  }
}

void add_instructions(const std::string& text, std::map<std::string, Code>& kernels) {
  std::istringstream lines(text);
  std::string kernel;
  for (std::string line; std::getline(lines, line);) {
    const size_t function = line.find("Function : ");
    if (function != std::string::npos) {
      kernel = line.substr(function + 11);
      continue;
    }
    // "/*0040*/   @!P0 HMMA.16816.F32 R4, ... ;"
    size_t at = line.find("*/ ");
    const size_t end = line.find(';');
    if (at == std::string::npos || end == std::string::npos) continue;
    at = line.find_first_not_of(' ', at + 2);
    if (line[at] == '@') at = line.find_first_not_of(' ', line.find(' ', at));
    const size_t space = std::min(line.find(' ', at), end);
    kernels[kernel].push_back({line.substr(at, space - at), line.substr(space, end - space)});
  }
}

}  // namespace

std::map<std::string, Kernels> resources() {
  std::map<std::string, Kernels> all;
  for (const std::string& text : dumps("--dump-resource-usage")) add_resources(text, all);
  return all;
}

std::map<std::string, Code> instructions(const std::string& architecture) {
  std::map<std::string, Code> kernels;
  for (const std::string& text : dumps("-sass -arch " + architecture)) add_instructions(text, kernels);
  return kernels;
}

bool is(const Instruction& instruction, const std::string& name) {
  const std::string& whole = instruction.name;
  return whole.starts_with(name) && (whole.size() == name.size() || whole[name.size()] == '.');
}

int count(const Code& code, const std::string& name, const std::string& operand) {
  return static_cast<int>(std::count_if(code.begin(), code.end(), [&](const Instruction& one) {
    return is(one, name) && one.operands.find(operand) != std::string::npos;
  }));
}

std::set<std::string> ptx() {
  static const std::regex kFile("\\.(sm_[0-9a-z]+)\\.ptx");
  std::set<std::string> everywhere;
  bool first = true;
  for (const std::string& text : dumps("--list-ptx")) {
    std::set<std::string> here;
    for (std::sregex_iterator file(text.begin(), text.end(), kFile); file != std::sregex_iterator(); ++file)
      here.insert((*file)[1]);
    if (first) everywhere = here;
    first = false;
    std::erase_if(everywhere, [&](const std::string& one) { return !here.contains(one); });
  }
  return everywhere;
}

}  // namespace brume::kernels::sass
