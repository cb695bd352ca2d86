#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "pickle_rebuild.h"

namespace brume {

constexpr size_t kMaxPickleMarks = 64;

/// The values that a pickle's opcodes work on, and its marks. A value below the last mark cannot be reached,
/// as in Python. What it gives is valid until the next push.
class PickleStack {
 public:
  /// `builder` tells where a fault is; it must outlive the stack.
  explicit PickleStack(const PickleBuilder& builder) : builder_(builder) {}

  size_t values() const { return values_.size(); }
  size_t marks() const { return marks_.size(); }
  void push(uint32_t node) { values_.push_back(node); }
  /// The last `count` values, the newest last.
  std::span<const uint32_t> top(size_t count) const {
    const size_t floor = marks_.empty() ? 0 : marks_.back();
    if (values_.size() - floor < count) builder_.fail("there are too few values on the stack");
    return std::span(values_).last(count);
  }
  /// Takes away the last `count` values, which top has given.
  void drop(size_t count) { values_.resize(values_.size() - count); }
  uint32_t pop() {
    const uint32_t node = top(1).front();
    drop(1);
    return node;
  }
  void mark() {
    if (marks_.size() == kMaxPickleMarks)
      builder_.fail("there are more marks than the limit of " + std::to_string(kMaxPickleMarks));
    marks_.push_back(values_.size());
  }
  /// What was pushed since the last mark.
  std::span<const uint32_t> above_mark() const {
    if (marks_.empty()) builder_.fail("there is no mark on the stack");
    return std::span(values_).subspan(marks_.back());
  }
  /// The value that was the last one when the mark was made.
  uint32_t below_mark() const {
    if (marks_.empty()) builder_.fail("there is no mark on the stack");
    const size_t floor = marks_.size() > 1 ? marks_[marks_.size() - 2] : 0;
    if (marks_.back() == floor) builder_.fail("there are too few values on the stack");
    return values_[marks_.back() - 1];
  }
  /// Takes away the last mark and what is above it.
  void drop_mark() {
    values_.resize(marks_.back());
    marks_.pop_back();
  }

 private:
  const PickleBuilder& builder_;
  std::vector<uint32_t> values_;
  std::vector<size_t> marks_;
};

}  // namespace brume
