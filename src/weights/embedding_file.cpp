#include "brume/weights/embedding_file.h"

#include <algorithm>

#include "brume/base/error.h"
#include "brume/weights/safetensors.h"

namespace brume {

namespace {

constexpr const char* kFirstTower = "clip_l";
constexpr const char* kSecondTower = "clip_g";
constexpr uint64_t kMostVectors = 1024;  // far more than a window has room for
constexpr uint64_t kMostWidth = 65536;

std::string shape_text(const std::vector<uint64_t>& shape) {
  std::string text = "[";
  for (const uint64_t size : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(size);
  return text + "]";
}

[[noreturn]] void reject(const TensorFile& file, const std::string& problem) {
  throw Error(ExitCode::kModelInvalid, file.path().string(), problem,
              "name a textual-inversion embedding: A1111's .pt, or a .safetensors of emb_params, of clip_l "
              "and clip_g, or of one tensor");
}

const StoredTensor* find_tensor(const TensorFile& file, const std::string& key) {
  const std::vector<StoredTensor>& tensors = file.header().tensors;
  const auto found =
      std::find_if(tensors.begin(), tensors.end(), [&](const StoredTensor& one) { return one.name == key; });
  return found == tensors.end() ? nullptr : &*found;
}

}  // namespace

EmbeddingFile::EmbeddingFile(const std::filesystem::path& path) : file_(open_tensor_file(path)) {
  const std::vector<StoredTensor>& tensors = file_->header().tensors;
  const auto is_parameter = [](const StoredTensor& one) { return one.name.starts_with("string_to_param."); };
  if (find_tensor(*file_, kFirstTower) != nullptr && find_tensor(*file_, kSecondTower) != nullptr) {
    take(kFirstTower);
    take(kSecondTower);
    if (parts_[0].vectors() != parts_[1].vectors())
      reject(*file_, "clip_l has " + std::to_string(parts_[0].vectors()) + " vectors, clip_g " +
                         std::to_string(parts_[1].vectors()));
  } else if (std::count_if(tensors.begin(), tensors.end(), is_parameter) == 1) {
    take(std::find_if(tensors.begin(), tensors.end(), is_parameter)->name);
  } else if (find_tensor(*file_, "emb_params") != nullptr) {
    take("emb_params");
  } else if (tensors.size() == 1) {
    take(tensors.front().name);
  } else {
    reject(*file_, "is no embedding: it holds " + std::to_string(tensors.size()) + " tensors");
  }
}

void EmbeddingFile::take(const std::string& key) {
  const StoredTensor& tensor = *find_tensor(*file_, key);
  TensorPlace place = whole(tensor);
  if (place.shape.size() == 1) place.shape.insert(place.shape.begin(), 1);
  const bool fits = place.shape.size() == 2 && place.shape[0] >= 1 && place.shape[0] <= kMostVectors &&
                    place.shape[1] >= 1 && place.shape[1] <= kMostWidth;
  if (!fits) reject(*file_, "is no embedding: " + key + " is " + shape_text(tensor.shape));
  parts_.push_back({key, std::move(place)});
}

}  // namespace brume
