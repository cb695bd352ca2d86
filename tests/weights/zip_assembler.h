#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace brume::testing_corpus {

/// A file of a zip archive, and the lies that its headers may tell.
struct ZipItem {
  std::string name;
  std::string data;
  uint16_t method = 0;
  uint16_t flags = 0;
  std::optional<uint32_t> crc = {};     // in the directory; as it is where nothing is said
  std::optional<uint64_t> size = {};    // in the directory
  std::optional<uint64_t> offset = {};  // in the directory, of the local header
  std::optional<std::string> local_name = {};
  std::optional<uint32_t> local_size = {};
  std::optional<uint16_t> local_flags = {};
  std::optional<uint16_t> local_method = {};
  std::string local_extra = {};
  uint32_t attributes = 0;
  bool zip64 = false;  // the directory holds its sizes and place in an extra field
};

/// The end of an archive.
struct ZipEnd {
  bool zip64 = false;
  std::string comment = {};
  std::optional<uint64_t> entries = {};
  std::optional<uint64_t> directory_bytes = {};
  std::optional<uint64_t> directory_begin = {};
  std::optional<uint64_t> entries64 = {};  // in the 64-bit record alone
};

uint32_t crc32(std::string_view bytes);
std::string zip_bytes(const std::vector<ZipItem>& items, const ZipEnd& end = {});

/// What torch.save writes: archive/data.pkl, byteorder, data/0, data/1, ..., version.
std::vector<ZipItem> checkpoint_items(const std::string& pickle, const std::vector<std::string>& storages);
std::string checkpoint_bytes(const std::string& pickle, const std::vector<std::string>& storages = {});

}  // namespace brume::testing_corpus
