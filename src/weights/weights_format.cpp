#include "brume/weights/weights_format.h"

#include <algorithm>
#include <array>
#include <span>
#include <string>

#include "brume/base/file.h"
#include "brume/weights/pickled_checkpoint.h"

namespace brume {

std::optional<WeightsFormat> weights_format(const std::filesystem::path& file, ExitCode code) {
  constexpr size_t kLengthBytes = 8;  // of a safetensors header, which is JSON
  constexpr std::array<const char*, 4> kPickledNames{".ckpt", ".pt", ".pth", ".bin"};
  const InputFile input(file, code);
  std::string start(std::min<uint64_t>(input.size(), kPickledStart), '\0');
  input.read_at(0, std::as_writable_bytes(std::span(start)));
  const std::filesystem::path extension = file.extension();
  if (extension == ".json") return WeightsFormat::kIndex;
  if (start.size() > kLengthBytes && start[kLengthBytes] == '{') return WeightsFormat::kSafetensors;
  if (pickled_format(start)) return WeightsFormat::kPickled;
  if (extension == ".safetensors") return WeightsFormat::kSafetensors;
  const bool pickled =
      std::find(kPickledNames.begin(), kPickledNames.end(), extension) != kPickledNames.end();
  return pickled ? std::optional(WeightsFormat::kPickled) : std::nullopt;
}

}  // namespace brume
