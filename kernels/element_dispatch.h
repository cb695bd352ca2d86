#pragma once
#include "kernels/device/number.h"
#include "kernels/element.h"

namespace brume::kernels {

/// Calls `call.operator()<T>()` with the type of `element`.
template <class Call>
int with_element(Element element, const Call& call) {
  switch (element) {
    case Element::kHalf:
      return call.template operator()<device::Half>();
    case Element::kBfloat16:
      return call.template operator()<device::Bfloat16>();
    case Element::kFloat:
      break;
  }
  return call.template operator()<float>();
}

}  // namespace brume::kernels
