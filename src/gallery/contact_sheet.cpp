#include "brume/gallery/contact_sheet.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <system_error>
#include <utility>

#include "brume/base/error.h"
#include "brume/image/resize.h"

namespace brume::gallery {

namespace fs = std::filesystem;

namespace {

constexpr const char* kKeyword = "brume-contact-sheet";
constexpr uint8_t kWhite = 255;
constexpr size_t kChannels = 3;
constexpr uint64_t kMaxFile = uint64_t{512} << 20;

bool fits(const SheetPlan& plan) {
  const int64_t width = int64_t{plan.columns} * plan.cell.width;
  const int64_t height = int64_t{plan.rows} * plan.cell.height;
  return width <= kMostPngSide && height <= kMostPngSide && width * height <= kMostPngPixels;
}

/// Columns so that the sheet is about as wide as it is high, rather wider.
SheetPlan square_plan(int64_t pictures, PngSize cell) {
  const double shape = static_cast<double>(cell.height) / cell.width;
  const auto columns = static_cast<int64_t>(std::ceil(std::sqrt(static_cast<double>(pictures) * shape)));
  SheetPlan plan;
  plan.cell = cell;
  plan.columns = static_cast<int>(std::clamp<int64_t>(columns, 1, pictures));
  plan.rows = static_cast<int>((pictures + plan.columns - 1) / plan.columns);
  return plan;
}

std::vector<PngText> label(const SheetPlan& plan, int64_t pictures) {
  return {{kKeyword, std::to_string(pictures) + " pictures in cells of " + std::to_string(plan.cell.width) +
                         " x " + std::to_string(plan.cell.height)}};
}

}  // namespace

SheetPlan plan_sheet(int64_t pictures, PngSize largest) {
  for (int side = std::max(largest.width, largest.height); side >= 1; --side) {
    const PngSize cell = fit_within(largest, {side, side});
    SheetPlan plan = square_plan(pictures, cell);
    plan.reduced = cell.width != largest.width || cell.height != largest.height;
    if (fits(plan)) return plan;
  }
  throw Error(ExitCode::kOutputFailed, "--grid",
              std::to_string(pictures) + " pictures do not fit on one sheet", "leave it out");
}

ContactSheet::ContactSheet(const SheetPlan& plan, int64_t pictures, ByteSink sink)
    : plan_(plan),
      left_(pictures),
      band_(kChannels * static_cast<size_t>(plan.size().width) * static_cast<size_t>(plan.cell.height),
            kWhite),
      png_(plan.size(), label(plan, pictures), std::move(sink)) {}

void ContactSheet::add(const Picture& picture) {
  const Picture small = resize_box(picture, fit_within({picture.width, picture.height}, plan_.cell));
  const int left = column_ * plan_.cell.width + (plan_.cell.width - small.width) / 2;
  const int top = (plan_.cell.height - small.height) / 2;
  const size_t length = kChannels * static_cast<size_t>(small.width);
  for (int y = 0; y < small.height; ++y) {
    const auto row = std::span(small.pixels).subspan(static_cast<size_t>(y) * length, length);
    const size_t at =
        static_cast<size_t>(top + y) * static_cast<size_t>(plan_.size().width) + static_cast<size_t>(left);
    std::copy(row.begin(), row.end(), band_.begin() + static_cast<ptrdiff_t>(kChannels * at));
  }
  end_cell();
}

void ContactSheet::add_blank() { end_cell(); }

void ContactSheet::end_cell() {
  --left_;
  ++column_;
  if (column_ < plan_.columns && left_ > 0) return;
  png_.write(band_);
  std::fill(band_.begin(), band_.end(), kWhite);
  column_ = 0;
}

bool is_contact_sheet(const std::vector<PngText>& texts) {
  return std::any_of(texts.begin(), texts.end(),
                     [](const PngText& text) { return text.keyword == kKeyword; });
}

void check_replaceable(const fs::path& file) {
  std::error_code failed;
  if (fs::symlink_status(file, failed).type() == fs::file_type::not_found) return;
  try {
    const std::string bytes = read_text_file(file, kMaxFile, ExitCode::kOutputFailed);
    if (is_contact_sheet(read_png_texts(std::as_bytes(std::span(bytes)), file.string()))) return;
  } catch (const Error&) {  // then it is not ours either
  }
  throw Error(ExitCode::kOutputFailed, file.string(), "is there and no contact sheet of brume's",
              "move it away, or choose another --name for the pictures");
}

}  // namespace brume::gallery
