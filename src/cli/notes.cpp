#include "notes.h"

#include <algorithm>
#include <vector>

#include "say.h"

namespace brume::cli {

namespace {

constexpr size_t kRemarksShown = 10;

}  // namespace

std::vector<std::string> remark_lines(const Pipeline& pipeline, bool all) {
  const std::vector<std::string>& remarks = pipeline.remarks();
  const size_t shown = all ? remarks.size() : std::min(remarks.size(), kRemarksShown);
  std::vector<std::string> lines;
  for (size_t i = 0; i < shown; ++i) lines.push_back("note: " + remarks[i]);
  if (shown < remarks.size())
    lines.push_back("note: " + std::to_string(remarks.size() - shown) + " more (-v lists all)");
  return lines;
}

void print_notes(const Request& request, const GenerateOptions& options, const Pipeline& pipeline) {
  for (const std::string& line : remark_lines(pipeline, options.engine.verbose)) say(line);
  if (const int64_t cut = pipeline.tokens_cut(request.prompt); cut > 0) {
    say("note: the prompt is too long for this model; its last " + std::to_string(cut) +
        " tokens are not seen");
  }
  if (request.negative_prompt && pipeline.tokens_cut(*request.negative_prompt) > 0) {
    say("note: the negative prompt is too long for this model; its end is not seen");
  }
  if (request.negative_prompt && !request.guidance.active())
    say("note: without guidance the negative prompt does nothing");
  const std::string& author_choice = pipeline.model().schedule().config().class_name;
  if (!options.picture.sampler && !sampler_of_class(author_choice)) {
    say("note: the model names " + author_choice + ", which brume does not have; sampling with ddim");
  }
}

}  // namespace brume::cli
