#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "brume/batch/job.h"

namespace brume::batch {

using JobOrBadLine = std::variant<Job, BadLine>;

/// Reads files of jobs, one after the other as if they were one, each as it arrives, in bounded memory. Each
/// line is of one of four kinds, told apart by how it begins:
///
///   # a comment                                 skipped, as are blank lines
///   {"prompt": "a fox", "seed": [1, 2]}         JSON; a list makes one picture of each of its values
///   --prompt "a fox" --steps 20                 A1111's, quoted as in a shell
///   a fox --n blurry --w 512 --d 1,2 --s 28     a prompt, and kohya's options where there are any
///
/// An option or a key has any name that the command line has for it, with dashes or underscores, or kohya's
/// letter; and `id`. A JSON key that begins with an underscore is a remark. Nothing is dropped in silence: a
/// name that is not known, or that brume cannot do, makes a bad line.
class JobsReader {
 public:
  using StopHook = std::function<bool()>;

  /// Of the files at `places`, or of standard input for "-". Where `stop_requested` says true, waiting for a
  /// pipe ends and so do the jobs. Files are opened now: another run may replace a list of failed jobs before
  /// its turn comes. Pipes at their turn: one writer may fill them one after the other. Throws kInputInvalid
  /// if one cannot be opened.
  explicit JobsReader(const std::vector<std::string>& places, StopHook stop_requested = {});
  /// Of an open descriptor, which stays the caller's; `name` stands for it in messages.
  JobsReader(int fd, std::string name, StopHook stop_requested = {});
  ~JobsReader();
  JobsReader(JobsReader&&) noexcept;
  JobsReader& operator=(JobsReader&&) noexcept;

  /// The next picture, or the next line that asks for none; given as soon as its line has arrived. Nothing at
  /// the end, and when a stop was requested. Throws kInputInvalid if reading fails.
  std::optional<JobOrBadLine> next();
  /// True once the end of all was read, and no stop came before it.
  bool ended() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace brume::batch
