#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "fields.h"

namespace brume::batch {

/// `value` as the field's own type. Throws the reason if it is of another type or out of range.
Setting checked(const Field& field, Setting value);

inline constexpr size_t kMostValues = 100'000;  // of one list; who reads one stops at one more

/// What an option says in letters: one value, or several where the field takes 1,2,3.
std::vector<Setting> settings_from_text(const Field& field, std::string_view text);

void apply(const Field& field, const Setting& value, PictureSettings& settings);

/// "a whole number from 1 to 1000"
std::string expectation(const Field& field);

}  // namespace brume::batch
