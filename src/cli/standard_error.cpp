#include "standard_error.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "stream_room.h"

namespace brume::cli {

void print_told(std::string_view text) {
  while (!text.empty() && has_room(STDERR_FILENO)) {
    const ssize_t n = ::write(STDERR_FILENO, text.data(), std::min(text.size(), kMostPiece));
    if (n < 0 && errno != EINTR && errno != EAGAIN) return;  // there is nobody to tell that
    if (n > 0) text.remove_prefix(static_cast<size_t>(n));
  }
}

}  // namespace brume::cli
