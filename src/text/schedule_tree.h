#pragma once
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace brume {

/// A prompt with [a:b:n] and [a|b], one within another.
class ScheduleTree {
 public:
  /// `text` must outlive the tree. Throws kInputInvalid for brackets deeper than kMostBrackets.
  ScheduleTree(std::string_view text, int64_t steps);

  /// Whether a | stands where it cannot: A1111 then takes all of the text as it stands.
  bool has_stray_bar() const { return stray_bar_; }
  bool changes() const { return !nodes_.empty(); }
  /// The last steps of all texts, in order.
  std::set<int64_t> ends() const;
  /// What it says up to the step `end`.
  std::string text_at(int64_t end) const;

 private:
  /// Of a sequence: text, or where `node` says so, one of the nodes.
  struct Item {
    std::string_view text;
    size_t node = kText;
  };
  static constexpr size_t kText = static_cast<size_t>(-1);
  using Sequence = std::vector<Item>;

  struct Node {
    enum class Kind { kScheduled, kAlternate };
    Kind kind;
    int64_t when = 0;                // of a scheduled one: the last step of the first branch
    std::vector<Sequence> branches;  // scheduled: before and after
  };

  /// A bracket that is open, and what it holds so far.
  struct Frame {
    size_t begin = 0;                                           // of the bracket
    std::vector<Sequence> segments = std::vector<Sequence>(1);  // between its separators
    std::vector<size_t> separators = {};                        // where they are
    bool broken = false;  // it holds a bracket without its other half: it is plain text
  };

  void parse();
  void take_backslash();
  void take_separator();
  void take_closing();
  void close();
  void unfold(Frame frame, size_t end);
  bool has_bar(const Frame& frame) const;
  void add(Item item) { frames_.back().segments.back().push_back(item); }

  std::string_view text_;
  int64_t steps_;
  size_t at_ = 0;
  std::vector<Frame> frames_;  // the first is the text itself
  std::vector<Node> nodes_;
  bool stray_bar_ = false;
};

}  // namespace brume
