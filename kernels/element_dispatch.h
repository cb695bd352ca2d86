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

/// As with_element, for the kernels of half precision; `refused` for fp32.
template <class Call>
int with_half_element(Element element, int refused, const Call& call) {
  if (element == Element::kFloat) return refused;
  return element == Element::kHalf ? call.template operator()<device::Half>()
                                   : call.template operator()<device::Bfloat16>();
}

}  // namespace brume::kernels
