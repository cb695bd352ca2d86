// checkpoint_verdict: judges the checkpoint files whose paths come from standard input, one a line. Writes
// for each the path, a tab, and "reject REASON", or "accept" and for each tensor a tab and "NAME DTYPE SHAPE
// DIGEST", the name in hexadecimal digits, the digest the first 16 of the SHA-256 of its bytes in C order.
#include <iostream>
#include <span>
#include <string>
#include <vector>

#include "brume/base/digest.h"
#include "brume/weights/pickled_checkpoint.h"

namespace {

std::string line_of(const brume::PickledCheckpoint& file) {
  std::string line = "accept";
  for (const brume::StoredTensor& tensor : file.header().tensors) {
    std::vector<std::byte> bytes(tensor.end - tensor.begin);
    file.read(tensor, bytes);
    const auto* name = reinterpret_cast<const uint8_t*>(tensor.name.data());
    line += "\t" + brume::hex_digits({name, tensor.name.size()}) + " " +
            std::string(brume::stored_type_name(tensor.dtype)) + " [";
    for (size_t i = 0; i < tensor.shape.size(); ++i)
      line += (i > 0 ? "," : "") + std::to_string(tensor.shape[i]);
    line += "] " + brume::hex_digits(brume::sha256(bytes)).substr(0, 16);
  }
  return line;
}

std::string verdict(const std::string& path) {
  try {
    return line_of(brume::PickledCheckpoint(path));
  } catch (const brume::Error& error) {
    return std::string("reject ") + error.what();
  }
}

}  // namespace

int main() {
  for (std::string path; std::getline(std::cin, path);)
    std::cout << path << "\t" << verdict(path) << "\n" << std::flush;
  return 0;
}
