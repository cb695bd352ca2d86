#pragma once
#include <cstdint>
#include <string_view>

namespace brume {

/// Whose prompts these are: how they are read, what emphasis does to the words, and how layers are counted.
enum class Compat {
  kA1111,      // the whole language; emphasis keeps each text tower's mean
  kDiffusers,  // words as they stand, cut where the model's window ends
  kSdCpp,      // emphasis and BREAK alone; emphasis keeps the mean of both towers together
};

/// "a1111", "diffusers", "sdcpp". Throws kUsage for another name.
Compat compat_from_name(std::string_view name);
std::string_view compat_name(Compat compat);

/// ( ), [ ], (x:1.3), escapes, BREAK, and prompts of several windows.
constexpr bool reads_emphasis(Compat compat) { return compat != Compat::kDiffusers; }
/// [a:b:0.5], [a|b] and AND.
constexpr bool reads_schedules(Compat compat) { return compat == Compat::kA1111; }
/// {a|b} and __name__.
constexpr bool reads_choices(Compat compat) { return compat == Compat::kA1111; }

}  // namespace brume
