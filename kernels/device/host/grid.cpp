#include "kernels/device/host/grid.h"

#include <algorithm>
#include <random>
#include <set>
#include <stdexcept>
#include <string_view>

namespace brume::kernels::device::host {

namespace {

constexpr size_t kMostFaults = 5;
constexpr int kBankBytes = 4;
constexpr int kBanks = 32;

Thread*& running() {
  // The kernel's code asks who it is; nothing can be passed to it.
  thread_local Thread* thread = nullptr;
  return thread;
}

void pause(Thread& thread) { thread.fiber->pause(); }

}  // namespace

Thread& current() {
  if (running() == nullptr) throw std::logic_error("no kernel is running");
  return *running();
}

int extra_passes(const std::vector<std::pair<int, int>>& accesses) {
  if (accesses.empty()) return 0;
  // 16-byte accesses are served by quarter warps, 8-byte ones by halves (each a pass of at most 128 bytes).
  const int bytes = accesses.front().second;
  const size_t together = bytes <= kBankBytes ? kBanks : static_cast<size_t>(kBanks * kBankBytes / bytes);
  int extra = 0;
  for (size_t first = 0; first < accesses.size(); first += together) {
    std::array<std::set<int>, kBanks> words;  // distinct words asked of each bank
    for (size_t i = first; i < std::min(first + together, accesses.size()); ++i) {
      for (int word = accesses[i].first / kBankBytes; word * kBankBytes < accesses[i].first + bytes; ++word)
        words[static_cast<size_t>(word % kBanks)].insert(word);
    }
    size_t passes = 1;
    for (const std::set<int>& bank : words) passes = std::max(passes, bank.size());
    extra += static_cast<int>(passes) - 1;
  }
  return extra;
}

Block::Block(const Launch& launch, std::array<int, 3> place, GlobalBytes& global, Report& report)
    : launch_(launch),
      place_(place),
      global_(global),
      report_(report),
      shared_(launch.shared_bytes, launch.threads),
      warps_(static_cast<size_t>(launch.threads / kWarpSize)),
      instructions_(warps_.size()),
      random_(launch.schedule + 9973 * static_cast<uint32_t>(number())) {
  for (int i = 0; i < launch.threads; ++i) {
    threads_.push_back(Thread{this, i, Clock(static_cast<size_t>(launch.threads + kMostMbarriers))});
    threads_.back().clock[static_cast<size_t>(i)] = 1;
  }
}

bool Block::advance() {
  bool moved = false;
  const bool all = launch_.schedule == 0;
  for (size_t warp = 0; warp < warps_.size() && report_.faults.empty(); ++warp)
    moved = ((all || random_() % 4 == 0) && advance_warp(warp)) || moved;
  // The draw may have met only those that wait.
  for (size_t warp = 0; warp < warps_.size() && !all && !moved; ++warp) moved = advance_warp(warp);
  return moved;
}

bool Block::advance_warp(size_t warp) {
  bool moved = false;
  for (size_t lane = 0; lane < kWarpSize && report_.faults.empty(); ++lane) {
    Thread& thread = threads_[warp * kWarpSize + lane];
    if (thread.fiber->ended() || (thread.waits_for && !thread.waits_for())) continue;
    thread.waits_for = nullptr;
    running() = &thread;
    thread.fiber->resume();
    running() = nullptr;
    moved = true;
  }
  return moved;
}

bool Block::ended() const {
  return std::all_of(threads_.begin(), threads_.end(), [](const Thread& t) { return t.fiber->ended(); });
}

std::string Block::standstill() const {
  std::map<std::string, int> places;
  for (const Thread& thread : threads_) ++places[thread.fiber->ended() ? "the end" : thread.waits_at];
  std::string text = "deadlock:";
  for (const auto& [place, count] : places)
    text += " " + std::to_string(count) + " threads at " + place + ";";
  return text;
}

void Block::fail(const std::string& fault) {
  if (report_.faults.size() < kMostFaults) {
    report_.faults.push_back("block " + std::to_string(place_[0]) + "," + std::to_string(place_[1]) + "," +
                             std::to_string(place_[2]) + ": " + fault);
  }
}

void Block::wait(Thread& thread, const char* at, std::function<bool()> done) {
  if (done()) return;
  thread.waits_at = at;
  thread.waits_for = std::move(done);
  pause(thread);
}

void Block::meet_in_warp(Thread& thread, const char* name, void* operand,
                         const std::function<void(const Operands&)>& operation) {
  WarpMeeting& meeting = warps_[static_cast<size_t>(thread.warp())];
  if (meeting.arrived == 0) meeting.name = name;
  if (meeting.name != std::string_view(name)) {
    fail("the lanes of warp " + std::to_string(thread.warp()) + " are not together: " + meeting.name +
         " and " + name);
    pause(thread);
  }
  meeting.operands[static_cast<size_t>(thread.lane())] = operand;
  thread.shared_access = {};
  if (++meeting.arrived < kWarpSize) {
    const int64_t before = meeting.finished;
    wait(thread, name, [&meeting, before] { return meeting.finished > before; });
    return;
  }
  settle_accesses(thread.warp());
  meeting.arrived = 0;
  ++meeting.finished;
  operation(meeting.operands);
}

void Block::order(const std::vector<Thread*>& threads) {
  Clock joined = threads.front()->clock;
  for (const Thread* thread : threads) joined.join(thread->clock);
  for (Thread* thread : threads) {
    thread->clock = joined;
    ++thread->clock[static_cast<size_t>(thread->index)];
    thread->shared_access = {};
  }
}

void Block::order_warp(int warp) {
  std::vector<Thread*> lanes;
  for (Thread& thread : threads_) {
    if (thread.warp() == warp) lanes.push_back(&thread);
  }
  order(lanes);
}

void Block::meet(Thread& thread, int id, int count) {
  Barrier& barrier = barriers_[id];
  barrier.arrived.push_back(&thread);
  if (finish(barrier, count)) return;
  const int64_t before = barrier.finished;
  wait(thread, "a barrier", [&barrier, before] { return barrier.finished > before; });
}

void Block::arrive(Thread& thread, int id, int count) {
  Barrier& barrier = barriers_[id];
  ++barrier.passing;
  barrier.heard.join(thread.clock);
  ++thread.clock[static_cast<size_t>(thread.index)];
  finish(barrier, count);
}

bool Block::finish(Barrier& barrier, int count) {
  if (static_cast<int>(barrier.arrived.size()) + barrier.passing < count) return false;
  for (int warp = 0; warp < static_cast<int>(warps_.size()); ++warp) settle_accesses(warp);
  if (!barrier.arrived.empty()) {
    barrier.arrived.front()->clock.join(barrier.heard);
    order(barrier.arrived);
  }
  barrier.arrived.clear();
  barrier.passing = 0;
  barrier.heard = Clock();
  ++barrier.finished;
  return true;
}

void Block::count_access(Thread& thread, bool store, int offset, int bytes) {
  int& number = thread.shared_access[store ? 1 : 0];
  auto& instructions = instructions_[static_cast<size_t>(thread.warp())];
  Instruction& instruction = instructions[{store, number++}];
  instruction.accesses.emplace_back(offset, bytes);
  if (++instruction.lanes < kWarpSize) return;
  report_.bank_conflicts += extra_passes(instruction.accesses);
  instructions.erase({store, number - 1});
}

/// Instructions that not every lane took part in.
void Block::settle_accesses(int warp) {
  for (const auto& [key, instruction] : instructions_[static_cast<size_t>(warp)])
    report_.bank_conflicts += extra_passes(instruction.accesses);
  instructions_[static_cast<size_t>(warp)].clear();
}

Report run_grid(const Launch& launch, const std::function<void()>& kernel) {
  if (launch.threads < kWarpSize || launch.threads % kWarpSize != 0)
    throw std::invalid_argument("a block's threads must be a multiple of 32");
  constexpr int kPatience = 1000;  // rounds in which nothing moved, though some blocks rested
  if (int64_t{launch.x} * launch.y * launch.z > GlobalBytes::kMostBlocks)
    throw std::invalid_argument("more blocks than the host body counts");
  Report report;
  GlobalBytes global(launch.x, launch.y, launch.threads);
  std::deque<Block> blocks;
  std::mt19937 random(static_cast<uint32_t>(launch.x * 31 + launch.y) + launch.schedule);
  int resting = 0;
  const auto finish = [&] {
    while (report.faults.empty() &&
           !std::all_of(blocks.begin(), blocks.end(), [](const Block& b) { return b.ended(); })) {
      bool moved = false;
      bool all_asked = true;
      for (Block& block : blocks) {
        // Blocks owe each other no fairness: now one, now another falls behind.
        const bool rests = blocks.size() > 1 && random() % 2 == 0;
        all_asked = all_asked && !rests;
        moved = (!rests && report.faults.empty() && block.advance()) || moved;
      }
      resting = moved ? 0 : resting + (all_asked ? kPatience : 1);
      if (resting >= kPatience) blocks.front().fail(blocks.front().standstill());
    }
    blocks.clear();
  };
  for (int z = 0; z < launch.z && report.faults.empty(); ++z) {
    for (int y = 0; y < launch.y && report.faults.empty(); ++y) {
      for (int x = 0; x < launch.x && report.faults.empty(); ++x) {
        Block& block = blocks.emplace_back(launch, std::array<int, 3>{x, y, z}, global, report);
        for (Thread& thread : block.threads_) thread.fiber = std::make_unique<Fiber>(kernel);
        if (launch.residency == Residency::kOneByOne) finish();
      }
    }
  }
  finish();
  return report;
}

}  // namespace brume::kernels::device::host
