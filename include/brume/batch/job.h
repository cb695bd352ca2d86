#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "brume/pipeline/picture_settings.h"

namespace brume::batch {

/// One picture of a job file, as its line asks for it. What the line leaves out comes from the command line.
struct Job {
  size_t file = 0;    // among the job files, from 0
  int64_t line = 0;   // of the file, from 1
  int64_t index = 0;  // of the picture, from 1: the pictures of all good lines, in order
  std::string id;     // the user's own name for it, or empty
  PictureSettings settings;
  // How its line came to it, where that is one of several pictures.
  int64_t copy = 0;                             // among those that differ by their seeds alone
  int64_t copies = 1;                           // so many of these there are
  std::optional<PictureSettings> unswept = {};  // without what the line has lists of, but for its words
  bool repeats = false;                         // the line asks for the same twice, here not the first time
};

/// A line that asks for nothing that can be drawn; the others go on.
struct BadLine {
  size_t file = 0;  // as in Job
  int64_t line = 0;
  std::string reason;  // what is wrong and what to do, one line
};

}  // namespace brume::batch
