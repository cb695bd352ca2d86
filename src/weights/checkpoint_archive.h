#pragma once
#include <map>
#include <string>

#include "brume/base/file.h"
#include "zip_directory.h"

namespace brume {

constexpr uint64_t kMaxPickleBytes = uint64_t{64} << 20;

/// The parts of a torch.save archive that a reader of weights needs.
struct CheckpointArchive {
  std::string pickle;                        // the bytes of data.pkl
  std::map<std::string, ZipEntry> storages;  // data/KEY, by KEY
};

/// No entry may be compressed, and each must be named as torch names them, below one folder: data.pkl (once,
/// at most kMaxPickleBytes, with the checksum that the directory states, unless that is zero), data/0,
/// data/1, ..., version, byteorder
/// ("little") and three small ones. Throws kModelInvalid.
CheckpointArchive read_checkpoint_archive(const InputFile& file);

}  // namespace brume
