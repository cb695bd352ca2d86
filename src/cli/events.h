#pragma once
#include <functional>
#include <nlohmann/json.hpp>

namespace brume::cli {

/// A line of JSON on standard error, for programs.
void print_event(const nlohmann::json& event);

/// How what ends a run is told.
enum class ErrorsAs { kLines, kEvents };

/// The exit code of `work`. As an event, what it throws ends here: a program reads standard error, and no
/// line of it is another kind.
int with_errors_as(ErrorsAs kind, const std::function<int()>& work);

}  // namespace brume::cli
