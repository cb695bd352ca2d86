#include "brume/text/prompt_schedule.h"

#include <set>
#include <utility>

#include "brume/base/error.h"
#include "schedule_tree.h"

namespace brume {

PromptSchedule read_schedule(std::string_view text, int64_t steps) {
  const ScheduleTree tree(text, steps);
  PromptSchedule schedule;
  if (!tree.changes() || tree.has_stray_bar()) {
    if (tree.changes())
      schedule.ignored.emplace_back("a | or \\ that belongs to nothing makes [a:b:n] and [a|b] plain words");
    schedule.texts.push_back({steps, std::string(text)});
    return schedule;
  }
  std::set<std::string> distinct;
  for (const int64_t end : tree.ends()) {
    std::string now = tree.text_at(end);
    if (!schedule.texts.empty() && schedule.texts.back().text == now) {
      schedule.texts.back().last = end;
      continue;
    }
    distinct.insert(now);
    if (distinct.size() > kMostTexts) {
      throw Error(ExitCode::kInputInvalid, "prompt",
                  "changes into more than " + std::to_string(kMostTexts) + " texts",
                  "use fewer [a|b], or fewer choices in them");
    }
    schedule.texts.push_back({end, std::move(now)});
  }
  return schedule;
}

}  // namespace brume
