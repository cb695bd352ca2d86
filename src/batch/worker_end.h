#pragma once
#include <string>

#include "brume/base/error.h"
#include "child_process.h"

namespace brume::batch {

/// How a life of a worker ended.
struct WorkerEnd {
  ChildProcess::End process;
  std::string told;  // why, in its own words, where it left any

  /// Whether no other start can end otherwise.
  bool is_hopeless() const;
  /// "signal 9", or its own words.
  std::string cause() const;
  /// The same in a sentence, with what to do.
  std::string advice() const;
  /// Of a batch that this ends.
  ExitCode exit_code() const;
};

}  // namespace brume::batch
