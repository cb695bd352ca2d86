#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "brume/batch/journal_record.h"
#include "brume/batch/key_index.h"
#include "brume/batch/run_lock.h"
#include "brume/batch/shard.h"

namespace brume::batch {

/// How closely a picture is looked at: its size, or every byte.
enum class Verify { kSize, kContents };

/// What a job's last record and the file it names say.
enum class State {
  kUnknown,  // no record
  kDone,
  kMissing,  // done, but the file is gone
  kDamaged,  // done, but the file is another than was written
  kFailed,
};

/// Of the picture that a done record names, by its size: kDone, kMissing or kDamaged.
State state_by_size(const std::filesystem::path& directory, const JournalRecord& record);

/// What a run does to a directory. Who only reads takes no lock and changes nothing, and what others write
/// meanwhile it may or may not see.
enum class Access { kWrite, kRead };

/// What has been done in a directory, in DIR/brume-journal.jsonl, or brume-journal.I-of-N.jsonl for a shard:
/// one record a line, on the disk before append returns. Records of the directory's other journals count too,
/// so that a batch may go on with another number of shards.
class Journal {
 public:
  /// Makes the journal, or reads it and cuts off a last line that was not written to its end. Throws kLocked
  /// while another run has jobs of this shard, kOutputFailed if it cannot be made.
  explicit Journal(std::filesystem::path directory, Shard shard = {}, Access access = Access::kWrite);
  ~Journal();
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  const std::filesystem::path& directory() const { return directory_; }
  const Shard& shard() const { return shard_; }
  Access access() const { return access_; }
  /// What was odd when it was opened, a line each.
  const std::vector<std::string>& remarks() const { return remarks_; }

  /// How many keys it has records of.
  size_t size() const { return places_.size(); }
  /// Throws kOutputFailed; the journal then is as it was before.
  void append(const JournalRecord& record);
  /// Whether it was done since the journal was opened.
  bool has_done_now(const JobKey& key) const;
  /// The last record of the key.
  std::optional<JournalRecord> find(const JobKey& key) const;
  State check(const JobKey& key, Verify verify = Verify::kSize) const;

 private:
  void refuse_overlapping_runs() const;
  void lock();
  void open_own();
  void read_own();
  void read_other(const std::filesystem::path& path);
  void index(uint64_t file, uint64_t offset, const RecordHead& head);
  void cut_to_end();
  bool is_removed() const;

  std::filesystem::path directory_;
  Shard shard_;
  Access access_;
  std::filesystem::path path_;
  std::optional<RunLock> lock_;
  std::vector<std::string> remarks_;
  std::vector<std::filesystem::path> others_;
  KeyIndex places_;
  int fd_ = -1;
  uint64_t begin_ = 0;  // of this run's records
  uint64_t end_ = 0;    // of the last whole record
  bool torn_ = false;   // a part of a record may follow it
};

/// Throws kOutputFailed for a directory that no journal can be in.
void check_directory(const std::filesystem::path& directory, Access access);

}  // namespace brume::batch
