// A worker that draws single pixels, for tests: fake_worker HOW. "good"; "dies" at its first picture;
// "dies-of-N" at the picture with ticket N; "babbles-of-N" there, and lives on; "dies-once FILE" at its first
// picture, if FILE is not there; "never" at its start; "deaf" does nothing and heeds no signal; "model WHY"
// says that its model is wrong; "short WHY" that memory is short; "never-again FILE" dies at its first
// picture, and then at its start; "late FILE" has its model when FILE is there; "elsewhere" draws on a device
// of its own; "counted DIRECTORY" makes a file there when it starts.
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

bool is_there(const std::string& file) { return ::access(file.c_str(), F_OK) == 0; }

}  // namespace

int main(int count, char** words) {
  const std::string how = count > 1 ? words[1] : "good";
  if (how == "model") {
    if (count > 2) batch::write_failure(STDOUT_FILENO, words[2]);
    return static_cast<int>(ExitCode::kModelInvalid);
  }
  if (how == "short") {
    batch::write_failure(STDOUT_FILENO, words[2]);
    return static_cast<int>(ExitCode::kOutOfMemory);
  }
  if (how == "never" || (how == "never-again" && is_there(words[2]))) std::raise(SIGKILL);
  if (how == "deaf") {
    std::signal(SIGTERM, SIG_IGN);
    for (;;) ::pause();
  }
  if (how == "counted") makes(words[2] + std::string("/") + std::to_string(::getpid()));
  while (how == "late" && !is_there(words[2])) ::usleep(1000);
  batch::write_ready(STDOUT_FILENO, how == "elsewhere" ? "cuda:7" : "cpu");
  int64_t steps = 0;
  for (std::string line; std::getline(std::cin, line);) {
    const batch::Work work = batch::read_work_line(line);
    if (how == "dies") std::raise(SIGKILL);
    if (how == "dies-of-" + std::to_string(work.ticket)) std::raise(SIGKILL);
    if (how == "babbles-of-" + std::to_string(work.ticket)) {
      std::cout << R"({"ticket":)" << work.ticket << "}" << std::endl;
      continue;
    }
    if (how == "never-again" && makes(words[2])) std::raise(SIGKILL);
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
