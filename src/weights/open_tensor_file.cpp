#include <memory>

#include "brume/base/error.h"
#include "brume/weights/pickled_checkpoint.h"
#include "brume/weights/safetensors.h"
#include "brume/weights/tensor_file.h"
#include "brume/weights/weights_format.h"

namespace brume {

std::shared_ptr<const TensorFile> open_tensor_file(const std::filesystem::path& path) {
  if (weights_format(path, ExitCode::kModelInvalid) == WeightsFormat::kPickled)
    return std::make_shared<PickledCheckpoint>(path);
  return std::make_shared<SafetensorsFile>(path);
}

}  // namespace brume
