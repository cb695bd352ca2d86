#include "brume/bench/report.h"
#include "report_rows.h"

namespace brume::bench {

namespace {

/// `text` in a column of `width`, with two spaces before what follows.
std::string left(const std::string& text, size_t width) {
  return text + std::string(text.size() < width ? width - text.size() : 0, ' ') + "  ";
}

std::string right(const std::string& text, size_t width) {
  return std::string(text.size() < width ? width - text.size() : 0, ' ') + text;
}

std::string line_of(const Row& row) {
  return left(row.name, 21) + right(row.median, 11) + right(row.interval, 22) + right(row.times, 7) +
         right(row.rate, 10) + right(row.share, 9) + "\n";
}

}  // namespace

std::string to_table(const Report& report) {
  std::string text = workload_text(report.result.workload) + "\n" + machine_text(report.result) + "\n\n";
  text += line_of(kComponentHeads);
  for (const Row& row : component_rows(report.result)) text += line_of(row);
  if (!report.result.profile.empty()) {
    text += "\n" + line_of(kProfileHeads);
    for (const Row& row : profile_rows(report.result)) text += line_of(row);
  }
  text += "\n";
  for (const Fact& fact : facts(report)) text += left(fact.name, 13) + fact.value + "\n";
  for (const std::string& remark : report.remarks()) text += left("note", 13) + remark + "\n";
  for (const std::string& failure : report.failures()) text += left("failed", 13) + failure + "\n";
  for (const std::string& doubt : report.doubts()) text += left("undecided", 13) + doubt + "\n";
  return text + left("verdict", 13) + verdict_name(report.verdict()) + "\n";
}

}  // namespace brume::bench
