#include "notes.h"

#include <algorithm>
#include <vector>

#include "brume/weights/adapters/adapters.h"
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

namespace {

/// What of the words is not seen, or has not the meaning that it seems to have.
void print_unread(const Request& request, const Pipeline& pipeline) {
  constexpr size_t kMostShown = 5;
  const auto say_ignored = [&](const UnreadWords& unread, const std::string& where) {
    for (size_t i = 0; i < std::min(unread.ignored.size(), kMostShown); ++i)
      say("note: " + where + ": " + unread.ignored[i]);
  };
  const UnreadWords unread = pipeline.unread(request, PromptRole::kPrompt);
  if (unread.tokens_cut > 0) {
    say("note: the prompt is too long for this model; its last " + std::to_string(unread.tokens_cut) +
        " tokens are not seen");
  }
  say_ignored(unread, "prompt");
  if (!request.negative_prompt) return;
  const UnreadWords negative = pipeline.unread(request, PromptRole::kNegative);
  if (negative.tokens_cut > 0)
    say("note: the negative prompt is too long for this model; its end is not seen");
  say_ignored(negative, "negative prompt");
}

/// How a picture becomes one of the request's size.
void print_resized(const Request& request, const std::string& option, const PictureFile& file) {
  const auto size = [](int64_t width, int64_t height) {
    return std::to_string(width) + "x" + std::to_string(height);
  };
  const auto [width, height] = file.size;
  if (width == request.width && height == request.height) return;
  say("note: " + option + " is " + size(width, height) + ", and resized to " +
      size(request.width, request.height) + " (Lanczos)");
}

}  // namespace

std::optional<EditedPixels> read_noted_pixels(const Request& request) {
  if (!request.edit) return {};
  EditedPixels pixels = read_pixels(request);
  const MaskCover cover = cover_of(pixels);
  if (cover == MaskCover::kNothing)
    say("note: --mask is black everywhere: nothing of --init-img is drawn anew");
  if (cover == MaskCover::kAll) say("note: --mask is white everywhere: all of --init-img is drawn anew");
  return pixels;
}

void print_notes(const Request& request, const GenerateOptions& options, const Pipeline& pipeline) {
  for (const std::string& line : remark_lines(pipeline, options.engine.verbose)) say(line);
  if (const Adapters* adapters = pipeline.model().adapters(); adapters != nullptr && options.engine.verbose) {
    for (const std::string& line : adapters->unmatched()) say("note: " + line);
  }
  if (request.edit) print_resized(request, "--init-img", request.edit->picture);
  if (request.edit && request.edit->mask) print_resized(request, "--mask", *request.edit->mask);
  if (request.reading.unread == Unread::kTell) print_unread(request, pipeline);
  if (pipeline.model().ignores_clip_skip(options.picture))
    say("note: A1111 skips no layer of this model; --clip-skip does nothing, other --compat count it");
  if (request.negative_prompt && !request.guidance.active())
    say("note: without guidance the negative prompt does nothing");
  if (options.picture.image_cfg_scale && !request.guidance.active())
    say("note: without guidance --image-cfg-scale does nothing; it works with a --cfg-scale above 1");
  const std::string& author_choice = pipeline.model().schedule().config().class_name;
  if (!options.picture.sampler && !sampler_of_class(author_choice)) {
    say("note: the model names " + author_choice + ", which brume does not have; sampling with ddim");
  }
}

}  // namespace brume::cli
