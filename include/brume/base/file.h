#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "brume/base/error.h"

namespace brume {

/// A regular file open for reading. Its size is taken once, from the open descriptor; a later short read is
/// an error, so a file that shrinks while it is read can never raise SIGBUS.
class InputFile {
 public:
  /// Throws with `code` if `path` cannot be opened or is not a regular file.
  InputFile(std::filesystem::path path, ExitCode code);
  ~InputFile();
  InputFile(InputFile&& other) noexcept;
  InputFile& operator=(InputFile&&) = delete;

  const std::filesystem::path& path() const { return path_; }
  uint64_t size() const { return size_; }

  /// Fills `out` with the bytes from `offset`. Safe from several threads.
  void read_at(uint64_t offset, std::span<std::byte> out) const;

 private:
  std::filesystem::path path_;
  ExitCode code_;
  int fd_ = -1;
  uint64_t size_ = 0;
};

/// The whole of a file of at most `limit` bytes; a longer one is an error that names the limit.
std::string read_text_file(const std::filesystem::path& path, uint64_t limit, ExitCode code);

/// Whether an existing file may be replaced.
enum class Existing {
  kReplace,
  kKeep,
  kReplaceName,  // whatever has the name goes, also a link: for files that are ours, in a folder that others
                 // may write to
};

/// Writes `bytes` to `path` so that a reader sees the old file or the whole new one, never a part: a
/// temporary file in the same directory, fsync, rename, fsync of the directory. With kKeep an existing `path`
/// is an error. Throws kOutputFailed, and leaves no temporary file behind. With kReplace a link is
/// followed, and a device or a pipe is written into and never replaced. `mark` becomes a part of the
/// temporary file's name, by which temporaries_in finds what a killed writer left.
void write_file_atomically(const std::filesystem::path& path, std::span<const std::byte> bytes,
                           Existing existing = Existing::kReplace, const std::string& mark = {});
/// As write_file_atomically with kKeep, but a `path` that is taken is an answer: false, and nothing is
/// written.
bool write_new_file(const std::filesystem::path& path, std::span<const std::byte> bytes,
                    const std::string& mark = {});
/// As write_file_atomically, for a file whose parts lie in several places: they are written one after the
/// other.
void write_parts_atomically(const std::filesystem::path& path,
                            std::span<const std::span<const std::byte>> parts,
                            Existing existing = Existing::kReplace, const std::string& mark = {});

/// Takes the bytes of a file, piece after piece.
using ByteSink = std::function<void(std::span<const std::byte>)>;
/// As write_file_atomically, for what is better not held in memory: `produce` gives the bytes to the sink,
/// and true, or false to give up, which is the answer then; `path` stays as it was.
bool write_stream_atomically(const std::filesystem::path& path,
                             const std::function<bool(const ByteSink&)>& produce,
                             const std::string& mark = {}, Existing existing = Existing::kReplace);

/// Where a write to `path` really goes: links are followed, also one whose target is not there yet.
std::filesystem::path written_place(const std::filesystem::path& path);

/// Throws kOutputFailed for a file of ours in whose place somebody put a link.
[[noreturn]] void refuse_link(const std::filesystem::path& path);

/// Throws kOutputFailed unless a file can be made in `directory`: it makes one and removes it.
void check_can_create(const std::filesystem::path& directory);

/// Makes the names in `directory` last: fsync. Throws kOutputFailed.
void sync_directory(const std::filesystem::path& directory);

/// A file that a writer with a mark has not renamed: it was killed, or is still writing.
struct Temporary {
  std::filesystem::path file;
  std::string mark;
};
std::vector<Temporary> temporaries_in(const std::filesystem::path& directory);

/// Removes the temporary file of a write in progress. Safe in a signal handler that ends the program.
void remove_unfinished_file();

/// Writes all of `bytes` to an open descriptor (standard output, a pipe). `name` is for the message of the
/// kOutputFailed.
void write_all(int fd, std::span<const std::byte> bytes, const std::string& name);

}  // namespace brume
