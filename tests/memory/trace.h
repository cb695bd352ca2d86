#pragma once
#include <cstdint>
#include <iosfwd>
#include <map>
#include <mutex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace brume::testing {

// What a program's tensors took of a GPU's memory and let go of, in order and in phases, as text:
//
//   brume memory trace 1
//   model sd15            what was drawn, a line each
//   = weights             a phase begins
//   +0 2304               takes a place that is free, the least, and so many units of 512 bytes
//   -0                    and lets go of it

inline constexpr int64_t kTraceUnit = 512;  // bytes: what libtorch gives is a multiple of it

/// Makes the text. May be told of memory from several threads.
class TraceWriter {
 public:
  /// bytes at `address` that were taken, or below zero let go.
  void see(uint64_t address, int64_t bytes);
  /// Begins one. It has all that was taken and let go from here on; what is still there was taken before.
  void phase(const std::string& name);
  /// As a phase that is not written down: the next one begins with what came of it.
  void pause();
  void fact(const std::string& name, const std::string& value);
  std::string text() const;

 private:
  struct Piece {
    int64_t units;
    int64_t place = -1;  // of the text; below zero: not written yet
  };

  void take(Piece& piece);
  void free(const Piece& piece);
  void write_changes();

  mutable std::mutex mutex_;
  std::ostringstream facts_;
  std::ostringstream lines_;
  std::map<uint64_t, Piece> held_;  // by address
  std::vector<Piece> gone_;         // since the pause, and written before
  std::set<int64_t> free_places_;
  int64_t places_ = 0;
  bool paused_ = true;
};

/// What a phase of it held.
struct TracedPhase {
  std::string name;
  int64_t before = 0;  // bytes, when it began
  int64_t peak = 0;    // the most of all at a time
  int64_t after = 0;
};

struct MemoryTrace {
  std::map<std::string, std::string> facts;
  std::vector<TracedPhase> phases;

  /// Throws std::runtime_error, with the line, for one that is none.
  static MemoryTrace read(std::istream& text);
  const TracedPhase& phase(const std::string& name) const;
};

}  // namespace brume::testing
