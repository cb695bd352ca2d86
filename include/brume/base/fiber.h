#pragma once
#include <cstddef>
#include <functional>
#include <vector>

namespace brume {

/// A function with a stack of its own that can be left in the middle and gone on with later (Boost.Context),
/// known to the address sanitizer.
class Fiber {
 public:
  static constexpr size_t kSmallStack = size_t{64} << 10;

  /// The sanitizer's frames are larger; with it the stack is four times `stack_bytes`.
  explicit Fiber(std::function<void()> body, size_t stack_bytes = kSmallStack);
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  /// Runs the body until it pauses or ends. Called from outside. A body that still stands in the middle when
  /// its fiber is destroyed is unwound from there.
  void resume();
  /// Goes back to where resume was called. Called from inside.
  void pause();
  bool ended() const { return ended_; }

  /// The body, from its first instruction on the fiber's own stack; `outside` is where resume stands.
  void run(void* outside);

 private:
  std::function<void()> body_;
  std::vector<std::byte> stack_;
  void* inside_ = nullptr;   // where the body stands
  void* outside_ = nullptr;  // where resume stands
  void* inside_fake_stack_ = nullptr;
  void* outside_fake_stack_ = nullptr;
  const void* outside_stack_ = nullptr;
  size_t outside_stack_size_ = 0;
  bool started_ = false;
  bool unwinding_ = false;
  bool ended_ = false;
};

}  // namespace brume
