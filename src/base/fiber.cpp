#include "brume/base/fiber.h"

#include <boost/context/detail/fcontext.hpp>
#include <utility>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

namespace brume {

namespace context = boost::context::detail;

namespace {

// Without these calls the address sanitizer takes a jump between stacks for an overflow.
void announce_leaving([[maybe_unused]] void** fake_stack, [[maybe_unused]] const void* to,
                      [[maybe_unused]] size_t size) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(fake_stack, to, size);
#endif
}

void announce_arrival([[maybe_unused]] void* fake_stack, [[maybe_unused]] const void** from,
                      [[maybe_unused]] size_t* size) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(fake_stack, from, size);
#endif
}

size_t with_room_for_the_sanitizer(size_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
  return 4 * bytes;
#else
  return bytes;
#endif
}

/// Thrown where a body stands that is not wanted any more.
struct Unwind {};

/// Runs on the fiber's stack from its first resume on.
void start(context::transfer_t from);

}  // namespace

Fiber::Fiber(std::function<void()> body, size_t stack_bytes)
    : body_(std::move(body)), stack_(with_room_for_the_sanitizer(stack_bytes)) {
  inside_ = context::make_fcontext(stack_.data() + stack_.size(), stack_.size(), start);
}

Fiber::~Fiber() {
  unwinding_ = true;
  if (started_ && !ended_) resume();
}

void Fiber::resume() {
  started_ = true;
  announce_leaving(&outside_fake_stack_, stack_.data(), stack_.size());
  const context::transfer_t back = context::jump_fcontext(inside_, this);
  inside_ = back.fctx;
  announce_arrival(outside_fake_stack_, nullptr, nullptr);
}

void Fiber::pause() {
  // A null place for the fake stack says that this one is not needed again.
  announce_leaving(ended_ ? nullptr : &inside_fake_stack_, outside_stack_, outside_stack_size_);
  const context::transfer_t back = context::jump_fcontext(outside_, nullptr);
  outside_ = back.fctx;
  announce_arrival(inside_fake_stack_, &outside_stack_, &outside_stack_size_);
  if (unwinding_) throw Unwind{};
}

void Fiber::run(void* outside) {
  outside_ = outside;
  announce_arrival(nullptr, &outside_stack_, &outside_stack_size_);
  try {
    body_();
  } catch (const Unwind&) {
    // The body's destructors have run; nobody waits for more.
  }
  ended_ = true;
  pause();
}

namespace {

void start(context::transfer_t from) { static_cast<Fiber*>(from.data)->run(from.fctx); }

}  // namespace

}  // namespace brume
