#include "memory/trace.h"

#include <algorithm>
#include <istream>
#include <stdexcept>

namespace brume::testing {

namespace {

constexpr const char* kTitle = "brume memory trace 1";

}  // namespace

void TraceWriter::see(uint64_t address, int64_t bytes) {
  const std::lock_guard lock(mutex_);
  if (bytes > 0) {
    Piece& piece = held_[address];
    piece = {(bytes + kTraceUnit - 1) / kTraceUnit};
    if (!paused_) take(piece);
  } else if (const auto found = held_.find(address); found != held_.end()) {
    const Piece piece = found->second;
    held_.erase(found);
    if (piece.place < 0) return;
    if (paused_)
      gone_.push_back(piece);
    else
      free(piece);
  }
}

void TraceWriter::take(Piece& piece) {
  if (free_places_.empty()) free_places_.insert(places_++);
  piece.place = *free_places_.begin();
  free_places_.erase(free_places_.begin());
  lines_ << '+' << piece.place << ' ' << piece.units << '\n';
}

void TraceWriter::free(const Piece& piece) {
  free_places_.insert(piece.place);
  lines_ << '-' << piece.place << '\n';
}

/// What came of a pause.
void TraceWriter::write_changes() {
  for (const Piece& piece : gone_) free(piece);
  gone_.clear();
  for (auto& [address, piece] : held_) {
    if (piece.place < 0) take(piece);
  }
}

void TraceWriter::phase(const std::string& name) {
  const std::lock_guard lock(mutex_);
  if (paused_ && !(gone_.empty() && held_.empty())) {
    lines_ << "= unrecorded\n";
    write_changes();
  }
  paused_ = false;
  lines_ << "= " << name << '\n';
}

void TraceWriter::pause() {
  const std::lock_guard lock(mutex_);
  paused_ = true;
}

void TraceWriter::fact(const std::string& name, const std::string& value) {
  const std::lock_guard lock(mutex_);
  facts_ << name << ' ' << value << '\n';
}

std::string TraceWriter::text() const {
  const std::lock_guard lock(mutex_);
  return std::string(kTitle) + '\n' + facts_.str() + lines_.str();
}

MemoryTrace MemoryTrace::read(std::istream& text) {
  MemoryTrace trace;
  std::map<int64_t, int64_t> held;  // bytes by place
  int64_t bytes = 0;
  int64_t number = 0;
  std::string line;
  const auto refuse = [&] {
    throw std::runtime_error("line " + std::to_string(number) + " of a memory trace: " + line);
  };
  while (std::getline(text, line)) {
    if (++number == 1) {
      if (line != kTitle) refuse();
      continue;
    }
    std::istringstream words(line.empty() ? line : line.substr(1));
    int64_t place = 0;
    int64_t units = 0;
    if (line.starts_with("= ")) {
      if (!trace.phases.empty()) trace.phases.back().after = bytes;
      trace.phases.push_back({line.substr(2), bytes, bytes, bytes});
    } else if (trace.phases.empty()) {
      const size_t space = line.find(' ');
      if (space == std::string::npos) refuse();
      trace.facts[line.substr(0, space)] = line.substr(space + 1);
    } else if (line.starts_with('+')) {
      if (!(words >> place >> units) || units <= 0 || !held.emplace(place, units * kTraceUnit).second)
        refuse();
      bytes += units * kTraceUnit;
      trace.phases.back().peak = std::max(trace.phases.back().peak, bytes);
    } else {
      if (!line.starts_with('-') || !(words >> place) || !held.contains(place)) refuse();
      bytes -= held.extract(place).mapped();
    }
  }
  if (trace.phases.empty()) throw std::runtime_error("a memory trace without phases");
  trace.phases.back().after = bytes;
  return trace;
}

const TracedPhase& MemoryTrace::phase(const std::string& name) const {
  const auto found = std::find_if(phases.begin(), phases.end(),
                                  [&](const TracedPhase& phase) { return phase.name == name; });
  if (found == phases.end()) throw std::runtime_error("a memory trace without the phase " + name);
  return *found;
}

}  // namespace brume::testing
