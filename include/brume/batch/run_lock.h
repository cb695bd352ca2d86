#pragma once
#include <filesystem>
#include <optional>
#include <string>

namespace brume::batch {

/// Whether a lock that is taken is asked for again: a few times, as one who only looks has it for an instant;
/// or for minutes, where its holders, one after the other, need it no longer than a slow disk makes them.
enum class Patience { kNone, kSome, kMinutes };

/// Keeps a second run away: a file that is locked while the object lives, and gone afterwards. The lock ends
/// with the process, however it ends.
class RunLock {
 public:
  /// `what` is locked, for the message. Throws kLocked with who holds it, kOutputFailed if the file cannot be
  /// made.
  RunLock(std::filesystem::path file, const std::string& what, Patience patience = Patience::kSome);
  ~RunLock();
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

  /// False where the file system knows no locks: nobody is kept away.
  bool holds() const { return holds_; }

  /// Who holds it now ("process 12 on host"), or nothing.
  static std::optional<std::string> holder(const std::filesystem::path& file,
                                           Patience patience = Patience::kNone);

 private:
  bool take();
  void sign() const;

  std::filesystem::path file_;
  int fd_ = -1;
  bool holds_ = true;
};

}  // namespace brume::batch
