#pragma once
#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <string>

namespace brume {

/// In the set-up of a test environment: the program's tests are skipped, with the reason, or fail where the
/// environment variable `required` is set. Null: they are skipped in any case.
inline void skip_all(const std::string& reason, const char* required) {
  if (required != nullptr && std::getenv(required) != nullptr) {
    // ctest would take the tests that a failure here skips for skipped ones.
    std::cerr << reason << '\n';
    std::_Exit(EXIT_FAILURE);
  }
  // What ctest looks for. GoogleTest says it of a test that skips itself alone, and calls these passed.
  std::cout << "[  SKIPPED ] " << reason << '\n';
  GTEST_SKIP() << reason;
}

}  // namespace brume
