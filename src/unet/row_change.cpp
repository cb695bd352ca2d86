#include "brume/unet/row_change.h"

#include <algorithm>
#include <charconv>
#include <system_error>

#include "brume/base/error.h"
#include "brume/base/shortest_number.h"
#include "brume/base/split.h"

namespace brume {

namespace {

constexpr double kMostFactor = 10;

/// Of the self-attentions of one transformer, appended.
void append_names(const std::string& attention, int64_t depth, std::vector<std::string>& names) {
  for (int64_t k = 0; k < depth; ++k)
    names.push_back(attention + ".transformer_blocks." + std::to_string(k) + ".attn1");
}

/// As diffusers names them, in the order in which the network meets them.
std::vector<std::string> self_attention_names(const UNetConfig& unet) {
  std::vector<std::string> names;
  const size_t count = unet.levels.size();
  const auto append_block = [&](const std::string& block, size_t level, const std::vector<int64_t>& depths) {
    if (unet.levels[level].first_attention != nn::FirstAttention::kSelf) return;
    for (size_t j = 0; j < depths.size(); ++j)
      append_names(block + ".attentions." + std::to_string(j), depths[j], names);
  };
  for (size_t i = 0; i < count; ++i) {
    if (unet.levels[i].down_attention)
      append_block("down_blocks." + std::to_string(i), i, unet.levels[i].down_depths);
  }
  if (unet.middle == UNetMiddle::kTransformer) append_names("mid_block.attentions.0", unet.mid_depth, names);
  for (size_t i = 0; i < count; ++i) {
    const size_t level = count - 1 - i;
    if (unet.levels[level].up_attention)
      append_block("up_blocks." + std::to_string(i), level, unet.levels[level].up_depths);
  }
  return names;
}

/// Whether `name` holds `layer`; "blocks.1" is not in "blocks.10".
bool holds(const std::string& name, const std::string& layer) {
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  for (size_t at = name.find(layer); at != std::string::npos; at = name.find(layer, at + 1)) {
    const size_t end = at + layer.size();
    if (!is_digit(layer.back()) || end == name.size() || !is_digit(name[end])) return true;
  }
  return false;
}

}  // namespace

FreeU free_u_from_text(std::string_view text) {
  std::vector<double> factors;
  for (const std::string_view part : split(text, ',')) {
    double factor = 0;
    const auto [stop, failed] = std::from_chars(part.data(), part.data() + part.size(), factor);
    const bool read = failed == std::errc() && stop == part.data() + part.size();
    factors.push_back(read && factor > 0 && factor <= kMostFactor ? factor : 0);
  }
  if (factors.size() != 4 || std::find(factors.begin(), factors.end(), 0.0) != factors.end())
    throw Error(ExitCode::kUsage, "--freeu " + std::string(text.substr(0, 40)),
                "is not four numbers above 0 and up to 10", "write B1,B2,S1,S2, such as 1.3,1.4,0.9,0.2");
  return {{factors[0], factors[1]}, {factors[2], factors[3]}};
}

std::string free_u_text(const FreeU& free_u) {
  std::string text;
  for (const double factor : {free_u.backbone[0], free_u.backbone[1], free_u.skip[0], free_u.skip[1]})
    text += (text.empty() ? "" : ",") + shortest_number(factor);
  return text;
}

PerturbedLayers perturbed_layers(const UNetConfig& unet, const std::vector<std::string>& layers) {
  const std::vector<std::string> names = self_attention_names(unet);
  auto chosen = std::make_shared<std::vector<bool>>(names.size(), false);
  for (const std::string& layer : layers) {
    bool found = false;
    for (size_t i = 0; i < names.size() && !layer.empty(); ++i) {
      if (!holds(names[i], layer)) continue;
      (*chosen)[i] = true;
      found = true;
    }
    if (!found)
      throw Error(ExitCode::kUsage, "--pag-layers " + layer.substr(0, 60),
                  "names no self-attention of this model",
                  "write mid, down_blocks.1 or up_blocks.0.attentions.1, with commas between several");
  }
  return chosen;
}

}  // namespace brume
