#include "brume/base/threads.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <latch>
#include <system_error>
#include <utility>
#include <vector>

#include "brume/base/error.h"

namespace brume {

std::thread start_thread(std::function<void()> work) {
  try {
    return std::thread(std::move(work));
  } catch (const std::system_error& error) {
    throw Error(ExitCode::kOutOfMemory, "threads", "no room for another: " + error.code().message(),
                "raise the limit on processes (ulimit -u, a container's pids), or use fewer: "
                "OMP_NUM_THREADS=1 and -t 1");
  }
}

void check_threads(int count) {
  std::latch all_made(1);
  std::vector<std::thread> threads;
  threads.reserve(static_cast<size_t>(std::max(count, 0)));
  const auto end_all = [&] {
    all_made.count_down();
    for (std::thread& thread : threads) thread.join();
  };
  try {
    for (int i = 0; i < count; ++i) threads.push_back(start_thread([&all_made] { all_made.wait(); }));
  } catch (...) {
    end_all();
    throw;
  }
  end_all();
}

void use_threads(int count, int beside) {
  // libgomp keeps those it has; pthreadpool makes all of its own anew before the old ones end.
  const int now = at::get_num_threads();
  check_threads(std::max(count - now, 0) + count - 1 + std::max(beside, now - 1));
  at::set_num_threads(count);
}

}  // namespace brume
