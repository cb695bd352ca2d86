#include "checkpoint_archive.h"

#include <algorithm>
#include <array>
#include <boost/crc.hpp>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace brume {

namespace {

constexpr std::string_view kPickle = "data.pkl";
constexpr std::string_view kByteOrder = "byteorder";
constexpr std::string_view kStorages = "data/";
constexpr std::array<std::string_view, 4> kIgnored{"version", ".format_version", ".storage_alignment",
                                                   ".data/serialization_id"};
constexpr size_t kMaxShown = 120;       // bytes of a name in a message
constexpr uint64_t kMaxByteOrder = 16;  // bytes

[[noreturn]] void reject(const InputFile& file, const std::string& problem,
                         const std::string& remedy = "fetch the file again") {
  throw Error(ExitCode::kModelInvalid, file.path().string(), problem, remedy);
}

std::string bytes_of(const InputFile& file, const ZipEntry& entry) {
  std::string bytes(entry.size, '\0');
  file.read_at(entry.begin, std::as_writable_bytes(std::span(bytes)));
  return bytes;
}

std::string read_pickle_bytes(const InputFile& file, const ZipEntry& entry) {
  if (entry.size > kMaxPickleBytes)
    reject(file, "data.pkl has " + std::to_string(entry.size) + " bytes, more than the limit of " +
                     std::to_string(kMaxPickleBytes));
  std::string bytes = bytes_of(file, entry);
  boost::crc_32_type crc;
  crc.process_bytes(bytes.data(), bytes.size());
  // Zero: not computed (torch.serialization.set_crc32_options(False)).
  if (entry.crc != 0 && crc.checksum() != entry.crc)
    reject(file, "data.pkl does not have the checksum that the archive states");
  return bytes;
}

void check_byte_order(const InputFile& file, const ZipEntry& entry) {
  if (entry.size > kMaxByteOrder || bytes_of(file, entry) != "little")
    reject(file, "the byte order of its numbers is not \"little\"",
           "save it again with torch on a little-endian machine");
}

bool is_number(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

CheckpointArchive read_checkpoint_archive(const InputFile& file) {
  CheckpointArchive archive;
  std::optional<ZipEntry> pickle;
  std::optional<std::string> root;
  for (ZipEntry& entry : read_zip_directory(file)) {
    const size_t slash = std::min(entry.name.find('/'), entry.name.size());
    const std::string folder = entry.name.substr(0, slash);
    const std::string rest = entry.name.substr(std::min(slash + 1, entry.name.size()));
    const bool storage =
        rest.starts_with(kStorages) && is_number(std::string_view(rest).substr(kStorages.size()));
    const bool known = storage || rest == kPickle || rest == kByteOrder ||
                       std::find(kIgnored.begin(), kIgnored.end(), rest) != kIgnored.end();
    if (folder.empty() || !known)
      reject(file, "the entry \"" + entry.name.substr(0, kMaxShown) + "\" is not what torch.save writes",
             "name a checkpoint, not another zip archive or a TorchScript program");
    if (entry.method != 0)
      reject(file, "the entry \"" + entry.name.substr(0, kMaxShown) + "\" is compressed",
             "unpack it and pack it again without compression (zip -0 -r)");
    if (root.value_or(folder) != folder)
      reject(file, "has entries in two folders, \"" + root->substr(0, kMaxShown) + "\" and \"" +
                       folder.substr(0, kMaxShown) + "\"");
    root = folder;
    if (rest == kByteOrder) check_byte_order(file, entry);
    if (rest == kPickle) pickle = entry;
    if (storage) archive.storages.emplace(rest.substr(kStorages.size()), std::move(entry));
  }
  if (!pickle) reject(file, "is a zip archive without data.pkl", "name a checkpoint that torch.save wrote");
  archive.pickle = read_pickle_bytes(file, *pickle);
  return archive;
}

}  // namespace brume
