#include "picture_edit.h"

#include <algorithm>
#include <cmath>
#include <sstream>

#include "brume/base/error.h"
#include "brume/diffusion/samplers.h"

namespace brume {

namespace {

constexpr double kRefinedStrength = 0.3;  // of StableDiffusionXLImg2ImgPipeline
constexpr double kUsualStrength = 0.75;   // A1111's, and stable-diffusion.cpp's
constexpr double kMaskedStrength = 1;     // of StableDiffusionInpaintPipeline

int64_t whole_multiple(double length, int64_t factor) {
  return std::max(static_cast<int64_t>(length / static_cast<double>(factor)), int64_t{1}) * factor;
}

/// Of a side that follows the other one, to the nearest multiple.
int64_t following(int64_t said, int own, int own_other, int64_t factor) {
  const double length = static_cast<double>(said) * own / own_other;
  return std::min(whole_multiple(length + static_cast<double>(factor) / 2, factor), kMostSide);
}

/// Throws for an option that is given and has no use, saying why.
void refuse_given(bool given, const char* option, const char* problem, const char* remedy) {
  if (given) throw Error(ExitCode::kUsage, option, problem, remedy);
}

}  // namespace

std::optional<PictureEdit> edit_of(const PictureSettings& settings, ModelTask task) {
  const bool masked = !settings.mask.value_or("").empty();
  if (settings.init_img.value_or("").empty()) {
    constexpr const char* kNone = "there is no picture to change";
    constexpr const char* kRemedy = "name one with --init-img, or leave it out";
    refuse_given(settings.strength.has_value(), "--strength", kNone, kRemedy);
    refuse_given(masked, "--mask", kNone, kRemedy);
    return {};
  }
  if (task == ModelTask::kEdit) {
    refuse_given(settings.strength.has_value(), "--strength",
                 "this model takes all steps, with the picture beside them",
                 "leave it out; --image-cfg-scale says how close it stays");
    refuse_given(masked, "--mask", "this model changes whole pictures", "leave it out, or use another model");
  }
  PictureEdit edit{look_at_picture(*settings.init_img, "--init-img"), {}, {}};
  if (masked) edit.mask = look_at_picture(*settings.mask, "--mask");
  if (task != ModelTask::kEdit)
    edit.strength = settings.strength.value_or(task == ModelTask::kRefine ? kRefinedStrength
                                               : edit.mask                ? kMaskedStrength
                                                                          : kUsualStrength);
  return edit;
}

void check_pictures_for(ModelTask task, const std::optional<PictureEdit>& edit) {
  if (task == ModelTask::kInpaint && !(edit && edit->mask))
    throw Error(ExitCode::kUsage, "--mask", "this model draws a part of a picture anew, and needs both",
                "name the picture with --init-img and its mask with --mask");
  if (task == ModelTask::kRefine && !edit)
    throw Error(ExitCode::kUsage, "--init-img", "this model finishes pictures, and draws none of its own",
                "name the picture with --init-img");
  if (task == ModelTask::kEdit && !edit)
    throw Error(ExitCode::kUsage, "--init-img", "this model changes a picture as the prompt says",
                "name the picture with --init-img");
}

PngSize edited_size(PngSize own, const PictureSettings& settings, int64_t factor) {
  int64_t width = settings.width.value_or(0);
  int64_t height = settings.height.value_or(0);
  if (!settings.width && !settings.height) {
    width = whole_multiple(own.width, factor);
    height = whole_multiple(own.height, factor);
  } else if (!settings.width) {
    width = following(height, own.width, own.height, factor);
  } else if (!settings.height) {
    height = following(width, own.height, own.width, factor);
  }
  return {static_cast<int>(width), static_cast<int>(height)};
}

int64_t first_step_of(const PictureEdit& edit, int64_t steps) {
  if (!edit.strength) return 0;
  const int64_t first = first_step_of(steps, *edit.strength);
  if (first < steps) return first;
  std::ostringstream option;
  option << "--strength " << *edit.strength;
  throw Error(ExitCode::kUsage, option.str(), "leaves none of " + std::to_string(steps) + " steps to take",
              "make it or --steps larger");
}

}  // namespace brume
