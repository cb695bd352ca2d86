#pragma once
#include <stdexcept>
#include <string>

namespace brume {

/// The program's exit codes: a contract with scripts and schedulers, so the numbers never change.
enum class ExitCode : int {
  kDone = 0,
  kItemsFailed = 1,
  kUsage = 2,
  kModelInvalid = 3,
  kInputInvalid = 4,
  kOutputFailed = 5,
  kOutOfMemory = 6,
  kGpuFault = 7,
  kLocked = 8,
  kUndecided = 9,  // of a benchmark: its intervals do not tell
};

/// The only exception brume throws. what() is one printable line: "WHERE: WHAT; REMEDY".
class Error : public std::runtime_error {
 public:
  /// `where` names the file, option or tensor; `problem` what is wrong with it; `remedy`, which may be empty,
  /// what to do.
  Error(ExitCode code, const std::string& where, const std::string& problem, const std::string& remedy = {});

  ExitCode code() const { return code_; }
  /// Whether `where` is what it names.
  bool names(const std::string& where) const;

 private:
  ExitCode code_;
};

}  // namespace brume
