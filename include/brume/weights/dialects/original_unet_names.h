#pragma once
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace brume {

/// How original checkpoints name a UNet's layers: "input_blocks.4.1.proj_in" is diffusers'
/// "down_blocks.1.attentions.0.proj_in" where a level has two residual blocks.
class OriginalUNetNames {
 public:
  /// `layers` in diffusers' naming: how many blocks a level has is read off them.
  explicit OriginalUNetNames(const std::vector<std::string>& layers);

  /// Nothing for a layer that is not a UNet's.
  std::optional<std::string> of(std::string_view layer) const;
  size_t input_blocks() const;
  size_t output_blocks() const;

 private:
  struct Level {
    size_t resnets = 0;
    bool attention = false;
  };
  struct Path {
    std::map<size_t, Level> levels;

    /// How many residual blocks come before a level.
    size_t before(size_t level) const;
    Level at(size_t level) const;
  };

  std::optional<std::string> in_path(const std::vector<std::string_view>& words) const;

  Path down_;
  Path up_;
};

}  // namespace brume
