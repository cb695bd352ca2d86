#include "brume/text/prompt_plan.h"

#include <algorithm>
#include <utility>

#include "brume/base/error.h"
#include "brume/base/escape.h"
#include "brume/text/prompt_schedule.h"
#include "brume/text/prompt_syntax.h"
#include "spans.h"

namespace brume {

namespace {

size_t index_of(std::vector<std::string>& texts, std::string text) {
  const auto found = std::find(texts.begin(), texts.end(), text);
  if (found != texts.end()) return static_cast<size_t>(found - texts.begin());
  if (texts.size() == kMostTexts) {
    throw Error(ExitCode::kInputInvalid, "prompt",
                "changes into more than " + std::to_string(kMostTexts) + " texts",
                "use fewer [a|b], or fewer choices in them");
  }
  texts.push_back(std::move(text));
  return texts.size() - 1;
}

}  // namespace

size_t PlannedPart::text_in(int64_t step) const {
  const auto found =
      std::find_if(times.begin(), times.end(), [step](const PlannedText& one) { return step <= one.last; });
  return found == times.end() ? times.back().text : found->text;
}

size_t count_parts(std::string_view text, Compat compat) {
  if (!reads_schedules(compat) || !is_utf8(text)) return 1;
  try {
    return read_parts(text).size();
  } catch (const Error&) {
    return 1;
  }
}

PromptPlan plan_prompt(std::string_view text, Compat compat, int64_t steps, PromptRole role) {
  check_utf8(text);
  if (!reads_schedules(compat)) return {{std::string(text)}, {{1, {{steps, 0}}}}, {}};
  PromptPlan plan;
  std::vector<PromptPart> parts{{std::string(text), 1}};
  if (role == PromptRole::kPrompt) parts = read_parts(text);
  for (const PromptPart& part : parts) {
    PlannedPart planned{part.weight, {}};
    PromptSchedule schedule = read_schedule(part.text, steps);
    for (ScheduledText& one : schedule.texts)
      planned.times.push_back({one.last, index_of(plan.texts, std::move(one.text))});
    plan.parts.push_back(std::move(planned));
    plan.ignored.insert(plan.ignored.end(), schedule.ignored.begin(), schedule.ignored.end());
  }
  return plan;
}

}  // namespace brume
