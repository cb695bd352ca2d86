#include "brume/batch/shard_files.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "brume/base/directory.h"
#include "brume/base/error.h"

namespace brume::batch {

namespace fs = std::filesystem;

fs::path ShardFile::of(const fs::path& directory, const Shard& shard) const {
  return directory / (std::string(start) + (shard.is_whole() ? "" : "." + shard.name()) + std::string(end));
}

std::vector<Shard> ShardFile::shards_in(const fs::path& directory) const {
  std::vector<Shard> shards;
  for_each_entry(directory, ExitCode::kOutputFailed, [&](const fs::directory_entry& entry) {
    const std::string file = entry.path().filename().string();
    if (!file.starts_with(start) || !file.ends_with(end) || file.size() < start.size() + end.size()) return;
    const std::string middle = file.substr(start.size(), file.size() - start.size() - end.size());
    const auto shard = middle.empty() ? Shard{} : shard_from_name(std::string_view(middle).substr(1));
    if (shard && of(directory, *shard).filename() == file) shards.push_back(*shard);
  });
  std::sort(shards.begin(), shards.end(), [](const Shard& a, const Shard& b) {
    return std::pair(a.count, a.index) < std::pair(b.count, b.index);
  });
  return shards;
}

}  // namespace brume::batch
