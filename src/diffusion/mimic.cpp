#include "mimic.h"

#include <ATen/ATen.h>

#include <cmath>

#include "row_quantile.h"

namespace brume {

namespace {

/// Predictions for latents of unit variance as the clean samples that they mean, and back.
class Samples {
 public:
  explicit Samples(const GuidedPoint& point)
      : point_(point),
        signal_(1 / std::hypot(1.0, point.level.sigma)),
        noise_(point.level.sigma / std::hypot(1.0, point.level.sigma)) {}

  at::Tensor of(const at::Tensor& prediction) const {
    switch (point_.prediction) {
      case Prediction::kEpsilon:
        return (point_.latents - noise_ * prediction) / signal_;
      case Prediction::kV:
        return signal_ * point_.latents - noise_ * prediction;
      case Prediction::kSample:
        break;
    }
    return prediction;
  }

  at::Tensor prediction_of(const at::Tensor& sample) const {
    switch (point_.prediction) {
      case Prediction::kEpsilon:
        return (point_.latents - signal_ * sample) / noise_;
      case Prediction::kV:
        return (signal_ * point_.latents - sample) / noise_;
      case Prediction::kSample:
        break;
    }
    return sample;
  }

 private:
  const GuidedPoint& point_;
  double signal_;
  double noise_;
};

/// The values of each channel about their mean. [N, C, H, W] -> [N, C, H W]
struct Centred {
  explicit Centred(const at::Tensor& map)
      : mean(map.flatten(2).mean(2, /*keepdim=*/true)), values(map.flatten(2) - mean) {}

  at::Tensor mean;  // [N, C, 1]
  at::Tensor values;
};

}  // namespace

at::Tensor mimicked(const Predictions& predictions, double scale, const MimicThreshold& mimic,
                    const GuidedPoint& point) {
  const Samples samples(point);
  const at::Tensor negative = samples.of(predictions.negative);
  const at::Tensor towards = samples.of(predictions.positive) - negative;
  const Centred weak(negative + mimic.mimic_scale * towards);
  const Centred strong(negative + scale * towards);
  const at::Tensor range = weak.values.abs().amax(2, /*keepdim=*/true);  // [N, C, 1]
  const at::Tensor flat = strong.values.abs().flatten(0, 1);             // [N C, H W]
  const at::Tensor reached = row_quantile(flat, mimic.percentile).view(range.sizes());
  const at::Tensor most = at::maximum(range, reached);
  const at::Tensor kept = at::maximum(at::minimum(strong.values, most), -most) / most * range;
  // A channel that is flat stays as it is.
  const at::Tensor result = at::where(most > 0, kept, strong.values) + strong.mean;
  return samples.prediction_of(result.view(negative.sizes()));
}

}  // namespace brume
