#pragma once
#include <cstddef>
#include <cstdint>
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
};

/// A line that asks for nothing that can be drawn; the others go on.
struct BadLine {
  size_t file = 0;  // as in Job
  int64_t line = 0;
  std::string reason;  // what is wrong and what to do, one line
};

}  // namespace brume::batch
