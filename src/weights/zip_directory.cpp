#include "zip_directory.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <set>
#include <span>
#include <string_view>
#include <utility>

#include "brume/base/checked.h"

namespace brume {

static_assert(std::endian::native == std::endian::little);

namespace {

constexpr uint64_t kMaxEntries = 100'000;
constexpr uint64_t kMaxDirectoryBytes = uint64_t{16} << 20;
constexpr size_t kMaxShown = 120;  // bytes of a name in a message

constexpr uint32_t kLocalMark = 0x04034b50;
constexpr uint32_t kCentralMark = 0x02014b50;
constexpr uint32_t kEndMark = 0x06054b50;
constexpr uint32_t kEnd64Mark = 0x06064b50;
constexpr uint32_t kLocator64Mark = 0x07064b50;
constexpr uint64_t kLocalBytes = 30;
constexpr uint64_t kCentralBytes = 46;
constexpr uint64_t kEndBytes = 22;
constexpr uint64_t kEnd64Bytes = 56;
constexpr uint64_t kLocator64Bytes = 20;

constexpr uint16_t kZip64Field = 1;         // the extra field that holds sizes of 64 bits
constexpr uint32_t kIn64 = UINT32_MAX;      // a size that stands there
constexpr uint16_t kSizesFollow = 1U << 3;  // the local header may leave sizes and checksum at zero
constexpr uint16_t kUtf8Name = 1U << 11;
constexpr uint16_t kEncrypted = 1U;
constexpr uint32_t kDirectory = 1U << 4;

[[noreturn]] void reject(const InputFile& file, const std::string& problem,
                         const std::string& remedy = "fetch the file again") {
  throw Error(ExitCode::kModelInvalid, file.path().string(), problem, remedy);
}

std::string shown(std::string_view name) {
  return '"' + std::string(name.substr(0, kMaxShown)) + (name.size() > kMaxShown ? "...\"" : "\"");
}

/// Numbers and texts one after the other; past the end it rejects.
class Fields {
 public:
  Fields(const InputFile& file, std::string_view bytes) : file_(file), rest_(bytes) {}

  uint16_t u16() { return number<uint16_t>(); }
  uint32_t u32() { return number<uint32_t>(); }
  uint64_t u64() { return number<uint64_t>(); }
  std::string_view take(size_t count) {
    if (count > rest_.size()) reject(file_, "the zip directory is cut short");
    const std::string_view taken = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return taken;
  }
  bool empty() const { return rest_.empty(); }

 private:
  template <class Number>
  Number number() {
    Number value{};
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }

  const InputFile& file_;
  std::string_view rest_;
};

std::string bytes_at(const InputFile& file, uint64_t begin, uint64_t count) {
  std::string bytes(count, '\0');
  file.read_at(begin, std::as_writable_bytes(std::span(bytes)));
  return bytes;
}

/// Where the directory is, as the end of the archive says.
struct Directory {
  uint64_t entries;
  uint64_t bytes;
  uint64_t begin;
  uint64_t end;  // where the record that says so begins

