#include "kernels/group_norm_cpu.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/cpu/machine_for.h"
#include "kernels/cpu/parallel.h"

namespace brume::kernels {

namespace {

/// Pixels whose sums one task takes: few enough that a float holds them well.
constexpr int64_t kChunkPixels = 256;

/// One map of the input, and the first of its channels among all.
struct Part {
  at::Tensor map;
  int64_t first_channel;
};

/// How the maps [N, C, H, W] are cut into tasks: chunks of pixels of one picture.
struct Chunks {
  int64_t pixels;
  int64_t a_picture;
  int64_t all;

  int64_t count(int64_t chunk) const { return std::min(kChunkPixels, pixels - first_pixel(chunk)); }
  int64_t picture(int64_t chunk) const { return chunk / a_picture; }
  int64_t first_pixel(int64_t chunk) const { return chunk % a_picture * kChunkPixels; }
};

/// The pixels of a chunk, in a contiguous channels-last map.
cpu::MapPart pixels_of(const at::Tensor& map, const Chunks& chunks, int64_t chunk) {
  const int64_t channels = map.size(1);
  const int64_t pixel = chunks.picture(chunk) * chunks.pixels + chunks.first_pixel(chunk);
  const auto* bytes = static_cast<const char*>(map.const_data_ptr());
  return {bytes + pixel * channels * map.element_size(), chunks.count(chunk), channels, channels};
}

class Moments {
 public:
  Moments(const Chunks& chunks, int64_t channels)
      : chunks_(chunks), channels_(channels), sums_(static_cast<size_t>(3 * chunks.all * channels)) {}

  cpu::ChannelSums place(int64_t chunk, int64_t channel) {
    float* first = &sums_[static_cast<size_t>(3 * chunk * channels_ + channel)];
    return {first, first + channels_, first + 2 * channels_};
  }

  /// Mean and variance of channels [first, last) of a picture. `embedding`: what is added to each channel.
  std::pair<double, double> of(int64_t picture, int64_t first, int64_t last, const float* embedding) {
    double total = 0;
    each_chunk(picture, first, last, embedding,
               [&](double count, double mean, double) { total += count * mean; });
    const auto values = static_cast<double>(chunks_.pixels * (last - first));
    const double mean = total / values;
    double squares = 0;
    each_chunk(picture, first, last, embedding, [&](double count, double own, double around) {
      squares += around + count * (own - mean) * (own - mean);
    });
    return {mean, squares / values};
  }

 private:
  /// Calls f(values, mean, squares around that mean) for every chunk and channel.
  template <class F>
  void each_chunk(int64_t picture, int64_t first, int64_t last, const float* embedding, const F& f) {
    for (int64_t i = 0; i < chunks_.a_picture; ++i) {
      const int64_t chunk = picture * chunks_.a_picture + i;
      const auto count = static_cast<double>(chunks_.count(chunk));
      for (int64_t c = first; c < last; ++c) {
        const cpu::ChannelSums sums = place(chunk, c);
        const double off = *sums.sum / count;  // of the mean from the shift
        const double added = embedding == nullptr ? 0 : embedding[c];
        f(count, *sums.shift + off + added, *sums.squares - *sums.sum * off);
      }
    }
  }

  Chunks chunks_;
  int64_t channels_;
  std::vector<float> sums_;
};

/// What a channel of a picture is multiplied by, and what is added then.
struct Affine {
  std::vector<float> scale;  // [N, C]
  std::vector<float> shift;  // [N, C]
};

Affine affine(Moments& moments, int64_t pictures, const at::Tensor& embedding, const at::Tensor& weight,
              const at::Tensor& bias, const GroupNormSettings& settings) {
  const int64_t channels = weight.size(0);
  const int64_t width = channels / settings.groups;
  const auto size = static_cast<size_t>(pictures * channels);
  Affine result{std::vector<float>(size), std::vector<float>(size)};
  const float* weights = weight.const_data_ptr<float>();
  const float* biases = bias.const_data_ptr<float>();
  for (int64_t n = 0; n < pictures; ++n) {
    const float* added = embedding.defined() ? embedding.const_data_ptr<float>() + n * channels : nullptr;
    for (int64_t first = 0; first < channels; first += width) {
      const auto [mean, variance] = moments.of(n, first, first + width, added);
      const double inverse = 1 / std::sqrt(variance + settings.eps);
      for (int64_t c = first; c < first + width; ++c) {
        const double scale = weights[c] * inverse;
        const auto i = static_cast<size_t>(n * channels + c);
        result.scale[i] = static_cast<float>(scale);
        result.shift[i] = static_cast<float>(biases[c] + ((added == nullptr ? 0 : added[c]) - mean) * scale);
      }
    }
  }
  return result;
}

}  // namespace

at::Tensor group_norm_cpu(const cpu::Machine& machine, const GroupNormInput& input, const at::Tensor& weight,
                          const at::Tensor& bias, const GroupNormSettings& settings) {
  constexpr at::MemoryFormat kLast = at::MemoryFormat::ChannelsLast;
  std::vector<Part> parts{{input.maps.first.contiguous(kLast), 0}};
  if (input.maps.second.defined())
    parts.push_back({input.maps.second.contiguous(kLast), input.maps.first.size(1)});
  const at::Tensor& first = parts.front().map;
  const int64_t pictures = first.size(0);
  const int64_t channels = input.maps.channels();
  const int64_t pixels = first.size(2) * first.size(3);
  const int64_t a_picture = (pixels + kChunkPixels - 1) / kChunkPixels;
  const Chunks chunks{pixels, a_picture, pictures * a_picture};
  const cpu::DtypeKernels& kernels = cpu::kernels_for(machine, first.scalar_type());

  Moments moments(chunks, channels);
  cpu::parallel(chunks.all, std::min(pixels, kChunkPixels) * channels, [&](int64_t begin, int64_t end) {
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      for (const Part& part : parts)
        kernels.channel_sums(pixels_of(part.map, chunks, chunk), moments.place(chunk, part.first_channel));
    }
  });
  const at::Tensor embedding =
      input.embedding.defined() ? input.embedding.to(at::kFloat).contiguous() : at::Tensor();
  const Affine by = affine(moments, pictures, embedding, weight.to(at::kFloat).contiguous(),
                           bias.to(at::kFloat).contiguous(), settings);

  at::Tensor out = at::empty({pictures, channels, first.size(2), first.size(3)}, first.options(), kLast);
  auto* bytes = static_cast<char*>(out.mutable_data_ptr());
  cpu::parallel(chunks.all, std::min(pixels, kChunkPixels) * channels, [&](int64_t begin, int64_t end) {
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      const int64_t n = chunks.picture(chunk);
      const int64_t pixel = n * pixels + chunks.first_pixel(chunk);
      for (const Part& part : parts) {
        const auto row = static_cast<size_t>(n * channels + part.first_channel);
        kernels.scale_and_shift(pixels_of(part.map, chunks, chunk), &by.scale[row], &by.shift[row],
                                settings.activation == Activation::kSilu,
                                bytes + (pixel * channels + part.first_channel) * out.element_size(),
                                channels);
      }
    }
  });
  return out;
}

}  // namespace brume::kernels
