#include "svg.h"

#include <algorithm>
#include <cmath>

#include "number_text.h"

namespace brume::bench {

namespace {

constexpr double kWidth = 720;
constexpr double kHeight = 220;
constexpr double kLeft = 70;
constexpr double kBottom = 30;
constexpr double kTop = 10;

std::string attribute(const char* name, double value) {
  return std::string(" ") + name + "=\"" + number_text(std::round(value * 10) / 10) + "\"";
}

std::string open(const std::string& title, double height = kHeight) {
  return "<svg viewBox=\"0 0 " + number_text(kWidth) + " " + number_text(height) + "\" role=\"img\"><title>" +
         html_text(title) + "</title>\n";
}

std::string label(double x, double y, const char* anchor, const std::string& text) {
  return "<text" + attribute("x", x) + attribute("y", y) + " text-anchor=\"" + anchor + "\">" +
         html_text(text) + "</text>\n";
}

std::string segment(const char* kind, double x1, double y1, double x2, double y2) {
  return std::string("<line class=\"") + kind + "\"" + attribute("x1", x1) + attribute("y1", y1) +
         attribute("x2", x2) + attribute("y2", y2) + "/>\n";
}

std::string box(const char* kind, double x, double y, double width, double height) {
  return std::string("<rect class=\"") + kind + "\"" + attribute("x", x) + attribute("y", y) +
         attribute("width", width) + attribute("height", height) + "/>\n";
}

/// Maps values to heights of the drawing, the largest at the top.
struct Scale {
  double low;
  double high;
  double at(double value) const {
    const double share = high > low ? (value - low) / (high - low) : 0.5;
    return kHeight - kBottom - share * (kHeight - kBottom - kTop);
  }
};

std::string axes(const Scale& scale, const std::string& below) {
  std::string text = segment("axis", kLeft, kTop, kLeft, kHeight - kBottom) +
                     segment("axis", kLeft, kHeight - kBottom, kWidth, kHeight - kBottom);
  text += label(kLeft - 6, kTop + 8, "end", number_text(scale.high) + " ms");
  text += label(kLeft - 6, kHeight - kBottom, "end", number_text(scale.low) + " ms");
  return text + label(kWidth, kHeight - 8, "end", below);
}

/// At most `most` of the samples, the largest of every stretch: a page of a million points opens nowhere.
std::vector<double> thinned(std::span<const double> values, size_t most) {
  const size_t stretch = (values.size() + most - 1) / std::max<size_t>(most, 1);
  std::vector<double> kept;
  for (size_t i = 0; i < values.size(); i += std::max<size_t>(stretch, 1)) {
    const auto begin = values.begin() + static_cast<std::ptrdiff_t>(i);
    const auto length = static_cast<std::ptrdiff_t>(std::min(stretch, values.size() - i));
    kept.push_back(*std::max_element(begin, begin + length));
  }
  return kept;
}

}  // namespace

std::string html_text(const std::string& text) {
  std::string escaped;
  for (const char letter : text) {
    switch (letter) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      default:
        escaped += letter;
    }
  }
  return escaped;
}

std::string plot_of_samples(std::span<const double> values, const Summary& summary) {
  if (values.empty()) return {};
  constexpr size_t kMostPoints = 1500;
  const std::vector<double> points = thinned(values, kMostPoints);
  const Scale scale{0, 1.05 * *std::max_element(points.begin(), points.end())};
  std::string text = open("Each sample in the order of measurement");
  if (summary.interval)
    text += box("band", kLeft, scale.at(summary.interval->high), kWidth - kLeft,
                scale.at(summary.interval->low) - scale.at(summary.interval->high));
  const double pace = (kWidth - kLeft) / static_cast<double>(points.size());
  for (size_t i = 0; i < points.size(); ++i)
    text += "<circle class=\"mark\"" + attribute("cx", kLeft + (static_cast<double>(i) + 0.5) * pace) +
            attribute("cy", scale.at(points[i])) + " r=\"2\"/>\n";
  text += segment("line", kLeft, scale.at(summary.median), kWidth, scale.at(summary.median));
  return text + axes(scale, std::to_string(values.size()) + " samples, first to last") + "</svg>\n";
}

std::string plot_of_spread(std::span<const double> values) {
  if (values.empty()) return {};
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  const size_t count = std::clamp<size_t>(static_cast<size_t>(std::sqrt(values.size())), 5, 60);
  const double width = std::max(*most - *least, 1e-9);
  std::vector<double> classes(count, 0);
  for (const double value : values) {
    const double share = (value - *least) / width;
    ++classes[std::min(count - 1, static_cast<size_t>(share * static_cast<double>(count)))];
  }
  const double highest = *std::max_element(classes.begin(), classes.end());
  std::string text = open("How often each time came");
  const double pace = (kWidth - kLeft) / static_cast<double>(count);
  const double room = kHeight - kBottom - kTop;
  for (size_t i = 0; i < count; ++i) {
    const double height = room * classes[i] / highest;
    text +=
        box("mark", kLeft + static_cast<double>(i) * pace, kHeight - kBottom - height, 0.9 * pace, height);
  }
  text += segment("axis", kLeft, kHeight - kBottom, kWidth, kHeight - kBottom);
  text += label(kLeft, kHeight - 8, "start", number_text(*least) + " ms");
  text += label(kWidth, kHeight - 8, "end", number_text(*most) + " ms");
  return text + label(kLeft - 6, kTop + 8, "end", number_text(highest)) + "</svg>\n";
}

std::string plot_of_bars(const std::vector<Bar>& bars) {
  constexpr double kRow = 28;
  constexpr double kNames = 150;
  constexpr double kLabels = 150;
  double most = 0;
  for (const Bar& bar : bars) most = std::max(most, bar.value);
  std::string text = open("Bars on a common scale", kRow * static_cast<double>(bars.size()) + 4);
  double y = 4;
  for (const Bar& bar : bars) {
    const double length = most > 0 ? (kWidth - kNames - kLabels) * bar.value / most : 0;
    text += label(kNames - 8, y + 15, "end", bar.name) + box("mark", kNames, y, std::max(length, 1.0), 20) +
            label(kNames + length + 6, y + 15, "start", bar.label);
    y += kRow;
  }
  return text + "</svg>\n";
}

}  // namespace brume::bench
