#include "brume/batch/shard.h"

#include <charconv>
#include <numeric>

#include "brume/base/error.h"

namespace brume::batch {

namespace {

constexpr int64_t kMostShards = 100'000;
constexpr const char* kForms = "write i/n with i from 0 to n-1, auto/n or auto";

[[noreturn]] void refuse(const std::string& text, const std::string& problem, const std::string& remedy) {
  throw Error(ExitCode::kUsage, "--shard " + text, problem, remedy);
}

std::optional<int64_t> whole_number(std::string_view text) {
  int64_t value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

/// The number that a scheduler gave this task, and the variable it stands in.
struct Task {
  std::string variable;
  int64_t number = 0;
};

std::optional<int64_t> number_in(const Environment& environment, const char* variable) {
  const char* text = environment(variable);
  return text == nullptr ? std::nullopt : whole_number(text);
}

Task task_of(const std::string& text, const Environment& environment) {
  for (const char* variable : {"SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX"}) {
    const char* value = environment(variable);
    if (value == nullptr) continue;
    const std::optional<int64_t> number = whole_number(value);
    if (!number) refuse(text, std::string(variable) + "=" + value + " is no number", "write i/n");
    return {variable, *number};
  }
  refuse(text, "no scheduler gave this task a number (SLURM_ARRAY_TASK_ID, JOB_COMPLETION_INDEX)",
         "write i/n with i from 0 to n-1");
}

Shard checked(const std::string& text, std::string_view count_text, int64_t index, const std::string& who) {
  const std::optional<int64_t> count = whole_number(count_text);
  if (!count || *count < 1 || *count > kMostShards)
    refuse(text, "the number of shards must be from 1 to " + std::to_string(kMostShards), kForms);
  if (index >= *count) {
    refuse(text,
           who + " is " + std::to_string(index) + ", and " + std::to_string(*count) +
               " shards are counted from 0 to " + std::to_string(*count - 1),
           "count from 0, as in --array=0-" + std::to_string(*count - 1));
  }
  return {index, *count};
}

/// Index and count as Slurm tells them. An array with gaps does not say which of its tasks this one is.
Shard shard_of_slurm(const std::string& text, const Environment& environment) {
  const Task task = task_of(text, environment);
  if (task.variable != "SLURM_ARRAY_TASK_ID")
    refuse(text, task.variable + " does not come with the number of tasks", "write auto/n");
  const std::optional<int64_t> count = number_in(environment, "SLURM_ARRAY_TASK_COUNT");
  const std::optional<int64_t> least = number_in(environment, "SLURM_ARRAY_TASK_MIN");
  const std::optional<int64_t> most = number_in(environment, "SLURM_ARRAY_TASK_MAX");
  const auto require = [&](const std::optional<int64_t>& value, const char* variable) {
    if (!value) refuse(text, std::string(variable) + " is not set, or is no number", "write auto/n or i/n");
  };
  require(count, "SLURM_ARRAY_TASK_COUNT");
  require(least, "SLURM_ARRAY_TASK_MIN");
  const bool without_gaps = *count >= 1 && *count <= kMostShards && task.number >= *least &&
                            task.number - *least < *count && (!most || *most - *least == *count - 1);
  if (!without_gaps)
    refuse(text, "the array's tasks are not numbered one after the other", "write auto/n or i/n");
  return {task.number - *least, *count};
}

}  // namespace

bool Shard::owns(const JobKey& key) const {
  return key.prefix() % static_cast<uint64_t>(count) == static_cast<uint64_t>(index);
}

bool Shard::overlaps(const Shard& other) const {
  // A key's number may have both remainders just if they agree on what the counts share.
  const int64_t shared = std::gcd(count, other.count);
  return index % shared == other.index % shared;
}

bool Shard::covers(const Shard& other) const {
  return other.count % count == 0 && other.index % count == index;
}

std::string Shard::name() const {
  return is_whole() ? "all" : std::to_string(index) + "-of-" + std::to_string(count);
}

Shard shard_from_text(const std::string& text, const Environment& environment) {
  if (text == "auto") return shard_of_slurm(text, environment);
  const size_t slash = text.find('/');
  if (slash == std::string::npos) refuse(text, "is no shard", kForms);
  const std::string_view before = std::string_view(text).substr(0, slash);
  const std::string_view after = std::string_view(text).substr(slash + 1);
  if (before == "auto") {
    const Task task = task_of(text, environment);
    return checked(text, after, task.number, task.variable);
  }
  const std::optional<int64_t> index = whole_number(before);
  if (!index) refuse(text, "is no shard", kForms);
  return checked(text, after, *index, "i");
}

std::optional<Shard> shard_from_name(std::string_view name) {
  if (name == "all") return Shard{};
  constexpr std::string_view kBetween = "-of-";
  const size_t between = name.find(kBetween);
  if (between == std::string_view::npos) return std::nullopt;
  const std::optional<int64_t> index = whole_number(name.substr(0, between));
  const std::optional<int64_t> count = whole_number(name.substr(between + kBetween.size()));
  if (!index || !count || *count < 2 || *count > kMostShards || *index >= *count) return std::nullopt;
  const Shard shard{*index, *count};
  return shard.name() == name ? std::optional(shard) : std::nullopt;
}

}  // namespace brume::batch
