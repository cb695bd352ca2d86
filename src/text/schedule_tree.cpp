#include "schedule_tree.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <system_error>
#include <utility>

#include "brume/base/error.h"
#include "brume/text/prompt_syntax.h"
#include "brume/text/unicode.h"
#include "spans.h"

namespace brume {

namespace {

constexpr std::string_view kSpecial = "\\()[]:|";

size_t digits_from(std::string_view text, size_t at) {
  return std::min(text.find_first_not_of("0123456789", at), text.size());
}

/// The length of lark's SIGNED_NUMBER at the start of `text`, or 0.
size_t number_length(std::string_view text) {
  size_t at = text.starts_with('+') || text.starts_with('-') ? 1 : 0;
  const size_t whole = digits_from(text, at) - at;
  at += whole;
  size_t fraction = 0;
  if (text.substr(at).starts_with('.')) {
    fraction = digits_from(text, at + 1) - (at + 1);
    at += 1 + fraction;
  }
  if (whole + fraction == 0) return 0;
  if (text.substr(at).starts_with('e') || text.substr(at).starts_with('E')) {
    const size_t sign = at + 1 < text.size() && (text[at + 1] == '+' || text[at + 1] == '-') ? 1 : 0;
    const size_t end = digits_from(text, at + 1 + sign);
    if (end > at + 1 + sign) at = end;
  }
  return at;
}

/// The last step that " 0.5 " means, of `steps`; nothing for what is no number.
std::optional<int64_t> last_step(std::string_view text, int64_t steps) {
  text = trimmed_left(trimmed_right(text));
  if (text.empty() || number_length(text) != text.size()) return std::nullopt;
  const bool share = text.find('.') != std::string_view::npos;
  if (text.starts_with('+')) text.remove_prefix(1);
  double number = 0;
  const char* const end = text.data() + text.size();
  if (std::from_chars(text.data(), end, number).ec != std::errc{}) return std::nullopt;
  const double step = share ? number * static_cast<double>(steps) : number;
  return static_cast<int64_t>(std::clamp(std::trunc(step), -1.0, static_cast<double>(steps)));
}

}  // namespace

ScheduleTree::ScheduleTree(std::string_view text, int64_t steps) : text_(text), steps_(steps), frames_(1) {
  parse();
}

void ScheduleTree::parse() {
  while (at_ < text_.size()) {
    const char c = text_[at_];
    if (c == '\\') {
      take_backslash();
    } else if (c == '(' || c == '[') {
      if (frames_.size() > kMostBrackets) {
        throw Error(ExitCode::kInputInvalid, "prompt",
                    "more than " + std::to_string(kMostBrackets) + " brackets are open at " +
                        excerpt(text_.substr(at_)),
                    "close some, or write \\( for the letter");
      }
      frames_.push_back({.begin = at_});
      ++at_;
    } else if (c == ')' || c == ']') {
      take_closing();
    } else if (c == ':' || c == '|') {
      take_separator();
    } else {
      const size_t end = std::min(text_.find_first_of(kSpecial, at_), text_.size());
      add({text_.substr(at_, end - at_)});
      at_ = end;
    }
  }
  while (frames_.size() > 1) {  // never closed: letters
    Frame frame = std::move(frames_.back());
    frames_.pop_back();
    frame.broken = true;
    unfold(std::move(frame), text_.size());
  }
}

/// With the letter behind it, which it makes a plain one.
void ScheduleTree::take_backslash() {
  size_t end = at_ + 1;
  if (end < text_.size() && text_[end] != '\n') {
    next_code_point(text_, end);
  } else {
    stray_bar_ = true;  // the reference has no rule for it either
  }
  add({text_.substr(at_, end - at_)});
  at_ = end;
}

void ScheduleTree::take_separator() {
  Frame& frame = frames_.back();
  if (frames_.size() > 1) {
    frame.separators.push_back(at_);
    frame.segments.emplace_back();
  } else {
    stray_bar_ = stray_bar_ || text_[at_] == '|';
    add({text_.substr(at_, 1)});
  }
  ++at_;
}

void ScheduleTree::take_closing() {
  const char opening = text_[at_] == ')' ? '(' : '[';
  if (frames_.size() > 1 && text_[frames_.back().begin] == opening) {
    close();
  } else {
    add({text_.substr(at_, 1)});
    frames_.back().broken = true;
  }
  ++at_;
}

bool ScheduleTree::has_bar(const Frame& frame) const {
  return std::any_of(frame.separators.begin(), frame.separators.end(),
                     [this](size_t at) { return text_[at] == '|'; });
}

/// The bracket that ends at at_: a node, or the text that it is.
void ScheduleTree::close() {
  Frame frame = std::move(frames_.back());
  frames_.pop_back();
  const size_t separators = frame.separators.size();
  const bool round = text_[frame.begin] == '(';
  const bool bar = has_bar(frame);
  if (round || frame.broken || separators == 0) {
    frame.broken = frame.broken || bar || separators > (round ? 1U : 0U);
    unfold(std::move(frame), at_ + 1);
    return;
  }
  const bool bars_alone = std::all_of(frame.separators.begin(), frame.separators.end(),
                                      [this](size_t at) { return text_[at] == '|'; });
  if (bars_alone) {
    nodes_.push_back({Node::Kind::kAlternate, 0, std::move(frame.segments)});
    add({{}, nodes_.size() - 1});
    return;
  }
  const size_t last = frame.separators.back() + 1;
  const std::optional<int64_t> when = last_step(text_.substr(last, at_ - last), steps_);
  if (bar || separators > 2 || !when) {
    frame.broken = true;
    unfold(std::move(frame), at_ + 1);
    return;
  }
  frame.segments.pop_back();
  if (separators == 1) frame.segments.insert(frame.segments.begin(), Sequence());
  nodes_.push_back({Node::Kind::kScheduled, *when, std::move(frame.segments)});
  add({{}, nodes_.size() - 1});
}

/// Gives what a bracket holds, up to `end` of the text, to the one around it, as text.
void ScheduleTree::unfold(Frame frame, size_t end) {
  Frame& outer = frames_.back();
  outer.broken = outer.broken || frame.broken;
  stray_bar_ = stray_bar_ || has_bar(frame);
  Sequence& sequence = outer.segments.back();
  sequence.push_back({text_.substr(frame.begin, 1)});
  for (size_t i = 0; i < frame.segments.size(); ++i) {
    if (i > 0) sequence.push_back({text_.substr(frame.separators[i - 1], 1)});
    sequence.insert(sequence.end(), frame.segments[i].begin(), frame.segments[i].end());
  }
  if (end > at_) sequence.push_back({text_.substr(at_, end - at_)});
}

std::set<int64_t> ScheduleTree::ends() const {
  std::set<int64_t> ends{steps_};
  for (const Node& node : nodes_) {
    if (node.kind == Node::Kind::kScheduled) {
      if (node.when >= 1) ends.insert(node.when);
    } else {
      for (int64_t step = 1; step <= steps_; ++step) ends.insert(step);
    }
  }
  return ends;
}

std::string ScheduleTree::text_at(int64_t end) const {
  struct Place {
    const Sequence* sequence;
    size_t next = 0;
  };
  std::string out;
  std::vector<Place> places{{&frames_.front().segments.front()}};
  while (!places.empty()) {
    Place& place = places.back();
    if (place.next == place.sequence->size()) {
      places.pop_back();
      continue;
    }
    const Item& item = (*place.sequence)[place.next++];
    if (item.node == kText) {
      out += item.text;
      continue;
    }
    const Node& node = nodes_[item.node];
    const size_t branch = node.kind == Node::Kind::kScheduled
                              ? (end <= node.when ? 0 : 1)
                              : static_cast<size_t>(end - 1) % node.branches.size();
    places.push_back({&node.branches[branch]});
  }
  return out;
}

}  // namespace brume