  bool operator==(const Directory&) const = default;
};

/// What the record of the 64-bit format says, which lies just before its locator; nothing without a locator.
std::optional<Directory> read_end64(const InputFile& file, uint64_t end) {
  if (end < kEnd64Bytes + kLocator64Bytes) return std::nullopt;
  const uint64_t begin = end - kLocator64Bytes - kEnd64Bytes;
  const std::string bytes = bytes_at(file, begin, kEnd64Bytes + kLocator64Bytes);
  Fields locator(file, std::string_view(bytes).substr(kEnd64Bytes));
  if (locator.u32() != kLocator64Mark) return std::nullopt;
  Fields record(file, std::string_view(bytes).substr(0, kEnd64Bytes));
  const bool first_disk = locator.u32() == 0;
  const bool here = locator.u64() == begin && record.u32() == kEnd64Mark && record.u64() == kEnd64Bytes - 12;
  record.take(4);  // versions
  const bool one_disk = locator.u32() <= 1 && record.u32() == 0 && record.u32() == 0;
  const uint64_t entries_here = record.u64();
  Directory directory{.entries = record.u64(), .bytes = record.u64(), .begin = record.u64(), .end = begin};
  if (!first_disk || !here || !one_disk || entries_here != directory.entries)
    reject(file, "the zip archive's 64-bit end record is broken");
  return directory;
}

Directory read_end(const InputFile& file) {
  if (file.size() < kEndBytes)
    reject(file, "has " + std::to_string(file.size()) + " bytes, too few for a zip archive");
  const uint64_t begin = file.size() - kEndBytes;
  const std::string bytes = bytes_at(file, begin, kEndBytes);
  Fields fields(file, bytes);
  const bool marked = fields.u32() == kEndMark;
  const bool one_disk = fields.u32() == 0;  // two numbers of disks
  const uint16_t entries_here = fields.u16();
  Directory directory{.entries = fields.u16(), .bytes = fields.u32(), .begin = fields.u32(), .end = begin};
  if (!marked || fields.u16() != 0)
    reject(file, "does not end with a zip archive's end record",
           "the download is incomplete, or something was appended: fetch the file again");
  if (!one_disk || entries_here != directory.entries) reject(file, "is a part of a split zip archive");
  const bool wants64 =
      directory.entries == UINT16_MAX || directory.bytes == kIn64 || directory.begin == kIn64;
  const std::optional<Directory> in64 = read_end64(file, begin);
  if (!in64) {
    if (wants64) reject(file, "the zip archive's 64-bit end record is missing");
    return directory;
  }
  const Directory narrow{.entries = std::min<uint64_t>(in64->entries, UINT16_MAX),
                         .bytes = std::min<uint64_t>(in64->bytes, kIn64),
                         .begin = std::min<uint64_t>(in64->begin, kIn64),
                         .end = begin};
  if (narrow != directory) reject(file, "the zip archive's two end records disagree");
  return *in64;
}

/// An entry and what its local header must repeat.
struct Listed {
  ZipEntry entry;
  uint64_t unpacked;  // its size
  uint64_t local;     // where its local header begins
  uint16_t flags;
};

/// The numbers of 64 bits that an entry's extra fields hold, in their order; empty where there are none.
std::string_view zip64_numbers(const InputFile& file, std::string_view extra) {
  Fields fields(file, extra);
  while (!fields.empty()) {
    const uint16_t kind = fields.u16();
    const std::string_view body = fields.take(fields.u16());
    if (kind == kZip64Field) return body;
  }
  return {};
}

Listed read_entry(const InputFile& file, Fields& fields) {
  if (fields.u32() != kCentralMark) reject(file, "the zip directory is broken");
  fields.take(4);  // versions
  Listed listed{};
  listed.flags = fields.u16();
  listed.entry.method = fields.u16();
  fields.take(4);  // time and date
  listed.entry.crc = fields.u32();
  listed.entry.size = fields.u32();
  listed.unpacked = fields.u32();
  const uint16_t name_bytes = fields.u16();
  const uint16_t extra_bytes = fields.u16();
  const uint16_t comment_bytes = fields.u16();
  const bool first_disk = fields.u16() == 0;
  fields.take(2);  // attributes of the contents
  const uint32_t attributes = fields.u32();
  listed.local = fields.u32();
  listed.entry.name = fields.take(name_bytes);
  Fields numbers(file, zip64_numbers(file, fields.take(extra_bytes)));
  fields.take(comment_bytes);
  if (listed.unpacked == kIn64) listed.unpacked = numbers.u64();
  if (listed.entry.size == kIn64) listed.entry.size = numbers.u64();
  if (listed.local == kIn64) listed.local = numbers.u64();
  const std::string name = "the entry " + shown(listed.entry.name);
  if ((listed.flags & kEncrypted) != 0) reject(file, name + " is encrypted", "decrypt the file first");
  if ((listed.flags & ~(kSizesFollow | kUtf8Name)) != 0 || !first_disk)
    reject(file, name + " uses a zip feature that no checkpoint needs");
  // The mark of MS-DOS, which makes torch read nothing.
  if ((attributes & kDirectory) != 0) reject(file, name + " is marked as a directory");
  if (listed.entry.method == 0 && listed.unpacked != listed.entry.size)
    reject(file, name + " is stored as it is, but its two sizes differ");
  return listed;
}

/// The 64-bit or the plain size of a local header, held against the directory's.
bool same_size(uint64_t narrow, Fields& numbers, uint64_t size, bool later) {
  if (narrow == kIn64) return !numbers.empty() && numbers.u64() == size;
  return narrow == size || (later && narrow == 0);
}

/// Finds where the entry's bytes begin, and holds its own header against the directory's.
void read_local(const InputFile& file, uint64_t directory_begin, Listed& listed) {
  const std::string name = "the entry " + shown(listed.entry.name);
  const uint64_t head = kLocalBytes + listed.entry.name.size();
  if (checked_add(listed.local, head).value_or(UINT64_MAX) > directory_begin)
    reject(file, name + " begins outside of the archive");
  const std::string bytes = bytes_at(file, listed.local, head);
  Fields fields(file, bytes);
  const bool marked = fields.u32() == kLocalMark;
  fields.take(2);  // version
  const bool same_flags = fields.u16() == listed.flags;
  const bool same_method = fields.u16() == listed.entry.method;
  fields.take(4);  // time and date
  const uint32_t crc = fields.u32();
  const uint32_t compressed = fields.u32();
  const uint32_t size = fields.u32();
  const bool same_name_size = fields.u16() == listed.entry.name.size();
  const uint16_t extra_bytes = fields.u16();
  if (!marked || !same_flags || !same_method || !same_name_size ||
      fields.take(listed.entry.name.size()) != listed.entry.name)
    reject(file, name + " has a header of its own that disagrees with the zip directory");
  listed.entry.begin = listed.local + head + extra_bytes;
  if (checked_add(listed.entry.begin, listed.entry.size).value_or(UINT64_MAX) > directory_begin)
    reject(file, name + " ends outside of the archive");
  const bool wants64 = size == kIn64 || compressed == kIn64;
  const std::string extra = wants64 ? bytes_at(file, listed.local + head, extra_bytes) : "";
  Fields numbers(file, zip64_numbers(file, extra));
  const bool later = (listed.flags & kSizesFollow) != 0;
  const bool same = (crc == listed.entry.crc || (later && crc == 0)) &&
                    same_size(size, numbers, listed.unpacked, later) &&
                    same_size(compressed, numbers, listed.entry.size, later);
  if (!same) reject(file, name + " has a size or checksum of its own that disagrees with the zip directory");
}

void check_disjoint(const InputFile& file, std::vector<const Listed*> entries) {
  std::sort(entries.begin(), entries.end(),
            [](const Listed* a, const Listed* b) { return a->local < b->local; });
  if (entries.front()->local != 0) reject(file, "the zip archive does not begin at the start of the file");
  for (size_t i = 1; i < entries.size(); ++i) {
    if (entries[i]->local < entries[i - 1]->entry.begin + entries[i - 1]->entry.size)
      reject(file,
             "the entry " + shown(entries[i]->entry.name) + " overlaps " + shown(entries[i - 1]->entry.name));
  }
}

}  // namespace

std::vector<ZipEntry> read_zip_directory(const InputFile& file) {
  const Directory directory = read_end(file);
  if (checked_add(directory.begin, directory.bytes) != directory.end)
    reject(file, "the zip directory does not lie at the end of the archive");
  if (directory.entries == 0) reject(file, "is an empty zip archive");
  if (directory.entries > kMaxEntries || directory.bytes > kMaxDirectoryBytes)
    reject(file, "the zip directory has " + std::to_string(directory.entries) + " entries in " +
                     std::to_string(directory.bytes) + " bytes, more than the limit of " +
                     std::to_string(kMaxEntries) + " in " + std::to_string(kMaxDirectoryBytes));
  const std::string bytes = bytes_at(file, directory.begin, directory.bytes);
  Fields fields(file, bytes);
  std::vector<Listed> listed;
  std::set<std::string_view> names;
  listed.reserve(std::min(directory.entries, directory.bytes / kCentralBytes));  // `names` looks into it
  for (uint64_t i = 0; i < directory.entries; ++i) {
    listed.push_back(read_entry(file, fields));
    read_local(file, directory.begin, listed.back());
    if (!names.insert(listed.back().entry.name).second)
      reject(file, "two entries are named " + shown(listed.back().entry.name));
  }
  if (!fields.empty()) reject(file, "the zip directory is longer than its entries");
  std::vector<const Listed*> places;
  places.reserve(listed.size());
  for (const Listed& one : listed) places.push_back(&one);
  check_disjoint(file, std::move(places));
  std::vector<ZipEntry> entries;
  entries.reserve(listed.size());
  for (Listed& one : listed) entries.push_back(std::move(one.entry));
  return entries;
}

}  // namespace brume
