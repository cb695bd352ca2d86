#pragma once
#include <functional>
#include <thread>

namespace brume {

/// A thread of ours. Throws kOutOfMemory where the system has no room for another.
std::thread start_thread(std::function<void()> work);

/// Throws kOutOfMemory where the system has no room for so many more threads. Libraries' threads are not made
/// by us, and where one of these cannot be made the program would end there and then.
void check_threads(int count);

/// at::set_num_threads, after check_threads of all that this brings and of `beside` more.
void use_threads(int count, int beside = 0);

}  // namespace brume
