#pragma once
#include <optional>
#include <string>
#include <vector>

#include "brume/pipeline/picture_inputs.h"
#include "brume/pipeline/pipeline.h"
#include "brume/pipeline/request.h"
#include "generate_options.h"

namespace brume::cli {

/// What of the model is ignored; the first few, or all.
std::vector<std::string> remark_lines(const Pipeline& pipeline, bool all);

/// Reads the pictures that the request names, where it names any, so that a damaged one is told before a
/// model is loaded for it (throws kInputInvalid), and says where the mask leaves all of the picture, or
/// nothing of it.
std::optional<EditedPixels> read_noted_pixels(const Request& request);

/// What a user should know before the pictures come: what of the model is ignored, what of the prompt is cut,
/// what has no effect.
void print_notes(const Request& request, const GenerateOptions& options, const Pipeline& pipeline);

}  // namespace brume::cli
