#pragma once
#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

namespace brume {

/// In what a network computes, and where.
struct Placement {
  Placement(c10::ScalarType type,
            c10::Device place = c10::kCPU)  // NOLINT(google-explicit-constructor): the CPU
      : dtype(type), device(place) {}       // is where networks are if nobody says otherwise

  c10::ScalarType dtype;
  c10::Device device;
};

}  // namespace brume
