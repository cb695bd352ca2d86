#include "reference_case.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "brume/base/file.h"
#include "brume/weights/safetensors.h"

namespace brume::testing {

std::filesystem::path reference_path(const std::string& name) {
  return std::filesystem::path(BRUME_TEST_DATA) / "reference" / name;
}

ReferenceCase::ReferenceCase(const std::string& name)
    : path_(reference_path(name)),
      parameters_(
          nlohmann::json::parse(read_text_file(path_ / "case.json", 1 << 22, ExitCode::kInputInvalid))),
      weights_(Weights::open_file(path_ / "reference.safetensors")) {}

at::Tensor ReferenceCase::tensor(const std::string& name) const {
  const WeightsView view = weights_.view(at::kFloat);
  return view.tensor(name, view.shape(name));
}

at::Tensor ReferenceCase::integers(const std::string& name) const {
  const SafetensorsFile file(path_ / "reference.safetensors");
  for (const StoredTensor& tensor : file.header().tensors) {
    if (tensor.name != name) continue;
    const std::vector<int64_t> shape(tensor.shape.begin(), tensor.shape.end());
    at::Tensor values = at::empty(shape, tensor.dtype == StoredType::kU8 ? at::kByte : at::kLong);
    file.read(tensor, {static_cast<std::byte*>(values.mutable_data_ptr()), values.nbytes()});
    return values.to(at::kLong);
  }
  ADD_FAILURE() << "no tensor " << name;
  return {};
}

void expect_close(const at::Tensor& ours, const at::Tensor& reference, const std::string& what,
                  double tolerance) {
  ASSERT_EQ(ours.sizes(), reference.sizes()) << what;
  const at::Tensor wanted = reference.to(at::kFloat);
  const double error = (ours.to(at::kFloat) - wanted).abs().max().item<double>();
  const double scale = std::max(1.0, wanted.abs().max().item<double>());
  EXPECT_LE(error, tolerance * scale) << what;
}

}  // namespace brume::testing
