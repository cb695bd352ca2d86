#pragma once
#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <functional>

namespace brume {

/// Puts a weight into memory of the machine, from where a GPU fetches it whenever a layer computes.
using HostCopy = std::function<at::Tensor(const at::Tensor&)>;

/// In what a network computes, and where.
struct Placement {
  Placement(c10::ScalarType type,
            c10::Device place = c10::kCPU)  // NOLINT(google-explicit-constructor): the CPU
      : dtype(type), device(place) {}       // is where networks are if nobody says otherwise

  c10::ScalarType dtype;
  c10::Device device;
  HostCopy host_copy = nullptr;  // where there is one, layers keep their large weights there
};

}  // namespace brume
