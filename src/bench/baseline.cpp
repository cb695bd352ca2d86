#include "brume/bench/baseline.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "brume/base/error.h"
#include "brume/base/file.h"
#include "brume/base/strict_json.h"
#include "brume/bench/report.h"
#include "number_text.h"

namespace brume::bench {

namespace {

using nlohmann::json;
using Options = std::map<std::string, std::string>;

constexpr uint64_t kMostBytes = uint64_t{64} << 20;
constexpr int kMostDepth = 8;

/// Reads the keys of a result, naming the file and the key of what is wrong.
class Reader {
 public:
  Reader(std::string file, const json& object) : file_(std::move(file)), object_(object) {}

  std::string text(const char* key) const {
    const json& value = at(key);
    if (!value.is_string()) reject(key, "is not a text");
    return value.get<std::string>();
  }
  double number(const char* key) const {
    const json& value = at(key);
    if (!value.is_number()) reject(key, "is not a number");
    return value.get<double>();
  }
  int64_t integer(const char* key) const {
    const json& value = at(key);
    if (!value.is_number_integer()) reject(key, "is not a whole number");
    return value.get<int64_t>();
  }
  Options texts(const char* key) const {
    const json& value = at(key);
    if (!value.is_object()) reject(key, "is not an object");
    Options texts;
    for (const auto& [name, text] : value.items()) {
      if (!text.is_string()) reject(std::string(key) + "." + name, "is not a text");
      texts[name] = text.get<std::string>();
    }
    return texts;
  }
  double speed(const char* key) const {
    const double value = number(key);
    if (value <= 0) reject(key, "is not above zero");
    return value;
  }
  /// Of a speed, as far on both sides of it as the times' interval reaches from their median. Nothing where
  /// the result has none.
  std::optional<Interval> interval_of(double speed, const char* times) const {
    const json& summary = object_.value(json::json_pointer(times), json());
    const json& interval = summary.is_object() ? summary.value("interval_ms", json()) : json();
    if (interval.is_null()) return {};
    const json median = summary.value("median_ms", json());
    const bool is_pair = interval.is_array() && interval.size() == 2 && interval[0].is_number() &&
                         interval[1].is_number() && median.is_number();
    if (!is_pair || interval[0] <= 0 || interval[0] > median || median > interval[1])
      reject(std::string(times) + "/interval_ms", "is no interval around the median");
    return Interval{speed * median.get<double>() / interval[1].get<double>(),
                    speed * median.get<double>() / interval[0].get<double>()};
  }

 private:
  const json& at(const char* key) const {
    if (!object_.contains(key)) reject(key, "is missing");
    return object_.at(key);
  }
  [[noreturn]] void reject(const std::string& key, const std::string& problem) const {
    throw Error(ExitCode::kInputInvalid, file_, key + " " + problem, "write it with brume bench --json");
  }

