#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "brume/base/file.h"

namespace brume {

/// A file inside a zip archive.
struct ZipEntry {
  std::string name;
  uint64_t begin;   // of its bytes, from the start of the archive
  uint64_t size;    // as they lie there
  uint16_t method;  // 0: as they are; any other: compressed
  uint32_t crc;
};

/// The directory of a zip archive (PKWARE's APPNOTE.TXT; zip64 too) without encrypted files, in its order.
/// The archive must fill the file: its first entry at byte 0, its end record at the end, without a comment.
/// Each entry's own header must agree with the directory, entries must not overlap, names must differ. Throws
/// kModelInvalid.
std::vector<ZipEntry> read_zip_directory(const InputFile& file);

}  // namespace brume
