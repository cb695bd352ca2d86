#include "brume/batch/model_digest.h"

#include <algorithm>
#include <vector>
namespace brume::batch {

std::string model_digest(std::span<const NamedFile> files) {
  std::vector<std::string> lines;
  for (const NamedFile& file : files) {
    // A zero byte ends the name: no other name and digest give the same bytes.
    lines.push_back(file.name + '\0' + hex_digits(sha256_of_file(file.path, ExitCode::kModelInvalid)) + '\n');
  }
  std::sort(lines.begin(), lines.end());
  std::string all;
  for (const std::string& line : lines) all += line;
  return hex_digits(sha256(std::as_bytes(std::span(all))));
}

}  // namespace brume::batch
