#pragma once
#include <c10/core/ScalarType.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "brume/base/error.h"
#include "brume/batch/job.h"
#include "brume/batch/jobs_reader.h"
#include "brume/batch/occurrences.h"
#include "brume/batch/picture_name.h"
#include "brume/batch/shard.h"
#include "brume/image/recipe.h"
#include "brume/pipeline/chosen_words.h"
#include "brume/pipeline/model_config.h"
#include "brume/pipeline/request.h"

namespace brume::batch {

/// A picture that can be drawn, and what it is called.
struct ReadyJob {
  Job job;  // its seed is the picture's
  Request request;
  PictureLabel label;
  std::vector<std::string> unknown_wildcards = {};  // that stay words: there is no source of them
};

/// What lines leave out.
struct FeedSettings {
  PictureSettings defaults;   // of the command line
  int64_t pictures_each = 1;  // of a job, with seeds one after the other
  Shard shard;
  at::ScalarType dtype = at::kFloat;
  RecipeEngine engine;          // its model_hash is the whole digest of the model
  Wildcards wildcards = {};     // what __name__ chooses among
  bool keep_too_large = false;  // gives pictures that memory has no room for: they are only planned
  bool keep_others = false;     // gives other shards' pictures too: whose they are is not known
  /// What recipes say of the adapters that a request's prompt names, with those of the command line. What it
  /// throws refuses the job.
  std::function<std::vector<RecipeAdapter>(const Request&)> adapters = {};
  std::optional<double> memory;  // bytes for drawing a picture, as it was before anything was drawn
  bool in_parts = false;         // what has no room there as a whole is drawn in parts, as on a GPU
};

/// Hears of jobs that never become pictures.
struct FeedFaults {
  std::function<void(const BadLine&)> bad_line;
  std::function<void(const Job&, const Error& reason)> refused;  // it does not fit the model, or the memory
};

/// The pictures of a job file that this shard draws, in order. A picture's seed, where neither its line nor
/// the command line has one, is made from what the line says and how often the same was said before: it does
/// not depend on the other lines, nor on the shard. Pictures of one line that lists settings differ by these
/// alone, and have one seed; those of each prompt in a list have their own.
class JobFeed {
 public:
  /// `model` must outlive the feed.
  JobFeed(JobsReader reader, const ModelConfig& model, FeedSettings settings, FeedFaults faults);

  std::optional<ReadyJob> next();
  /// Whether memory has room to draw it; a job that it has none for is refused, by the shard whose it is:
  /// others' machines may have more.
  bool has_room(const ReadyJob& job) const;
  /// Whether the pictures that it is drawn from can be read to their ends; a job is refused for one that is
  /// damaged.
  bool can_read_pictures(const ReadyJob& job) const;
  /// How many lines and jobs can be nobody's picture, which the first shard tells of in this one's place.
  int64_t left_to_first() const { return left_to_first_; }
  /// True once next() came to the end of the job file; false where a stop ended it.
  bool ended() const { return reader_.ended() && pictures_.empty(); }

 private:
  void tell_bad(const BadLine& line);
  void refuse(const Job& job, const Error& reason);
  void take(const Job& job);
  uint64_t first_seed(const Job& job, int64_t count);
  std::optional<ReadyJob> ready(Job job);

  JobsReader reader_;
  const ModelConfig& model_;
  FeedSettings settings_;
  FeedFaults faults_;
  bool reports_;  // what can be nobody's picture is told by the first shard alone: all shards read all lines
  int64_t left_to_first_ = 0;
  Occurrences occurrences_;
  std::deque<Job> pictures_;  // of the last line
  // Of the line that is read, where several of its pictures share seeds: the first, by what they share.
  struct LineSeeds {
    size_t file = 0;
    int64_t line = 0;
    std::map<uint64_t, uint64_t> first;
  } line_seeds_;
};

}  // namespace brume::batch
