#include "brume/gallery/markup.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "brume/base/escape.h"

namespace brume::gallery {

namespace {

constexpr std::string_view kHexDigits = "0123456789ABCDEF";

/// U+202A to U+202E and U+2066 to U+2069: embeddings, overrides and isolates.
std::string_view name_of_turn(std::string_view three_bytes) {
  constexpr std::array<std::string_view, 9> kTurns = {"\u202A", "\u202B", "\u202C", "\u202D", "\u202E",
                                                      "\u2066", "\u2067", "\u2068", "\u2069"};
  constexpr std::array<std::string_view, 9> kNames = {"\\u202A", "\\u202B", "\\u202C", "\\u202D", "\\u202E",
                                                      "\\u2066", "\\u2067", "\\u2068", "\\u2069"};
  for (size_t i = 0; i < kTurns.size(); ++i) {
    if (three_bytes == kTurns[i]) return kNames[i];
  }
  return {};
}

std::string_view entity_of(char c) {
  switch (c) {
    case '&':
      return "&amp;";
    case '<':
      return "&lt;";
    case '>':
      return "&gt;";
    case '"':
      return "&quot;";
    case '\'':
      return "&#39;";
    default:
      return {};
  }
}

/// escape_control, but for newlines and tabs.
std::string printable(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t end = std::min(text.find_first_of("\n\t"), text.size());
    out += escape_control(text.substr(0, end));
    if (end < text.size()) out += text[end];
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

bool is_continuation(char c) { return (static_cast<uint8_t>(c) & 0xC0) == 0x80; }

}  // namespace

std::string html_text(std::string_view text) {
  const std::string safe = printable(text);
  std::string out;
  out.reserve(safe.size());
  constexpr size_t kTurnBytes = 3;
  for (size_t i = 0; i < safe.size(); ++i) {
    const std::string_view turn = name_of_turn(std::string_view(safe).substr(i, kTurnBytes));
    const std::string_view entity = entity_of(safe[i]);
    if (!turn.empty()) {
      out += turn;
      i += kTurnBytes - 1;
    } else if (!entity.empty()) {
      out += entity;
    } else {
      out += safe[i];
    }
  }
  return out;
}

std::string shortened(std::string_view text, size_t most) {
  if (text.size() <= most) return std::string(text);
  size_t end = most;
  while (end > 0 && is_continuation(text[end])) --end;
  return std::string(text.substr(0, end)) + "…";
}

std::string relative_link(const std::filesystem::path& path) {
  constexpr std::string_view kPlain = "-._~/";
  std::string link = "./";
  for (const char c : path.string()) {
    const auto byte = static_cast<uint8_t>(c);
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (letter || kPlain.find(c) != std::string_view::npos) {
      link += c;
    } else {
      link += '%';
      link += kHexDigits[byte >> 4];
      link += kHexDigits[byte & 15];
    }
  }
  return link;
}

std::string base64(std::span<const std::byte> bytes) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t count = std::min<size_t>(3, bytes.size() - i);
    uint32_t group = 0;
    for (size_t k = 0; k < 3; ++k)
      group = group << 8 | (k < count ? static_cast<uint32_t>(bytes[i + k]) : uint32_t{0});
    for (size_t k = 0; k < 4; ++k) out += k <= count ? kDigits[group >> (18 - 6 * k) & 63] : '=';
  }
  return out;
}

}  // namespace brume::gallery
