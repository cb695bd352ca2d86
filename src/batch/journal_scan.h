#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "brume/base/file.h"
#include "brume/batch/journal_record.h"

namespace brume::batch {

/// Calls `visit` with the offset of each line of a journal that ends, and its head, or nothing if the line is
/// damaged. Returns where the last of them ends: what follows was never written to its end.
uint64_t scan_journal(const InputFile& file,
                      const std::function<void(uint64_t offset, const std::optional<RecordHead>&)>& visit);

/// The remark on a journal's damaged lines.
std::string damaged_remark(const std::filesystem::path& journal, int64_t lines);

/// The record of the line at `offset`; nothing if there is none that is whole.
std::optional<JournalRecord> read_record_at(const InputFile& file, uint64_t offset);
std::optional<JournalRecord> read_record_at(int fd, uint64_t offset);

}  // namespace brume::batch
