#pragma once
#include <cmath>

namespace brume {

/// Half the logarithm of the signal-to-noise ratio, in which DPM-Solver and UniPC take their steps.
inline double lambda_of(double sigma) { return -std::log(sigma); }

}  // namespace brume
