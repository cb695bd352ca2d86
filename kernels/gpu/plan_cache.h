#pragma once
#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace brume::kernels::gpu {

/// What was measured on one kind of GPU with one set of libraries, kept in a file between starts. A cache: a
/// file that is damaged, of another version or about another GPU is as good as none, and one that cannot be
/// written is not. One thread at a time.
class PlanCache {
 public:
  static constexpr size_t kMaxEntries = 4096;
  static constexpr size_t kMaxFileBytes = 4 << 20;
  /// Longer entries are not taken.
  static constexpr size_t kMaxEntryBytes = 64 << 10;

  /// `identity` names the GPU, its driver and the libraries. With an empty directory nothing is kept.
  PlanCache(std::filesystem::path directory, std::string identity);

  std::optional<std::string> find(std::string_view key) const;
  void put(const std::string& key, const std::string& value);
  /// Writes what was put since, over what other processes wrote meanwhile; the oldest entries make way.
  /// Whether that succeeded.
  bool save();

  /// Where the entries are kept.
  std::filesystem::path file() const;
  size_t size() const { return kept_.size() + added_.size(); }

 private:
  /// Keys and values, the oldest first.
  using Entries = std::vector<std::pair<std::string, std::string>>;
  static void put_last(Entries& entries, const std::string& key, const std::string& value);
  /// Drops the oldest until the rest may be written.
  void bound(Entries& entries) const;
  size_t bytes_of(const Entries& entries) const;
  std::string written(const Entries& entries) const;
  /// Nothing where any byte is not as `written` made it for this identity.
  Entries read() const;

  std::filesystem::path directory_;
  std::string identity_;
  Entries kept_;   // as read or written last
  Entries added_;  // since
};

}  // namespace brume::kernels::gpu
