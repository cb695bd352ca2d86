#pragma once
#include <array>

#include "name_table.h"

namespace brume::dialects {

/// A UNet's layers outside of its numbered blocks.
inline constexpr std::array<NameRow, 7> kUNetOuter{{{"time_embed.0.", "time_embedding.linear_1."},
                                                    {"time_embed.2.", "time_embedding.linear_2."},
                                                    {"label_emb.0.0.", "add_embedding.linear_1."},
                                                    {"label_emb.0.2.", "add_embedding.linear_2."},
                                                    {"input_blocks.0.0.", "conv_in."},
                                                    {"out.0.", "conv_norm_out."},
                                                    {"out.2.", "conv_out."}}};

/// The parts of a residual block.
inline constexpr std::array<NameRow, 6> kUNetResnet{{{"in_layers.0.", "norm1."},
                                                     {"in_layers.2.", "conv1."},
                                                     {"emb_layers.1.", "time_emb_proj."},
                                                     {"out_layers.0.", "norm2."},
                                                     {"out_layers.3.", "conv2."},
                                                     {"skip_connection.", "conv_shortcut."}}};

}  // namespace brume::dialects
