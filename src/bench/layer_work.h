#pragma once
#include "brume/bench/work.h"

namespace brume::bench {

/// A matrix product of `rows` rows.
Work linear_work(double in, double out, double rows, bool bias = true);
/// `area`: pixels of what comes out.
Work convolution_work(double in, double out, double kernel, double area, bool bias = true);
/// A scale and a bias a channel.
Work norm_work(double channels);
/// Queries against keys and their values.
Work attention_work(double width, double queries, double keys);
/// `time_width` 0: no time embedding.
Work resnet_work(double in, double out, double time_width, double area);

}  // namespace brume::bench
