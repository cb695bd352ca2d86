#include "zip_assembler.h"

#include <boost/crc.hpp>

namespace brume::testing_corpus {

namespace {

std::string little(uint64_t value, size_t bytes) {
  std::string out;
  for (size_t i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i) & 0xFF);
  return out;
}

constexpr uint64_t kIn64 = 0xFFFFFFFF;
constexpr uint16_t kSizesFollow = 8;

std::string local_header(const ZipItem& item) {
  const bool follow = (item.flags & kSizesFollow) != 0;
  const std::string name = item.local_name.value_or(item.name);
  const uint64_t size = item.local_size.value_or(follow ? 0 : item.data.size());
  return "PK\x03\x04" + little(20, 2) + little(item.local_flags.value_or(item.flags), 2) +
         little(item.local_method.value_or(item.method), 2) + little(0, 4) +
         little(follow ? 0 : item.crc.value_or(crc32(item.data)), 4) + little(size, 4) + little(size, 4) +
         little(name.size(), 2) + little(item.local_extra.size(), 2) + name + item.local_extra;
}

std::string central_header(const ZipItem& item, uint64_t place) {
  const uint64_t size = item.size.value_or(item.data.size());
  const uint64_t offset = item.offset.value_or(place);
  const std::string extra =
      item.zip64 ? little(1, 2) + little(24, 2) + little(size, 8) + little(size, 8) + little(offset, 8) : "";
  return "PK\x01\x02" + little(20, 2) + little(20, 2) + little(item.flags, 2) + little(item.method, 2) +
         little(0, 4) + little(item.crc.value_or(crc32(item.data)), 4) +
         little(item.zip64 ? kIn64 : size, 4) + little(item.zip64 ? kIn64 : size, 4) +
         little(item.name.size(), 2) + little(extra.size(), 2) + little(0, 2) + little(0, 2) + little(0, 2) +
         little(item.attributes, 4) + little(item.zip64 ? kIn64 : offset, 4) + item.name + extra;
}

}  // namespace

uint32_t crc32(std::string_view bytes) {
  boost::crc_32_type crc;
  crc.process_bytes(bytes.data(), bytes.size());
  return crc.checksum();
}

std::string zip_bytes(const std::vector<ZipItem>& items, const ZipEnd& end) {
  std::string out;
  std::string directory;
  for (const ZipItem& item : items) {
    directory += central_header(item, out.size());
    out += local_header(item) + item.data;
    if ((item.flags & kSizesFollow) != 0)
      out += "PK\x07\x08" + little(crc32(item.data), 4) + little(item.data.size(), 4) +
             little(item.data.size(), 4);
  }
  const uint64_t entries = end.entries.value_or(items.size());
  const uint64_t bytes = end.directory_bytes.value_or(directory.size());
  const uint64_t begin = end.directory_begin.value_or(out.size());
  out += directory;
  if (end.zip64) {
    const uint64_t record = out.size();
    const uint64_t entries64 = end.entries64.value_or(entries);
    out += "PK\x06\x06" + little(44, 8) + little(45, 2) + little(45, 2) + little(0, 4) + little(0, 4) +
           little(entries64, 8) + little(entries64, 8) + little(bytes, 8) + little(begin, 8);
    out += "PK\x06\x07" + little(0, 4) + little(record, 8) + little(1, 4);
  }
  return out + "PK\x05\x06" + little(0, 4) + little(entries, 2) + little(entries, 2) + little(bytes, 4) +
         little(begin, 4) + little(end.comment.size(), 2) + end.comment;
}

std::vector<ZipItem> checkpoint_items(const std::string& pickle, const std::vector<std::string>& storages) {
  std::vector<ZipItem> items;
  items.push_back({.name = "archive/data.pkl", .data = pickle});
  items.push_back({.name = "archive/byteorder", .data = "little"});
  for (size_t i = 0; i < storages.size(); ++i)
    items.push_back({.name = "archive/data/" + std::to_string(i), .data = storages[i]});
  items.push_back({.name = "archive/version", .data = "3\n"});
  return items;
}

std::string checkpoint_bytes(const std::string& pickle, const std::vector<std::string>& storages) {
  return zip_bytes(checkpoint_items(pickle, storages));
}

}  // namespace brume::testing_corpus
