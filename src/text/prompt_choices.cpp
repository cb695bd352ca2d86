#include "brume/text/prompt_choices.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <numeric>
#include <optional>
#include <system_error>
#include <tuple>
#include <utility>

#include "brume/base/error.h"
#include "spans.h"

namespace brume {

namespace {

constexpr int kMostDepth = 32;               // of lists and wildcards within each other
constexpr int64_t kMostExpansions = 10'000;  // a line may name ten others, and each of these ten
constexpr std::string_view kMark = "__";
constexpr std::string_view kNameLetters =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./";

[[noreturn]] void refuse(const std::string& problem, const std::string& remedy) {
  throw Error(ExitCode::kInputInvalid, "prompt", problem, remedy);
}

/// "Fast Splittable Pseudorandom Number Generators" (Steele, Lea, Flood 2014).
class SplitMix {
 public:
  explicit SplitMix(uint64_t seed) : state_(seed) {}
  uint64_t next() {
    state_ += 0x9E3779B97F4A7C15U;
    uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31);
  }
  /// In [0, 1), of 53 bits.
  double fraction() { return static_cast<double>(next() >> 11) * 0x1p-53; }

 private:
  uint64_t state_;
};

struct Option {
  std::string_view text;
  double weight = 1;
};

/// "2::red": red, with twice the chance.
Option option_of(std::string_view text) {
  const size_t digits = std::min(text.find_first_not_of(".0123456789"), text.size());
  const std::string_view rest = text.substr(digits);
  if (digits == 0 || !rest.starts_with("::")) return {text};
  double weight = 0;
  const auto [stop, failed] = std::from_chars(text.data(), text.data() + digits, weight);
  if (failed != std::errc{} || stop != text.data() + digits) return {text};
  return {rest.substr(2), weight};
}

/// How many of a list are chosen, and what stands between them.
struct Several {
  size_t least = 1;
  size_t most = 1;
  std::string_view joint = ", ";
  size_t length = 0;  // of what says so
};

/// A number that begins `text` and is taken off it; nothing where there is none.
std::optional<size_t> take_count(std::string_view& text) {
  const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  if (digits == 0) return std::nullopt;
  size_t count = 0;
  const auto [stop, failed] = std::from_chars(text.data(), text.data() + digits, count);
  text.remove_prefix(digits);
  return failed == std::errc{} ? count : SIZE_MAX;
}

/// "2$$", "1-3$$", "-3$$" (1 to 3), "2-$$" (2 and more), and behind it "and$$", before the first option.
std::optional<Several> several_of(std::string_view option) {
  constexpr std::string_view kEnd = "$$";
  std::string_view rest = option;
  const std::optional<size_t> first = take_count(rest);
  const bool range = rest.starts_with('-');
  if (range) rest.remove_prefix(1);
  const std::optional<size_t> last = range ? take_count(rest) : first;
  if ((!first && !last) || !rest.starts_with(kEnd)) return std::nullopt;
  rest.remove_prefix(kEnd.size());
  Several several;
  std::tie(several.least, several.most) = std::minmax({first.value_or(1), last.value_or(SIZE_MAX)});
  // Nothing that has a meaning of its own stands between two marks.
  const size_t joint = rest.find_first_of("${}\\");
  if (joint != std::string_view::npos && rest.substr(joint).starts_with(kEnd)) {
    several.joint = rest.substr(0, joint);
    rest.remove_prefix(joint + kEnd.size());
  }
  several.length = option.size() - rest.size();
  return several;
}

/// For each { its }; 0 where it has none.
std::vector<size_t> matching_braces(std::string_view text) {
  std::vector<size_t> match(text.size());
  std::vector<size_t> open;
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '\\') {
      ++at;
    } else if (text[at] == '{') {
      open.push_back(at);
    } else if (text[at] == '}' && !open.empty()) {
      match[open.back()] = at;
      open.pop_back();
    }
  }
  return match;
}

/// The options of the list that begins at `begin`; one where it is none. A [ that is not closed within it is
/// a letter.
std::vector<Option> options_of(std::string_view text, size_t begin, const std::vector<size_t>& match) {
  const size_t end = match[begin];
  std::vector<size_t> bars;
  std::vector<size_t> squares;  // how many bars there were when each opened
  for (size_t at = begin + 1; at < end; ++at) {
    const char c = text[at];
    if (c == '\\') {
      ++at;
    } else if (c == '{' && match[at] != 0) {
      at = match[at];
    } else if (c == '[') {
      squares.push_back(bars.size());
    } else if (c == ']' && !squares.empty()) {
      bars.resize(squares.back());
      squares.pop_back();
    } else if (c == '|') {
      bars.push_back(at);
    }
  }
  bars.push_back(end);
  std::vector<Option> options;
  options.reserve(bars.size());
  for (size_t from = begin + 1; const size_t bar : bars) {
    options.push_back(option_of(text.substr(from, bar - from)));
    from = bar + 1;
  }
  return options;
}

