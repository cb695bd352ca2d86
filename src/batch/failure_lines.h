#pragma once
#include <filesystem>
#include <functional>
#include <string>

namespace brume::batch {

/// Whether a last line without an end counts: of a list that somebody edits it does, of one that a run was
/// killed in it is half a line.
enum class LastLine { kTake, kOnlyWhole };

/// Gives each line of a list of failed jobs without its end, but no empty ones; nothing of a file that is not
/// there. Throws kOutputFailed for what is no ordinary file, and for one that cannot be read.
void for_each_failure_line(const std::filesystem::path& file, LastLine last,
                           const std::function<void(const std::string& line)>& take);

/// Throws kOutputFailed for a list of failed jobs.
[[noreturn]] void refuse_list(const std::filesystem::path& file, const std::string& problem);

}  // namespace brume::batch
