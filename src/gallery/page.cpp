#include "brume/gallery/page.h"

#include <fstream>
#include <iterator>
#include <span>
#include <string_view>
#include <system_error>

#include "brume/base/digest.h"
#include "brume/base/error.h"
#include "brume/gallery/markup.h"
#include "page_text.h"

namespace brume::gallery {

namespace {

/// What a policy calls a text by.
std::string source_of(std::string_view text) {
  const Sha256 digest = sha256(std::as_bytes(std::span(text)));
  return "'sha256-" + base64(std::as_bytes(std::span(digest))) + "'";
}

/// What every page begins with, up to its policy's first digest.
constexpr std::string_view kBeginning =
    "<!DOCTYPE html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n"
    "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; img-src data:; style-src ";

}  // namespace

void check_page_replaceable(const std::filesystem::path& file) {
  std::error_code failed;
  const std::filesystem::file_type type = std::filesystem::symlink_status(file, failed).type();
  if (type == std::filesystem::file_type::not_found) return;
  std::string beginning(kBeginning.size(), '\0');
  if (type == std::filesystem::file_type::regular)
    std::ifstream(file).read(beginning.data(), std::ssize(beginning));
  if (beginning == kBeginning) return;
  throw Error(ExitCode::kOutputFailed, file.string(), "is there and no page of brume's",
              "move it away, or name another file with -o");
}

std::string page_head(const std::string& title) {
  const std::string name = html_text(title);
  std::string html(kBeginning);
  html += source_of(kPageStyle) + "; script-src " + source_of(kPageScript) +
          "; base-uri 'none'; form-action 'none'\">\n";
  html += "<meta name=viewport content=\"width=device-width, initial-scale=1\">\n";
  html += "<meta name=referrer content=no-referrer>\n";
  html += "<title>" + name + "</title>\n<style>";
  html += kPageStyle;
  html += "</style>\n</head>\n<body>\n<header><h1 dir=auto>" + name +
          "</h1><output aria-live=polite></output>"
          "<input type=search hidden aria-label=\"Filter\" placeholder=\"Filter: words, seed:5, steps:20\" "
          "autocomplete=off spellcheck=false></header>\n"
          "<aside aria-hidden=true>Point at a picture, or go to it with the Tab key, to read its recipe. A "
          "click opens it.</aside>\n<main><ol>\n";
  return html;
}

std::string page_tail() {
  std::string html = "</ol></main>\n<script>";
  html += kPageScript;
  return html + "</script>\n</body>\n</html>\n";
}

}  // namespace brume::gallery
