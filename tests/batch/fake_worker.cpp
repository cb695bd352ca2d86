// A worker that draws single pixels, for tests: fake_worker HOW. "good"; "dies-of-N" at the picture with
// ticket N; "babbles-of-N" there, and lives on; "dies-once FILE" at its first picture, if FILE is not there;
// "never" at its start; "deaf" does nothing and
// heeds no signal; "model WHY" says that its model is wrong.
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <iostream>
#include <string>

#include "brume/base/error.h"
#include "brume/batch/worker_protocol.h"

namespace {

using namespace brume;

bool makes(const std::string& file) {
  std::FILE* const made = std::fopen(file.c_str(), "wx");
  if (made != nullptr) std::fclose(made);
  return made != nullptr;
}

}  // namespace

int main(int count, char** words) {
  const std::string how = count > 1 ? words[1] : "good";
  if (how == "model") {
    if (count > 2) batch::write_failure(STDOUT_FILENO, words[2]);
    return static_cast<int>(ExitCode::kModelInvalid);
  }
  if (how == "never") std::raise(SIGKILL);
  if (how == "deaf") {
    std::signal(SIGTERM, SIG_IGN);
    for (;;) ::pause();
  }
  int64_t steps = 0;
  for (std::string line; std::getline(std::cin, line);) {
    const batch::Work work = batch::read_work_line(line);
    if (how == "dies-of-" + std::to_string(work.ticket)) std::raise(SIGKILL);
    if (how == "babbles-of-" + std::to_string(work.ticket)) {
      std::cout << R"({"ticket":)" << work.ticket << "}" << std::endl;
      continue;
    }
    if (how == "dies-once" && makes(words[2])) std::raise(SIGSEGV);
    batch::Made made{work.ticket, {}, {}};
    const auto red = static_cast<uint8_t>(work.ticket);
    made.result.picture = Picture{1, 1, {red, static_cast<uint8_t>(work.request.seeds.front()), 0}};
    ++steps;
    const auto seconds = static_cast<double>(steps);
    batch::write_made(STDOUT_FILENO, made, {steps, 0.5, seconds / 4, seconds, seconds * 2, steps * 1000});
  }
  return 0;
}
