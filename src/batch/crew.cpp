#include "crew.h"

#include <algorithm>
#include <system_error>
#include <utility>

#include "brume/base/error.h"

namespace brume::batch {

namespace {

/// Of processes, memory or descriptors: fewer workers may do.
bool is_shortage(const std::error_code& code) {
  return code == std::errc::resource_unavailable_try_again || code == std::errc::not_enough_memory ||
         code == std::errc::too_many_files_open || code == std::errc::too_many_files_open_in_system;
}

}  // namespace

std::optional<WorkerEnd> Worker::begin_life(const std::vector<std::string>& command) {
  ready = false;
  drew = false;
  use = {};
  try {
    child = std::make_unique<ChildProcess>(command);
  } catch (const std::system_error& error) {
    if (!is_shortage(error.code())) throw;
    return WorkerEnd{{.code = static_cast<int>(ExitCode::kOutOfMemory)},
                     "cannot be started: " + error.code().message() +
                         "; raise the limit on processes (ulimit -u, a container's pids) or files (ulimit "
                         "-n), or use fewer workers"};
  }
  accepts = true;
  return std::nullopt;
}

bool Crew::is_idle() const {
  return waiting.empty() &&
         std::all_of(workers.begin(), workers.end(), [](const Worker& w) { return w.tasks.empty(); });
}

bool Crew::all_given_up() const {
  return std::all_of(workers.begin(), workers.end(), [](const Worker& w) { return w.given_up; });
}

bool Crew::may_have_more(const Worker& worker) const {
  if (waiting.empty() || !worker.accepts || !worker.ready) return false;
  const bool has_killed = waiting.front().deaths > 0;
  if (has_killed && !may_be_trusted(worker)) return false;
  if (worker.tasks.empty()) return true;
  return !worker.alone && !has_killed && static_cast<int64_t>(worker.tasks.size()) < most_each_;
}

/// Whether a picture may stake its second life on it: not on one whose last start drew nothing, while there
/// is a better one. It may be the worker that was to blame.
bool Crew::may_be_trusted(const Worker& worker) const {
  const auto is_better = [](const Worker& w) { return !w.given_up && w.fruitless_starts == 0; };
  return is_better(worker) || std::none_of(workers.begin(), workers.end(), is_better);
}

bool Crew::needs_another() const {
  const bool has_killed = !waiting.empty() && waiting.front().deaths > 0;
  const auto is_free = [&](const Worker& w) {
    return w.wanted && !w.given_up && w.tasks.empty() && (!has_killed || may_be_trusted(w));
  };
  return waiting.size() > static_cast<size_t>(std::count_if(workers.begin(), workers.end(), is_free));
}

const Work& Crew::give_next(Worker& worker) {
  Task task = std::move(waiting.front());
  waiting.pop_front();
  worker.alone = task.deaths > 0;
  const uint64_t ticket = task.work.ticket;
  return worker.tasks.emplace(ticket, std::move(task)).first->second.work;
}

std::vector<uint64_t> Crew::take_back(Worker& worker) {
  std::vector<uint64_t> lost;
  for (auto& [ticket, task] : worker.tasks) {
    if (++task.deaths > 1) {
      lost.push_back(ticket);
    } else {
      waiting.push_front(std::move(task));
    }
  }
  worker.tasks.clear();
  worker.alone = false;
  return lost;
}

}  // namespace brume::batch
