#include <algorithm>
#include <vector>

#include "layer_work.h"

namespace brume::bench {

namespace {

/// The walk of unet/unet_blocks, counting instead of computing.
class Counter {
 public:
  Counter(const UNetConfig& unet, MapSize latents, int64_t tokens)
      : unet_(unet), tokens_(static_cast<double>(tokens)) {
    for (size_t i = 0; i < unet.levels.size(); ++i) {
      areas_.push_back(latents.area());
      // A convolution of stride 2 rounds up where the map is padded on both sides, else down.
      const int64_t up = unet.downsample_padding;
      latents = {(latents.height + up) / 2, (latents.width + up) / 2};
    }
  }

  Work all() const {
    const double first = channels(0);
    Work work = convolution_work(static_cast<double>(unet_.in_channels), first, 3, areas_.front()) +
                linear_work(first, time_width(), 1) + linear_work(time_width(), time_width(), 1);
    if (unet_.added)
      work += linear_work(static_cast<double>(unet_.added->input_width), time_width(), 1) +
              linear_work(time_width(), time_width(), 1);
    for (size_t i = 0; i < unet_.levels.size(); ++i) work += down(i) + up(i);
    if (unet_.middle != UNetMiddle::kNone) work += mid();
    return work + norm_work(first) +
           convolution_work(first, static_cast<double>(unet_.out_channels), 3, areas_.front());
  }

 private:
  double channels(size_t level) const { return static_cast<double>(unet_.levels[level].channels); }
  double time_width() const { return 4 * channels(0); }
  Work resnet(double in, double out, size_t level) const {
    return resnet_work(in, out, time_width(), areas_[level]);
  }

  Work down(size_t i) const {
    const UNetLevel& level = unet_.levels[i];
    const double from = channels(i == 0 ? 0 : i - 1);
    Work work;
    for (int64_t layer = 0; layer < level.layers; ++layer) {
      work += resnet(layer == 0 ? from : channels(i), channels(i), i);
      if (level.down_attention)
        work += transformer(i, level.down_depths[static_cast<size_t>(layer)], level.first_attention);
    }
    if (i + 1 < unet_.levels.size()) work += convolution_work(channels(i), channels(i), 3, areas_[i + 1]);
    return work;
  }

  Work mid() const {
    const size_t last = unet_.levels.size() - 1;
    const Work block = resnet(channels(last), channels(last), last);
    if (unet_.middle == UNetMiddle::kResidual) return block;
    return block + transformer(last, unet_.mid_depth, nn::FirstAttention::kSelf) + block;
  }

  Work up(size_t i) const {
    const UNetLevel& level = unet_.levels[i];
    const double coarser = channels(std::min(i + 1, unet_.levels.size() - 1));
    const double finer = channels(i == 0 ? 0 : i - 1);
    Work work;
    for (int64_t layer = 0; layer <= level.layers; ++layer) {
      const double in = layer == 0 ? coarser : channels(i);
      const double skip = layer == level.layers ? finer : channels(i);
      work += resnet(in + skip, channels(i), i);
      if (level.up_attention)
        work += transformer(i, level.up_depths[static_cast<size_t>(layer)], level.first_attention);
    }
    if (i > 0) work += convolution_work(channels(i), channels(i), 3, areas_[i - 1]);
    return work;
  }

  Work cross_attention(double width, double context, double area) const {
    return linear_work(width, width, area, false) + linear_work(context, width, tokens_, false) +
           linear_work(context, width, tokens_, false) + attention_work(width, area, tokens_) +
           linear_work(width, width, area);
  }

  Work transformer(size_t i, int64_t depth, nn::FirstAttention first) const {
    const double width = channels(i);
    const double area = areas_[i];
    const auto context = static_cast<double>(unet_.levels[i].context_width);
    Work work = norm_work(width) + linear_work(width, width, area) + linear_work(width, width, area);
    for (int64_t block = 0; block < depth; ++block) {
      if (first == nn::FirstAttention::kSelf) {
        for (int projection = 0; projection < 3; ++projection) work += linear_work(width, width, area, false);
        work += attention_work(width, area, area) + linear_work(width, width, area);
      } else {
        work += cross_attention(width, context, area);
      }
      work += cross_attention(width, context, area);
      work += linear_work(width, 8 * width, area) + linear_work(4 * width, width, area);
      for (int norm = 0; norm < 3; ++norm) work += norm_work(width);
    }
    return work;
  }

  const UNetConfig& unet_;
  double tokens_;
  std::vector<double> areas_;  // of each level, finest first
};

}  // namespace

Work unet_work(const UNetConfig& unet, MapSize latents, int64_t tokens) {
  return Counter(unet, latents, tokens).all();
}

}  // namespace brume::bench
