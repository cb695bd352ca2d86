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
  /// So many pictures of each combination, with seeds one after the other; several times what was asked for
  /// before. `name` is for the reason.
  void repeat(int64_t times, const std::string& name);
  /// Throws the reason if an id does not fit.
  void check_ids() const;

  int64_t pictures() const { return pictures_; }
  /// Picture `number`, from 0, in the order of nested loops: the first field turns slowest, copies fastest.
  /// Its line and index are the caller's to fill.
  Job picture(int64_t number) const;

 private:
  struct Axis {
    const Field* field = nullptr;
    std::vector<Setting> values;
    std::vector<bool> repeats;  // of each value: it is there before
  };
  void multiply(int64_t times, const std::string& name);

  std::string id_;
  std::vector<Axis> axes_;
  int64_t copies_ = 1;
  int64_t pictures_ = 1;
};

}  // namespace brume::batch
