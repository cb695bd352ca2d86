#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "brume/weights/safetensors.h"
#include "checkpoint_archive.h"
#include "pickle_tree.h"

namespace brume {

/// A tensor that does not lie in C order takes at most this many bytes of the file, from its first element to
/// its last: it may be read as often as it has parts.
constexpr uint64_t kMaxStridedBytes = uint64_t{256} << 20;

/// A checkpoint's tensors by name, held against the bytes that the archive has for them.
struct PickledTensors {
  SafetensorsHeader header;
  std::map<std::string, std::vector<uint64_t>> strides;  // in elements, of those not in C order
};

/// Names the tensors of a pickle as PickledCheckpoint says. Throws kModelInvalid with the tensor's name.
PickledTensors name_tensors(const PickleTree& tree, const std::map<std::string, ZipEntry>& storages,
                            const std::string& where);

/// Where a tensor lies: its bytes in the file, and its strides if it is not in C order.
struct PlacedTensor {
  StoredTensor stored;
  std::vector<uint64_t> strides;
};
/// Holds one tensor against its storage: every element inside, no two in one place.
PlacedTensor place_tensor(const PickleTree& tree, const PickledTensor& tensor, const std::string& name,
                          const std::map<std::string, ZipEntry>& storages, const std::string& where);

}  // namespace brume
