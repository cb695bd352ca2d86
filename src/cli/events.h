#pragma once
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "brume/base/error.h"

namespace brume::cli {

/// A line of JSON on standard error, for programs.
void print_event(const nlohmann::json& event);

/// As fail() (failure.h), by an event.
int fail_by_event(ExitCode code, const std::string& message);
/// Whether these are of a command that asks for events, even if what else is there is wrong.
bool ask_for_events(const std::vector<std::string>& arguments);

/// How what ends a run is told.
enum class ErrorsAs { kLines, kEvents };

/// The exit code of `work`. As an event, what it throws ends here: a program reads standard error, and no
/// line of it is another kind.
int with_errors_as(ErrorsAs kind, const std::function<int()>& work);

}  // namespace brume::cli
