#include "kernels/gpu/plan_cache.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <span>
#include <system_error>
#include <thread>

#include "brume/base/error.h"
#include "brume/base/file.h"

// The file: the magic with its version, the identity, the number of entries, each one's key and value, and a
// checksum of all that. Numbers are little-endian, texts follow their length.
namespace brume::kernels::gpu {

namespace {

constexpr std::string_view kMagic = "brume plans 1\n";
constexpr size_t kLengthBytes = sizeof(uint32_t);
constexpr size_t kChecksumBytes = sizeof(uint64_t);

/// FNV-1a. Each step is a bijection of the sum, so two texts that differ in one byte never have the same.
uint64_t checksum(std::string_view bytes) {
  uint64_t sum = 0xcbf29ce484222325;
  for (const char byte : bytes) {
    sum ^= static_cast<unsigned char>(byte);
    sum *= 0x100000001b3;
  }
  return sum;
}

template <typename Number>
void append_number(std::string& text, Number number) {
  for (size_t i = 0; i < sizeof(Number); ++i) text.push_back(static_cast<char>(number >> (8 * i)));
}

void append_text(std::string& text, std::string_view part) {
  append_number(text, static_cast<uint32_t>(part.size()));
  text += part;
}

/// Takes a file apart from its front; after the first fault everything is empty.
class Reader {
 public:
  explicit Reader(std::string_view rest) : rest_(rest) {}

  std::string_view bytes(size_t count) {
    if (!good_ || count > rest_.size()) {
      good_ = false;
      return {};
    }
    const std::string_view taken = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return taken;
  }
  uint32_t number() {
    uint32_t number = 0;
    const std::string_view taken = bytes(kLengthBytes);
    for (size_t i = 0; i < taken.size(); ++i)
      number |= uint32_t{static_cast<unsigned char>(taken[i])} << (8 * i);
    return number;
  }
  std::string_view text() { return bytes(number()); }
  bool good() const { return good_; }
  bool ended() const { return good_ && rest_.empty(); }

 private:
  std::string_view rest_;
  bool good_ = true;
};

/// Keeps other processes from writing between our reading and our writing. Without it, where the file system
/// knows no locks or a holder hangs, their entries of that moment may be lost, never a file's soundness.
class DirectoryLock {
 public:
  explicit DirectoryLock(const std::filesystem::path& directory)
      : fd_(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    constexpr int kTries = 300;
    for (int i = 0; fd_ >= 0 && i < kTries && ::flock(fd_, LOCK_EX | LOCK_NB) != 0; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  ~DirectoryLock() {
    if (fd_ >= 0) ::close(fd_);
  }
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;

 private:
  int fd_;
};

}  // namespace

PlanCache::PlanCache(std::filesystem::path directory, std::string identity)
    : directory_(std::move(directory)), identity_(std::move(identity)), kept_(read()) {}

std::filesystem::path PlanCache::file() const {
  std::array<char, 32> name{};
  std::snprintf(name.data(), name.size(), "plans-%016llx",
                static_cast<unsigned long long>(checksum(identity_)));
  return directory_ / name.data();
}

std::optional<std::string> PlanCache::find(std::string_view key) const {
  for (const Entries* entries : {&added_, &kept_}) {
    const auto found =
        std::find_if(entries->begin(), entries->end(), [&](const auto& entry) { return entry.first == key; });
    if (found != entries->end()) return found->second;
  }
  return std::nullopt;
}

void PlanCache::put_last(Entries& entries, const std::string& key, const std::string& value) {
  std::erase_if(entries, [&](const auto& entry) { return entry.first == key; });
  entries.emplace_back(key, value);
}

void PlanCache::put(const std::string& key, const std::string& value) {
  if (key.size() + value.size() > kMaxEntryBytes) return;
  std::erase_if(kept_, [&](const auto& entry) { return entry.first == key; });
  put_last(added_, key, value);
}

size_t PlanCache::bytes_of(const Entries& entries) const {
  size_t bytes = kMagic.size() + kLengthBytes + identity_.size() + kLengthBytes + kChecksumBytes;
  for (const auto& [key, value] : entries) bytes += 2 * kLengthBytes + key.size() + value.size();
  return bytes;
}

void PlanCache::bound(Entries& entries) const {
  size_t bytes = bytes_of(entries);
  auto first = entries.begin();
  while (first != entries.end() &&
         (bytes > kMaxFileBytes || static_cast<size_t>(entries.end() - first) > kMaxEntries)) {
    bytes -= 2 * kLengthBytes + first->first.size() + first->second.size();
    ++first;
  }
  entries.erase(entries.begin(), first);
}

std::string PlanCache::written(const Entries& entries) const {
  std::string text;
  text.reserve(bytes_of(entries));
  text += kMagic;
  append_text(text, identity_);
  append_number(text, static_cast<uint32_t>(entries.size()));
  for (const auto& [key, value] : entries) {
    append_text(text, key);
    append_text(text, value);
  }
  append_number(text, checksum(text));
  return text;
}

PlanCache::Entries PlanCache::read() const {
  if (directory_.empty()) return {};
  try {
    const std::string bytes = read_text_file(file(), kMaxFileBytes, ExitCode::kInputInvalid);
    if (bytes.size() < kChecksumBytes) return {};
    const std::string_view body = std::string_view(bytes).substr(0, bytes.size() - kChecksumBytes);
    std::string sum;
    append_number(sum, checksum(body));
    Reader reader(body);
    if (!bytes.ends_with(sum) || reader.bytes(kMagic.size()) != kMagic || reader.text() != identity_)
      return {};
    Entries entries;
    for (uint32_t left = reader.number(); left > 0 && reader.good(); --left) {
      const std::string_view key = reader.text();
      entries.emplace_back(key, reader.text());
    }
    if (!reader.ended() || entries.size() > kMaxEntries) return {};
    return entries;
  } catch (const std::exception&) {
    return {};  // no file, or none that can be read
  }
}

bool PlanCache::save() {
  if (directory_.empty() || added_.empty()) return !directory_.empty();
  try {
    std::filesystem::create_directories(directory_);
    const DirectoryLock lock(directory_);
    Entries entries = kept_;
    for (const auto& [key, value] : read()) put_last(entries, key, value);
    for (const auto& [key, value] : added_) put_last(entries, key, value);
    bound(entries);
    const std::string text = written(entries);
    write_file_atomically(file(), std::as_bytes(std::span(text)));
    kept_ = std::move(entries);
    added_.clear();
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

}  // namespace brume::kernels::gpu