/// The name of the __name__ at `at`; empty if there is none.
std::string_view wildcard_name(std::string_view text, size_t at) {
  constexpr size_t kMostName = 128;
  text = text.substr(at, kMostName + 2 * kMark.size());
  if (!text.starts_with(kMark)) return {};
  text.remove_prefix(kMark.size());
  text = text.substr(0, text.find_first_not_of(kNameLetters));
  const size_t end = text.find(kMark);
  return end == std::string_view::npos || text.front() == '_' ? std::string_view() : text.substr(0, end);
}

class Chooser {
 public:
  Chooser(SplitMix random, const Wildcards& wildcards) : random_(random), wildcards_(wildcards) {}

  void expand(std::string_view text, int depth) {
    if (depth > kMostDepth) {
      refuse(
          "lists and wildcards are nested deeper than " + std::to_string(kMostDepth) + " at " + excerpt(text),
          "a wildcard's line may not lead back to it");
    }
    if (++expansions_ > kMostExpansions) {
      refuse("its lists and wildcards ask for more than " + std::to_string(kMostExpansions) + " choices",
             "ask for fewer; lines that name several wildcards multiply");
    }
    const std::vector<size_t> match = matching_braces(text);
    for (size_t at = 0; at < text.size();) {
      if (text[at] == '{' && match[at] != 0) {
        at = take_list(text, at, match, depth);
      } else if (const std::string_view name = wildcard_name(text, at); !name.empty()) {
        take_wildcard(name, depth);
        at += name.size() + 2 * kMark.size();
      } else {
        const size_t length = text[at] == '\\' ? std::min<size_t>(2, text.size() - at) : 1;
        add(text.substr(at, length));
        at += length;
      }
    }
  }
  ChosenText take() { return std::move(chosen_); }

 private:
  /// Gives where to go on.
  size_t take_list(std::string_view text, size_t begin, const std::vector<size_t>& match, int depth) {
    std::vector<Option> options = options_of(text, begin, match);
    const std::optional<Several> several = several_of(options.front().text);
    if (options.size() < 2 && !several) {
      add("{");
      return begin + 1;
    }
    if (several) {
      options.front() = option_of(options.front().text.substr(several->length));
      take_several(*several, std::move(options), depth);
    } else {
      expand(pick(options).text, depth + 1);
    }
    return match[begin] + 1;
  }

  /// Each of them once at most, in no order.
  void take_several(const Several& several, std::vector<Option> options, int depth) {
    constexpr size_t kMostOfOne = 1000;
    if (options.size() == 1) {
      // {2$$__colour__}: of its lines.
      const std::string_view only = options.front().text;
      const std::string_view name = wildcard_name(only, 0);
      const bool whole = !name.empty() && name.size() + 2 * kMark.size() == only.size();
      if (whole && has_lines(name)) options = lines_of(name);
    }
    const size_t least = std::min(several.least, options.size());
    const size_t most = std::min(several.most, options.size());
    if (most > kMostOfOne)
      refuse("asks for more than " + std::to_string(kMostOfOne) + " of one list", "ask for fewer");
    const auto more = static_cast<double>(most - least + 1);
    const size_t count = least == most ? most : least + static_cast<size_t>(random_.fraction() * more);
    for (size_t i = 0; i < count; ++i) {
      const Option& option = pick(options);
      if (i > 0) add(several.joint);
      expand(option.text, depth + 1);
      options.erase(options.begin() + (&option - options.data()));
    }
  }

  bool has_lines(std::string_view name) const {
    return wildcards_ && wildcards_(std::string(name)) != nullptr;
  }

  std::vector<Option> lines_of(std::string_view name) const {
    const std::vector<std::string>& lines = *wildcards_(std::string(name));
    std::vector<Option> options;
    options.reserve(lines.size());
    for (const std::string& line : lines) options.push_back(option_of(line));
    return options;
  }

  void take_wildcard(std::string_view name, int depth) {
    if (has_lines(name)) return expand(pick(lines_of(name)).text, depth + 1);
    chosen_.unknown.emplace_back(name);
    add(std::string(kMark) + std::string(name) + std::string(kMark));
  }

  const Option& pick(const std::vector<Option>& options) {
    const double total = std::accumulate(options.begin(), options.end(), 0.0,
                                         [](double sum, const Option& one) { return sum + one.weight; });
    double left = random_.fraction() * (total > 0 ? total : static_cast<double>(options.size()));
    for (const Option& option : options) {
      left -= total > 0 ? option.weight : 1;
      if (left < 0) return option;
    }
    return options.back();
  }

  void add(std::string_view text) {
    chosen_.text += text;
    if (chosen_.text.size() > kMostChosenText) {
      refuse("is longer than " + std::to_string(kMostChosenText) + " bytes once its choices are made",
             "shorten it");
    }
  }

  SplitMix random_;
  const Wildcards& wildcards_;
  int64_t expansions_ = 0;
  ChosenText chosen_;
};

}  // namespace

bool has_choices(std::string_view text) {
  return text.find('{') != std::string_view::npos || text.find(kMark) != std::string_view::npos;
}

ChosenText choose_text(std::string_view text, uint64_t seed, uint64_t stream, const Wildcards& wildcards) {
  SplitMix streams(stream);
  Chooser chooser(SplitMix(seed ^ streams.next()), wildcards);
  chooser.expand(text, 0);
  return chooser.take();
}

}  // namespace brume
