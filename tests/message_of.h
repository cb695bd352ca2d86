#pragma once
#include <gtest/gtest.h>

#include <string>

#include "brume/base/error.h"

namespace brume {

/// The message of the Error that `action` throws; fails the test if there is none, or if its exit code is
/// another.
template <class Action>
std::string message_of(Action action, ExitCode code) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code);
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

}  // namespace brume
