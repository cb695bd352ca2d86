#include "diffusers_names.h"

#include <array>
#include <string_view>

#include "name_table.h"

namespace brume::dialects {

namespace {

constexpr std::array<NameRow, 4> kOldAttention{
    {{"query.", "to_q."}, {"key.", "to_k."}, {"value.", "to_v."}, {"proj_attn.", "to_out.0."}}};

}  // namespace

std::string present_name(const std::string& name) {
  constexpr std::string_view kPlace = "mid_block.attentions.0.";
  const size_t place = name.find(kPlace);
  if (place == std::string::npos) return name;
  const size_t end = place + kPlace.size();
  const auto part = renamed(std::string_view(name).substr(end), kOldAttention);
  return part ? name.substr(0, end) + *part : name;
}

}  // namespace brume::dialects
