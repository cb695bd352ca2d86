#pragma once
#include <string>
#include <string_view>

namespace brume::batch {

/// Throws the kInputInvalid that becomes the reason of a bad line.
[[noreturn]] void refuse(const std::string& where, const std::string& problem,
                         const std::string& remedy = {});

/// The start of a text from a job file, for a message.
std::string shortened(std::string_view text);

}  // namespace brume::batch
