#pragma once
#include <climits>
#include <cstddef>

namespace brume::cli {

/// What a pipe that has room at all has room for, and takes in one piece.
inline constexpr size_t kMostPiece = PIPE_BUF;

/// Waits until a standard stream has room for a piece. False where a stop was asked for a moment ago and
/// there is still none: the stop must not wait for a reader who does not read.
bool has_room(int stream);

}  // namespace brume::cli
