#include "kernels/device/host/clock.h"

#include <algorithm>
#include <functional>
#include <type_traits>
#include <utility>

namespace brume::kernels::device::host {

namespace {

using TimesOfBlocks = std::remove_const_t<BlockTimes::element_type>;

bool covers(const Times& a, const Times& b) {
  return std::equal(a.begin(), a.end(), b.begin(), std::greater_equal<>());
}

void join_times(Times& to, const Times& from) {
  if (to.size() < from.size()) to.resize(from.size());
  for (size_t i = 0; i < from.size(); ++i) to[i] = std::max(to[i], from[i]);
}

/// Gives one of the two where it knows all that the other does.
std::shared_ptr<const Times> joined(const std::shared_ptr<const Times>& a,
                                    const std::shared_ptr<const Times>& b) {
  if (a == b || covers(*a, *b)) return a;
  if (covers(*b, *a)) return b;
  Times both = *a;
  join_times(both, *b);
  return std::make_shared<const Times>(std::move(both));
}

BlockTimes joined(const BlockTimes& a, const BlockTimes& b) {
  if (b == nullptr || a == b) return a;
  if (a == nullptr) return b;
  std::shared_ptr<TimesOfBlocks> both;  // made where b knows more
  for (const auto& [block, times] : *b) {
    const auto known = a->find(block);
    const auto most = known == a->end() ? times : joined(known->second, times);
    if (known != a->end() && most == known->second) continue;
    if (both == nullptr) both = std::make_shared<TimesOfBlocks>(*a);
    (*both)[block] = most;
  }
  return both == nullptr ? a : both;
}

}  // namespace

uint32_t Clock::of_other(int block, size_t i) const {
  if (others_ == nullptr) return 0;
  const auto known = others_->find(block);
  return known == others_->end() ? 0 : (*known->second)[i];
}

void Clock::join(const Clock& from) {
  join_times(own_, from.own_);
  others_ = joined(others_, from.others_);
}

void Clock::release(int block, BlockTimes& to) const {
  const TimesOfBlocks own{{block, std::make_shared<const Times>(own_)}};
  to = joined(joined(to, others_), std::make_shared<const TimesOfBlocks>(own));
}

void Clock::acquire(int block, const BlockTimes& from) {
  if (from == nullptr) return;
  others_ = joined(others_, from);
  const auto own = from->find(block);
  if (own != from->end()) join_times(own_, *own->second);
}

}  // namespace brume::kernels::device::host
