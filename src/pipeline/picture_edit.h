#pragma once
#include <cstdint>
#include <optional>

#include "brume/image/png.h"
#include "brume/pipeline/model_task.h"
#include "brume/pipeline/picture_settings.h"
#include "brume/pipeline/request.h"

namespace brume {

/// What the settings say of pictures to be read; the files are looked at. Throws kInputInvalid for a file
/// that is no picture, kUsage for settings that have no use without one, or for the task.
std::optional<PictureEdit> edit_of(const PictureSettings& settings, ModelTask task);

/// Throws kUsage where the task needs pictures that are not there.
void check_pictures_for(ModelTask task, const std::optional<PictureEdit>& edit);

/// The size at which a picture is drawn anew: its own, down to the multiple of `factor`; where one side is
/// said, the other keeps the shape.
PngSize edited_size(PngSize own, const PictureSettings& settings, int64_t factor);

/// The first of `steps` that is taken. Throws kUsage where none is left.
int64_t first_step_of(const PictureEdit& edit, int64_t steps);

}  // namespace brume
