#include "layer_work.h"

namespace brume::bench {

Work& Work::operator+=(const Work& other) {
  multiply_adds += other.multiply_adds;
  parameters += other.parameters;
  return *this;
}

Work linear_work(double in, double out, double rows, bool bias) {
  return {in * out * rows, in * out + (bias ? out : 0)};
}

Work convolution_work(double in, double out, double kernel, double area, bool bias) {
  const double weights = in * out * kernel * kernel;
  return {weights * area, weights + (bias ? out : 0)};
}

Work norm_work(double channels) { return {0, 2 * channels}; }

Work attention_work(double width, double queries, double keys) { return {2 * queries * keys * width, 0}; }

Work resnet_work(double in, double out, double time_width, double area) {
  Work work = norm_work(in) + convolution_work(in, out, 3, area) + norm_work(out) +
              convolution_work(out, out, 3, area);
  if (time_width > 0) work += linear_work(time_width, out, 1);
  if (in != out) work += convolution_work(in, out, 1, area);
  return work;
}

}  // namespace brume::bench
