#include "brume/batch/worker_pool.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <exception>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <utility>
#include <variant>

#include "brume/base/error.h"
#include "brume/base/file.h"
#include "brume/base/threads.h"
#include "brume/batch/worker_protocol.h"
#include "busier.h"
#include "crew.h"
#include "worker_end.h"

namespace brume::batch {

namespace {

using Lock = std::unique_lock<std::mutex>;
using Clock = std::chrono::steady_clock;

constexpr int kMostFruitlessStarts = 4;
constexpr const char* kDrewNothing = "4 starts in a row drew nothing, the last: ";
constexpr auto kLookForStops = std::chrono::milliseconds(50);

/// False where it is dead, which shows at its output too.
bool takes(const ChildProcess& child, const std::string& line) {
  try {
    write_all(child.input(), std::as_bytes(std::span(line)), "a worker");
    return true;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

/// The state that the threads of a run share, all under one mutex. Each worker has a thread that sends it
/// tasks and one that takes its pictures; another reads the source.
class WorkerPool::Run {
 public:
  explicit Run(WorkerPool& pool)
      : pool_(pool), settings_(pool.settings_), crew_(settings_.workers.size(), settings_.most_each) {}

  bool go() {
    std::vector<std::thread> threads;
    threads.reserve(2 * crew_.workers.size() + 1);
    // All that a run will ever need, so that none is missing in the middle of it.
    guarded([&] {
      for (size_t i = 0; i < crew_.workers.size(); ++i) {
        threads.push_back(start_thread([this, i] { send_tasks(crew_.workers[i]); }));
        threads.push_back(start_thread([this, i] { attend(i); }));
      }
      threads.push_back(start_thread([this] { guarded([this] { read_source(); }); }));
    });
    watch_for_stops();
    for (std::thread& thread : threads) thread.join();
    if (failure_) std::rethrow_exception(failure_);
    return !stopping_;
  }

 private:
  template <class Work>
  void guarded(const Work& work) {
    try {
      work();
    } catch (...) {
      const Lock lock(mutex_);
      if (!failure_) failure_ = std::current_exception();
      end_now();
    }
  }

  /// Nothing more is drawn; what waits for something goes on.
  void end_now() {
    stopping_ = true;
    pool_.ending_ = true;
    crew_.waiting.clear();
    for (Worker& worker : crew_.workers) {
      if (worker.child) worker.child->send(SIGTERM);
    }
    changed_.notify_all();
  }

  void read_source() {
    const size_t most = crew_.workers.size() * static_cast<size_t>(settings_.most_each);
    while (true) {
      {
        Lock lock(mutex_);
        changed_.wait(lock, [&] { return stopping_ || crew_.waiting.size() < most; });
        if (stopping_) break;
      }
      std::optional<Work> work = pool_.source_();
      const Lock lock(mutex_);
      if (!work) break;
      crew_.waiting.push_back({std::move(*work), 0});
      changed_.notify_all();
    }
    const Lock lock(mutex_);
    source_ended_ = true;
    changed_.notify_all();
  }

  void watch_for_stops() {
    Lock lock(mutex_);
    while (!stopping_ && (at_work_ > 0 || !all_done())) {
      changed_.wait_for(lock, kLookForStops);
      if (pool_.stop_signal_() != 0) end_now();
    }
    const auto deadline = Clock::now() + std::chrono::duration_cast<Clock::duration>(patience());
    if (changed_.wait_until(lock, deadline, [this] { return at_work_ == 0; })) return;
    // It hangs, or somebody has stopped it.
    for (Worker& worker : crew_.workers) {
      if (worker.child) worker.child->send(SIGKILL);
    }
  }

  /// After the grace a step may have to end and a picture be decoded: so long as some of those that were seen
  /// took, or what is given where none was.
  std::chrono::duration<double> patience() const {
    constexpr double kLeast = 5;
    constexpr double kSome = 4;
    const auto steps = static_cast<double>(pool_.steps_done_);
    if (steps == 0) return settings_.grace + settings_.patience;
    const double step = pool_.busy_.denoise / steps * static_cast<double>(settings_.most_each);
    const double decode = pictures_ > 0 ? pool_.busy_.decode / static_cast<double>(pictures_) : 0;
    return settings_.grace + std::chrono::duration<double>(std::max(kLeast, kSome * (step + decode)));
  }

  bool all_done() const { return source_ended_ && crew_.is_idle(); }

  /// No more lives begin, and no more tasks are sent. Once true, this stays so.
  bool ending() const { return stopping_ || all_done(); }

  /// Serves a worker until it is needed no more.
  void attend(size_t number) {
    {
      const Lock lock(mutex_);
      ++at_work_;
    }
    guarded([this, number] { serve(number); });
    const Lock lock(mutex_);
    --at_work_;
    changed_.notify_all();
  }

  /// One life of a worker after the other.
  void serve(size_t number) {
    Worker& worker = crew_.workers[number];
    {
      // A worker without work need not be started.
      Lock lock(mutex_);
      changed_.wait(lock, [&] { return ending() || crew_.needs_another(); });
      worker.wanted = true;
    }
    while (true) {
      std::optional<WorkerEnd> no_room;
      {
        const Lock lock(mutex_);
        if (ending()) break;
        no_room = worker.begin_life(settings_.workers[number].command);
      }
      if (no_room) {
        give_up(number, *no_room);
        break;
      }
      take_pictures(worker);
      {
        Lock lock(mutex_);
        worker.accepts = false;
        changed_.wait(lock, [&] { return !worker.sending; });
      }
      if (!outlive(number)) break;
    }
  }

  void send_tasks(Worker& worker) {
    while (true) {
      std::string line;
      {
        Lock lock(mutex_);
        changed_.wait(lock, [&] { return ending() || crew_.may_have_more(worker); });
        if (ending()) {
          if (worker.accepts) worker.child->close_input();
          return;
        }
        line = work_line(crew_.give_next(worker));
        worker.sending = true;
        changed_.notify_all();
      }
      const bool took = takes(*worker.child, line);
      const Lock lock(mutex_);
      worker.sending = false;
      worker.accepts = worker.accepts && took;
      changed_.notify_all();
    }
  }

  void take_pictures(Worker& worker) {
    WorkerReader reader(worker.child->output());
    while (std::optional<WorkerMessage> message = reader.next()) {
      if (auto* const frame = std::get_if<MadeFrame>(&*message)) {
        take_picture(worker, std::move(*frame));
      } else if (const auto* const failure = std::get_if<WorkerFailure>(&*message)) {
        worker.told = failure->text;
      } else {
        const Lock lock(mutex_);
        worker.device = std::get<WorkerReady>(*message).device;
        worker.ready = worker.has_lived = true;
        changed_.notify_all();
      }
    }
    // It would wait for its next task, and its end be waited for.
    if (reader.broken()) worker.child->send(SIGKILL);
  }

  void take_picture(Worker& worker, MadeFrame frame) {
    bool asked_for = false;
    {
      const Lock lock(mutex_);
      asked_for = !failure_ && worker.tasks.contains(frame.made.ticket);
      count(worker, frame.use);
      worker.drew = true;
      ++pictures_;
    }
    if (!asked_for) return;
    const uint64_t ticket = frame.made.ticket;
    frame.made.device = worker.device;
    guarded([&] { hand_over(std::move(frame.made)); });
    const Lock lock(mutex_);
    worker.tasks.erase(ticket);
    changed_.notify_all();
  }

  void hand_over(Made made) {
    const Busier busier(pool_.busy_.write);
    pool_.sink_(std::move(made));
  }

  /// Adds what a worker has used since it last told.
  void count(Worker& worker, const WorkerUse& use) {
    const WorkerUse before = std::exchange(worker.use, use);
    pool_.steps_done_ += use.steps - before.steps;
    pool_.busy_.load += use.load - before.load;
    pool_.busy_.text += use.text - before.text;
    pool_.busy_.denoise += use.denoise - before.denoise;
    pool_.busy_.decode += use.decode - before.decode;
    const int64_t peak = std::max(worker.peak_memory, use.peak_memory);
    pool_.workers_memory_ += peak - std::exchange(worker.peak_memory, peak);
  }

  /// After a worker's end. False where it is not to be started again.
  bool outlive(size_t number) {
    Worker& worker = crew_.workers[number];
    worker.child->await_end();
    WorkerEnd end{{}, std::exchange(worker.told, {})};
    std::vector<uint64_t> lost;
    {
      // Its number may be another process's once it was let go of, and others send it signals.
      const Lock lock(mutex_);
      end.process = worker.child->wait();
      worker.child.reset();
      if (ending()) {
        worker.tasks.clear();
        return false;
      }
      worker.fruitless_starts = worker.drew ? 0 : worker.fruitless_starts + 1;
      lost = crew_.take_back(worker);
      changed_.notify_all();
    }
    for (const uint64_t ticket : lost) hand_over({ticket, {}, "its worker died twice (" + end.cause() + ")"});
    const WorkerName& name = settings_.workers[number].name;
    // A model or options that are wrong for all of the workers.
    if (end.is_hopeless() && !worker.has_lived)
      throw Error(end.exit_code(), end.told.empty() ? name.text() : "", end.advice());
    if (end.is_hopeless() || worker.fruitless_starts == kMostFruitlessStarts) {
      give_up(number, end);
      return false;
    }
    if (worker.ready) settings_.faults.died(name, end.cause());
    return true;
  }

  /// Goes on with the other workers; where there are none left, the batch ends with what this one died of.
  void give_up(size_t number, const WorkerEnd& end) {
    Worker& worker = crew_.workers[number];
    const WorkerName& name = settings_.workers[number].name;
    std::string why = end.advice();
    if (worker.fruitless_starts == kMostFruitlessStarts) why = kDrewNothing + why;
    bool is_last = false;
    {
      const Lock lock(mutex_);
      worker.given_up = true;
      is_last = crew_.all_given_up();
    }
    settings_.faults.given_up({name, why}, is_last);
    if (is_last) throw Error(end.exit_code(), name.text(), why);
  }

  WorkerPool& pool_;
  const WorkerPoolSettings& settings_;
  std::mutex mutex_;
  std::condition_variable changed_;
  Crew crew_;
  bool source_ended_ = false;
  bool stopping_ = false;
  size_t at_work_ = 0;
  int64_t pictures_ = 0;  // that workers have sent
  std::exception_ptr failure_;
};

WorkerPool::WorkerPool(WorkerPoolSettings settings, Runner::Source source, Runner::Sink sink,
                       std::function<int()> stop_signal)
    : settings_(std::move(settings)),
      source_(std::move(source)),
      sink_(std::move(sink)),
      stop_signal_(std::move(stop_signal)) {}

bool WorkerPool::run() { return Run(*this).go(); }

}  // namespace brume::batch
