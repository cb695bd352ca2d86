#pragma once
#include <cstdint>
#include <filesystem>
#include <vector>

#include "brume/base/file.h"
#include "brume/image/png.h"
#include "brume/image/png_rows.h"

namespace brume::gallery {

/// How pictures are laid out on a sheet.
struct SheetPlan {
  int columns = 1;
  int rows = 1;
  PngSize cell;
  bool reduced = false;  // cells are smaller than the largest picture

  PngSize size() const { return {columns * cell.width, rows * cell.height}; }
};

/// A sheet that is about square, of cells that the largest picture fits, or of smaller ones where that would
/// break the limits of a PNG. Throws kOutputFailed for more pictures than a sheet has pixels for.
SheetPlan plan_sheet(int64_t pictures, PngSize largest);

/// A sheet as its pictures come: row of cells after row of cells, of which one is held.
class ContactSheet {
 public:
  /// For exactly `pictures`.
  ContactSheet(const SheetPlan& plan, int64_t pictures, ByteSink sink);

  /// The next picture, in the middle of its cell; one that is larger is made to fit.
  void add(const Picture& picture);
  /// Leaves the next cell white.
  void add_blank();

 private:
  void end_cell();

  SheetPlan plan_;
  int64_t left_;
  int column_ = 0;
  std::vector<uint8_t> band_;  // the row of cells
  PngRows png_;
};

/// Whether a PNG's texts say that it is a sheet of ours.
bool is_contact_sheet(const std::vector<PngText>& texts);

/// Throws kOutputFailed if `file` is there and no sheet of ours: a picture of that name is not replaced.
void check_replaceable(const std::filesystem::path& file);

}  // namespace brume::gallery
