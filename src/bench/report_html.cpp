#include "brume/bench/report.h"
#include "number_text.h"
#include "report_rows.h"
#include "svg.h"

namespace brume::bench {

namespace {

constexpr const char* kHead = R"(<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>brume bench</title><style>
:root { color-scheme: light dark; --ink: #222; --paper: #fff; --mark: #2a6f97; --band: #2a6f9733; --line: #c1121f; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #ddd; --paper: #181a1b; --mark: #7fb8dd; --band: #7fb8dd33; --line: #ff6b6b; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 760px;
  margin: 2em auto; padding: 0 1em; }
table { border-collapse: collapse; width: 100%; } th, td { padding: 2px 8px; text-align: right; }
th:first-child, td:first-child, .facts td { text-align: left; } tr { border-bottom: 1px solid #8884; }
svg { width: 100%; height: auto; } svg text { font-size: 12px; fill: var(--ink); }
.mark { fill: var(--mark); } .band { fill: var(--band); } .line { stroke: var(--line); } .axis { stroke: var(--ink); }
.passed { color: var(--mark); } .failed { color: var(--line); }
</style></head><body>
)";

std::string element(const std::string& name, const std::string& inner) {
  return "<" + name + ">" + html_text(inner) + "</" + name + ">";
}

std::vector<double> in_milliseconds(const std::vector<double>& seconds) {
  std::vector<double> values = seconds;
  for (double& one : values) one *= 1e3;
  return values;
}

std::string section(const std::string& title, const std::string& plot) {
  return plot.empty() ? "" : element("h2", title) + "\n" + plot;
}

std::string verdict_html(const Report& report) {
  const std::string verdict = verdict_name(report.verdict());
  std::string text = "<p class=\"" + verdict + "\">Verdict: " + verdict + "</p>\n<ul>\n";
  for (const std::string& failure : report.failures())
    text += "<li class=\"failed\">" + html_text(failure) + "</li>\n";
  for (const std::string& doubt : report.doubts()) text += element("li", doubt) + "\n";
  for (const std::string& remark : report.remarks()) text += element("li", remark) + "\n";
  return text + "</ul>\n";
}

std::string row_html(const std::string& kind, const Row& row) {
  std::string text = "<tr>";
  for (const std::string& cell : {row.name, row.median, row.interval, row.times, row.rate, row.share})
    text += element(kind, cell);
  return text + "</tr>\n";
}

std::string table_html(const Row& heads, const std::vector<Row>& rows) {
  std::string text = "<table>\n" + row_html("th", heads);
  for (const Row& row : rows) text += row_html("td", row);
  return text + "</table>\n";
}

std::string tables_html(const Report& report) {
  std::string text = "<table class=\"facts\">\n";
  for (const Fact& fact : facts(report))
    text += "<tr>" + element("td", fact.name) + element("td", fact.value) + "</tr>\n";
  text += "</table>\n<h2>Components</h2>\n" + table_html(kComponentHeads, component_rows(report.result));
  if (!report.result.profile.empty())
    text += "<h2>Operations</h2>\n" + table_html(kProfileHeads, profile_rows(report.result));
  return text;
}

std::string shares_plot(const Result& result) {
  const auto batch = static_cast<double>(result.workload.batch_size);
  const auto steps = static_cast<double>(result.workload.steps);
  const auto bar = [](const std::string& name, double seconds) {
    return Bar{name, seconds, number_text(seconds * 1e3) + " ms"};
  };
  return plot_of_bars({bar("text", result.text.summary().median),
                       bar("all steps", steps * result.step.summary().median),
                       bar("VAE decode", batch * result.decode.summary().median)});
}

std::string operations_plot(const Result& result) {
  constexpr size_t kMost = 12;  // the rows are sorted: what comes later is too thin to see
  std::vector<Bar> bars;
  for (const Operation& operation : result.profile)
    if (bars.size() < kMost)
      bars.push_back({operation.name, operation.seconds, number_text(operation.seconds * 1e3) + " ms"});
  return bars.empty() ? std::string() : plot_of_bars(bars);
}

std::string comparison_plot(const Report& report) {
  if (!report.comparison) return {};
  const auto bar = [](const std::string& name, double speed) { return Bar{name, speed, number_text(speed)}; };
  const Baseline& old = report.comparison->baseline;
  return plot_of_bars({bar("steps/s, now", report.result.steps_per_second()),
                       bar("steps/s, baseline", old.steps_per_second)}) +
         plot_of_bars({bar("pictures/s, now", report.result.pictures_per_second()),
                       bar("pictures/s, baseline", old.pictures_per_second)});
}

}  // namespace

std::string to_html(const Report& report) {
  const Result& result = report.result;
  const std::vector<double> steps = in_milliseconds(result.step.seconds);
  const std::vector<double> rounds = in_milliseconds(result.rounds);
  std::string text = kHead + element("h1", "brume bench") + "\n" +
                     element("p", workload_text(result.workload)) + "\n" +
                     element("p", machine_text(result)) + "\n";
  text += verdict_html(report) + tables_html(report);
  text += section("Where the time of a batch goes", shares_plot(result));
  text += section("The operations that take most of a round", operations_plot(result));
  text += section("Beside the baseline", comparison_plot(report));
  text += section("Every denoising step", plot_of_samples(steps, summarize_rows(steps, result.step.row)));
  text += section("How the steps spread", plot_of_spread(steps));
  text += section("Every batch", plot_of_samples(rounds, summarize(rounds)));
  return text + "</body></html>\n";
}

}  // namespace brume::bench
