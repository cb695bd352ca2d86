#include "journal_scan.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <span>
#include <string>

namespace brume::batch {

namespace {

constexpr size_t kBlock = size_t{256} << 10;
constexpr size_t kMostLine = size_t{1} << 20;  // nobody's record is longer
constexpr size_t kUsualLine = 1024;

}  // namespace

uint64_t scan_journal(const InputFile& file,
                      const std::function<void(uint64_t offset, const std::optional<RecordHead>&)>& visit) {
  std::string block;
  std::string line;  // what came of it before this block
  uint64_t start = 0;
  for (uint64_t at = 0; at < file.size();) {
    block.resize(static_cast<size_t>(std::min<uint64_t>(kBlock, file.size() - at)));
    file.read_at(at, std::as_writable_bytes(std::span(block)));
    std::string_view rest = block;
    for (size_t end = rest.find('\n'); end != std::string_view::npos; end = rest.find('\n')) {
      const std::string_view tail = rest.substr(0, end);
      if (!line.empty()) line += tail;
      visit(start, read_record_head(line.empty() ? tail : line));
      line.clear();
      rest.remove_prefix(end + 1);
      start = at + (block.size() - rest.size());
    }
    if (line.size() <= kMostLine) line += rest;  // a longer one is damaged, however it goes on
    at += block.size();
  }
  return start;
}

std::string damaged_remark(const std::filesystem::path& journal, int64_t lines) {
  return journal.string() + ": passed over " + std::to_string(lines) + " damaged line" +
         (lines == 1 ? "" : "s");
}

namespace {

/// `read` fills as much as there is from the line's start on, and says how much that is.
std::optional<JournalRecord> read_record(const std::function<size_t(std::span<std::byte>)>& read) {
  std::string text;
  for (size_t want = kUsualLine; want <= kMostLine; want *= 4) {
    text.resize(want);
    const std::string_view got(text.data(), read(std::as_writable_bytes(std::span(text))));
    const size_t end = got.find('\n');
    if (end != std::string_view::npos) return read_journal_line(got.substr(0, end));
    if (got.size() < want) return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace

std::optional<JournalRecord> read_record_at(const InputFile& file, uint64_t offset) {
  return read_record([&](std::span<std::byte> out) {
    const auto part = out.first(static_cast<size_t>(std::min<uint64_t>(out.size(), file.size() - offset)));
    file.read_at(offset, part);
    return part.size();
  });
}

std::optional<JournalRecord> read_record_at(int fd, uint64_t offset) {
  return read_record([&](std::span<std::byte> out) {
    ssize_t n = 0;
    do {
      n = ::pread(fd, out.data(), out.size(), static_cast<off_t>(offset));
    } while (n < 0 && errno == EINTR);
    return n < 0 ? 0 : static_cast<size_t>(n);
  });
}

}  // namespace brume::batch
