#include "latents_file.h"

#include <ATen/ATen.h>

#include <utility>
#include <vector>

#include "brume/base/error.h"
#include "brume/weights/safetensors.h"
#include "brume/weights/weights.h"

namespace brume::cli {

at::Tensor read_latents(const std::filesystem::path& path) {
  try {
    const Weights file = Weights::open_file(path);
    const WeightsView view = file.view(at::kFloat);
    if (!view.contains("latents")) {
      throw Error(ExitCode::kInputInvalid, path.string(), "has no tensor \"latents\"",
                  "name a file that --save-latents wrote");
    }
    const std::vector<int64_t> shape = view.shape("latents");
    constexpr size_t kRank = 4;
    if (shape.size() != kRank) {
      throw Error(ExitCode::kInputInvalid, path.string(),
                  "latents has " + std::to_string(shape.size()) + " dimensions",
                  "it must be [N, C, H/f, W/f]");
    }
    return view.tensor("latents", shape);
  } catch (const Error& error) {
    // A file of latents is input, not a model.
    throw Error(ExitCode::kInputInvalid, "--init-latents", error.what());
  }
}

void write_tensors(const std::filesystem::path& path, const std::map<std::string, at::Tensor>& tensors) {
  std::vector<at::Tensor> kept;  // contiguous copies that outlive the write
  std::vector<TensorToWrite> entries;
  for (const auto& [name, tensor] : tensors) {
    const bool ids = tensor.scalar_type() == at::kLong;
    kept.push_back(ids ? tensor.contiguous() : tensor.to(at::kFloat).contiguous());
    const at::Tensor& data = kept.back();
    entries.push_back({name,
                       ids ? StoredType::kI64 : StoredType::kF32,
                       {data.sizes().begin(), data.sizes().end()},
                       {static_cast<const std::byte*>(data.const_data_ptr()), data.nbytes()}});
  }
  write_safetensors(path, std::move(entries), {{"format", "pt"}});
}

}  // namespace brume::cli
