#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "brume/batch/job.h"
#include "fields.h"

namespace brume::batch {

inline constexpr int64_t kMostPictures = 1'000'000;  // of one line

/// What one line asks for: every combination of its values. The pictures are made one at a time, because a
/// short line can ask for a million.
class Request {
 public:
  void set_id(std::string id);
  /// The values of one more field, the innermost so far. Throws the reason if the field is there already, and
  /// if there is no value or too many.
  void add(const Field& field, std::vector<Setting> values);
  /// Throws the reason if an id does not fit.
  void check_ids() const;

  int64_t pictures() const { return pictures_; }
  /// Picture `number`, from 0, in the order of nested loops: the first field turns slowest. Its line and
  /// index are the caller's to fill.
  Job picture(int64_t number) const;

 private:
  struct Axis {
    const Field* field = nullptr;
    std::vector<Setting> values;
  };
  std::string id_;
  std::vector<Axis> axes_;
  int64_t pictures_ = 1;
};

}  // namespace brume::batch
