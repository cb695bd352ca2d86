#pragma once
#include <string>
#include <vector>

#include "brume/pipeline/pipeline.h"
#include "brume/pipeline/request.h"
#include "generate_options.h"

namespace brume::cli {

/// What of the model is ignored; the first few, or all.
std::vector<std::string> remark_lines(const Pipeline& pipeline, bool all);

/// What a user should know before the pictures come: what of the model is ignored, what of the prompt is cut,
/// what has no effect.
void print_notes(const Request& request, const GenerateOptions& options, const Pipeline& pipeline);

}  // namespace brume::cli
