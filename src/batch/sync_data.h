#pragma once
#include <unistd.h>

#include <cerrno>

namespace brume::batch {

/// Makes what was written to a file last: true, or false and errno. On some file systems a signal ends the
/// call early; that is no failure.
inline bool sync_data(int fd) {
  int failed = 0;
  do {
    failed = ::fdatasync(fd);
  } while (failed != 0 && errno == EINTR);
  return failed == 0;
}

}  // namespace brume::batch
