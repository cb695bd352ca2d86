#include "brume/batch/journal_record.h"

#include <array>
#include <boost/crc.hpp>
#include <charconv>
#include <nlohmann/json.hpp>

#include "brume/base/digest.h"
#include "brume/base/error.h"
#include "brume/base/escape.h"
#include "brume/base/strict_json.h"
#include "brume/batch/failed_job.h"

namespace brume::batch {

namespace {

using nlohmann::json;
using nlohmann::ordered_json;

using Crc32c = boost::crc_optimal<32, 0x1EDC6F41, 0xFFFFFFFF, 0xFFFFFFFF, true, true>;

constexpr std::string_view kLength = "{\"length\":";
constexpr std::string_view kCrc = ",\"crc32c\":\"";
constexpr std::string_view kRecord = "\",\"record\":";
constexpr std::string_view kKey = "{\"key\":\"";
constexpr std::string_view kStatus = "\",\"status\":\"";
constexpr std::string_view kDone = "done\"";
constexpr std::string_view kFailed = "failed\"";
constexpr size_t kKeyDigits = 32;
constexpr size_t kCrcDigits = 8;

std::string checksum(std::string_view text) {
  Crc32c crc;
  crc.process_bytes(text.data(), text.size());
  const uint32_t sum = crc.checksum();
  const std::array<uint8_t, 4> bytes = {static_cast<uint8_t>(sum >> 24), static_cast<uint8_t>(sum >> 16),
                                        static_cast<uint8_t>(sum >> 8), static_cast<uint8_t>(sum)};
  return hex_digits(bytes);
}

/// Takes `word` off the front of `text`, if it is there.
bool take(std::string_view& text, std::string_view word) {
  if (!text.starts_with(word)) return false;
  text.remove_prefix(word.size());
  return true;
}

/// The bytes of the record in a line whose length and checksum are right.
std::optional<std::string_view> record_in(std::string_view line) {
  if (!take(line, kLength)) return std::nullopt;
  size_t length = 0;
  const auto [end, failed] = std::from_chars(line.data(), line.data() + line.size(), length);
  if (failed != std::errc()) return std::nullopt;
  line.remove_prefix(static_cast<size_t>(end - line.data()));
  if (!take(line, kCrc) || line.size() < kCrcDigits) return std::nullopt;
  const std::string_view crc = line.substr(0, kCrcDigits);
  line.remove_prefix(kCrcDigits);
  if (!take(line, kRecord) || line.size() != length + 1 || !line.ends_with('}')) return std::nullopt;
  line.remove_suffix(1);
  return checksum(line) == crc ? std::optional(line) : std::nullopt;
}

std::optional<RecordHead> head_of(std::string_view record) {
  if (!take(record, kKey) || record.size() < kKeyDigits) return std::nullopt;
  const std::optional<JobKey> key = JobKey::from_hex(record.substr(0, kKeyDigits));
  record.remove_prefix(kKeyDigits);
  if (!key || !take(record, kStatus)) return std::nullopt;
  if (record.starts_with(kDone)) return RecordHead{*key, Status::kDone};
  if (record.starts_with(kFailed)) return RecordHead{*key, Status::kFailed};
  return std::nullopt;
}

/// A name in the directory, whatever somebody wrote into the journal.
bool is_plain_name(const std::string& file) {
  return !file.empty() && file != "." && file != ".." && file.find('/') == std::string::npos &&
         file.find('\0') == std::string::npos;
}

}  // namespace

std::string journal_line(const JournalRecord& record) {
  ordered_json values;
  values["key"] = record.key.hex();
  values["status"] = record.status == Status::kDone ? "done" : "failed";
  if (record.status == Status::kDone) {
    values["file"] = record.file;
    values["bytes"] = record.bytes;
    values["sha256"] = record.sha256;
  } else {
    values["reason"] = bounded(record.reason, kMostReason);
  }
  values["index"] = record.index;
  values["line"] = record.line;
  if (!record.id.empty()) values["id"] = record.id;
  values["seed"] = record.seed;
  values["seconds"] = record.seconds;
  const std::string text = values.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
  return std::string(kLength) + std::to_string(text.size()) + std::string(kCrc) + checksum(text) +
         std::string(kRecord) + text + "}\n";
}

std::optional<RecordHead> read_record_head(std::string_view line) {
  const std::optional<std::string_view> record = record_in(line);
  return record ? head_of(*record) : std::nullopt;
}

std::optional<JournalRecord> read_journal_line(std::string_view line) {
  const std::optional<std::string_view> text = record_in(line);
  const std::optional<RecordHead> head = text ? head_of(*text) : std::nullopt;
  if (!head) return std::nullopt;
  JournalRecord record;
  record.key = head->key;
  record.status = head->status;
  try {
    const json values = parse_strict_json(*text, 2, "journal", ExitCode::kInputInvalid);
    if (record.status == Status::kDone) {
      record.file = values.at("file");
      record.bytes = values.at("bytes");
      record.sha256 = values.at("sha256");
    } else {
      record.reason = values.at("reason");
    }
    record.index = values.at("index");
    record.line = values.at("line");
    record.id = values.value("id", "");
    record.seed = values.at("seed");
    record.seconds = values.at("seconds").is_null() ? 0 : values.at("seconds").get<double>();
  } catch (const Error&) {
    return std::nullopt;
  } catch (const json::exception&) {
    return std::nullopt;  // a right checksum over something else: made by hand
  }
  if (record.status == Status::kDone && !is_plain_name(record.file)) return std::nullopt;
  return record;
}

}  // namespace brume::batch
