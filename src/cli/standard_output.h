#pragma once
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <string_view>

namespace brume::cli {

/// What programs read: pictures, paths, reports, tables. All throw kOutputFailed if it cannot be written, and
/// wait for a reader who does not read; once a stop was asked for only for a moment, after which they are
/// false, and what there was no room for is dropped.
bool print_bytes(std::span<const std::byte> bytes);
bool print_text(std::string_view text);
bool print_path(const std::filesystem::path& path);
/// Indented; bytes that are not UTF-8 are replaced.
bool print_json(const nlohmann::json& value);

/// True for a device, a pipe or a socket.
bool is_special(const std::filesystem::path& file);
/// True for "-", and for a device or a pipe that standard output is (/dev/stdout).
bool is_standard_output(const std::filesystem::path& file);
/// Takes the numbers of standard streams that are closed: the next file to be opened would get them, and with
/// them what is meant for the stream.
void keep_standard_streams();
/// Throws kOutputFailed if standard output is closed.
void check_standard_output();

}  // namespace brume::cli