  std::string file_;
  const json& object_;
};

void note_other(const std::string& what, const std::string& now, const std::string& then,
                std::vector<std::string>& lines) {
  if (now != then) lines.push_back("the baseline's " + what + " is " + then + ", not " + now);
}

}  // namespace

Baseline Baseline::read(const std::filesystem::path& path) {
  const std::string file = path.string();
  const std::string text = read_text_file(path, kMostBytes, ExitCode::kInputInvalid);
  const json object = parse_strict_json(text, kMostDepth, file, ExitCode::kInputInvalid);
  const json format = object.is_object() ? object.value("format", json()) : json();
  const auto is_one_of = [&format](const auto& formats) {
    return std::find(formats.begin(), formats.end(), format) != formats.end();
  };
  const bool older = is_one_of(kReportFormatsWithoutOptions);
  if (format != kReportFormat && !older && !is_one_of(kReportFormatsBefore))
    throw Error(ExitCode::kInputInvalid, file, "is not a result of brume bench",
                "write one with brume bench --json");
  const Reader reader(file, object);
  Baseline baseline;
  baseline.file = file;
  baseline.workload = {.arch = reader.text("arch"),
                       .weights = reader.text("weights"),
                       .width = reader.integer("width"),
                       .height = reader.integer("height"),
                       .batch_size = reader.integer("batch_size"),
                       .steps = reader.integer("steps"),
                       .sampler = reader.text("sampler"),
                       .cfg_scale = reader.number("cfg_scale"),
                       .dtype = reader.text("dtype"),
                       .device = reader.text("device"),
                       .options = older ? Options{} : reader.texts("options")};
  baseline.machine = {.version = reader.text("version"),
                      .device_name = reader.text("device_name"),
                      .threads = reader.integer("threads"),
                      .instruction_set = reader.text("instruction_set")};
  baseline.steps_per_second = reader.speed("steps_per_second");
  baseline.pictures_per_second = reader.speed("pictures_per_second");
  baseline.steps_interval = reader.interval_of(baseline.steps_per_second, "/components/unet_step");
  baseline.pictures_interval = reader.interval_of(baseline.pictures_per_second, "/rounds");
  return baseline;
}

void Baseline::check_comparable(const Workload& now) const {
  const auto same = [this](const char* key, const std::string& theirs, const std::string& ours) {
    if (theirs == ours) return;
    throw Error(ExitCode::kInputInvalid, file,
                std::string(key) + " is " + theirs + ", but this run's is " + ours,
                "compare runs of the same work");
  };
  same("arch", workload.arch, now.arch);
  same("weights", workload.weights, now.weights);
  same("width", std::to_string(workload.width), std::to_string(now.width));
  same("height", std::to_string(workload.height), std::to_string(now.height));
  same("batch_size", std::to_string(workload.batch_size), std::to_string(now.batch_size));
  same("steps", std::to_string(workload.steps), std::to_string(now.steps));
  same("sampler", workload.sampler, now.sampler);
  // Guidance doubles the work; how strong it is does not matter.
  same("guidance", workload.cfg_scale > 1 ? "on" : "off", now.cfg_scale > 1 ? "on" : "off");
  same("dtype", workload.dtype, now.dtype);
  same("device", workload.device, now.device);
  const auto value = [](const Options& options, const std::string& name) {
    const auto found = options.find(name);
    return found != options.end() ? found->second : std::string("not used");
  };
  Options all = workload.options;
  all.insert(now.options.begin(), now.options.end());
  for (const auto& [name, text] : all)
    same(name.c_str(), value(workload.options, name), value(now.options, name));
}

Comparison compare(const Result& result, Baseline baseline, double max_regress) {
  const double pace = 1 + result.unsteadiness();
  const auto change = [pace](double now, double then, const auto& now_interval, const auto& then_interval) {
    Change made{now / then - 1};
    if (now_interval && then_interval)
      made.interval = Interval{now_interval->low / pace / then_interval->high - 1,
                               now_interval->high * pace / then_interval->low - 1};
    return made;
  };
  Comparison comparison;
  comparison.steps = change(result.steps_per_second(), baseline.steps_per_second, result.steps_interval(),
                            baseline.steps_interval);
  comparison.pictures = change(result.pictures_per_second(), baseline.pictures_per_second,
                               result.pictures_interval(), baseline.pictures_interval);
  comparison.baseline = std::move(baseline);
  comparison.max_regress = max_regress;
  return comparison;
}

std::vector<std::string> Comparison::failures() const {
  std::vector<std::string> lines;
  const auto judge = [&](const char* what, const Change& change) {
    if (!change.interval || change.interval->high >= -max_regress) return;
    lines.push_back(std::string(what) + " a second fell by " + percent_text(-change.share) +
                    ", more than the " + percent_text(max_regress) + " allowed");
  };
  judge("steps", steps);
  judge("pictures", pictures);
  return lines;
}

std::vector<std::string> Comparison::doubts() const {
  std::vector<std::string> lines;
  const auto judge = [&](const char* what, const Change& change) {
    if (!change.interval) {
      lines.push_back(
          std::string(what) +
          " a second: this run or its baseline has fewer than six rounds, which have no interval");
    } else if (change.interval->low < -max_regress && -max_regress <= change.interval->high) {
      lines.push_back(std::string(what) + " a second: the change is from " +
                      signed_percent(change.interval->low) + " to " + signed_percent(change.interval->high) +
                      ", and " + percent_text(max_regress) +
                      " slower is allowed; more time or a quieter machine tells");
    }
  };
  judge("steps", steps);
  judge("pictures", pictures);
  return lines;
}

std::vector<std::string> Comparison::remarks(const Result& result) const {
  std::vector<std::string> lines;
  note_other("processor", result.machine.device_name, baseline.machine.device_name, lines);
  note_other("number of threads", std::to_string(result.machine.threads),
             std::to_string(baseline.machine.threads), lines);
  note_other("version", result.machine.version, baseline.machine.version, lines);
  return lines;
}

}  // namespace brume::bench
