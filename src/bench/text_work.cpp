#include "layer_work.h"

namespace brume::bench {

Work text_work(const ClipTextConfig& text, int64_t tokens) {
  const auto width = static_cast<double>(text.width);
  const auto inner = static_cast<double>(text.intermediate);
  const auto rows = static_cast<double>(tokens);
  Work layer = norm_work(width) + norm_work(width) + attention_work(width, rows, rows) +
               linear_work(width, inner, rows) + linear_work(inner, width, rows);
  for (int projection = 0; projection < 4; ++projection) layer += linear_work(width, width, rows);
  // The embeddings are looked up, not multiplied.
  Work work{0, width * static_cast<double>(text.vocab_size + text.max_tokens)};
  for (int64_t i = 0; i < text.layers; ++i) work += layer;
  work += norm_work(width);
  if (text.projection_width)
    work += linear_work(width, static_cast<double>(*text.projection_width), 1, false);
  return work;
}

}  // namespace brume::bench
