#include "brume/batch/unfinished.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "brume/base/error.h"
#include "brume/batch/shard_files.h"

namespace brume::batch {

namespace fs = std::filesystem;

UnfinishedMark::UnfinishedMark(fs::path directory, const Shard& shard)
    : directory_(std::move(directory)), shard_(shard) {
  const fs::path mark = kUnfinished.of(directory_, shard_);
  const int fd = ::open(mark.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
  if (fd < 0) {
    throw Error(ExitCode::kOutputFailed, mark.string(),
                "cannot write: " + std::generic_category().message(errno), "choose a place you may write to");
  }
  ::close(fd);
}

void UnfinishedMark::finish() const {
  std::error_code failed;  // where it stays, the run is looked at once more than needed
  for (const Shard& shard : kUnfinished.shards_in(directory_)) {
    if (shard == shard_ || shard_.covers(shard)) fs::remove(kUnfinished.of(directory_, shard), failed);
  }
}

}  // namespace brume::batch
