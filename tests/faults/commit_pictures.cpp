// Saves pictures as a batch does, for tests that make it fail: commit_pictures DIR COUNT [SHARD]. Prints a
// line for each picture it draws.
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>

#include "brume/base/error.h"
#include "brume/batch/picture_store.h"
#include "pictures.h"

namespace {

using namespace brume;

void commit_all(const std::string& directory, int count, const batch::Shard& shard) {
  batch::Journal journal(directory, shard);
  batch::PictureStore store(journal);
  for (int number = 1; number <= count; ++number) {
    const batch::PictureLabel label = testing::label_of(number);
    if (!shard.owns(label.key) || store.holds(label)) continue;
    std::printf("%d\n", number);
    std::fflush(stdout);
    store.commit(label, testing::png_of(label), 0.5);
  }
}

}  // namespace

int main(int count, char** words) {
  if (count < 3) return static_cast<int>(ExitCode::kUsage);
  try {
    const std::string shard = count > 3 ? words[3] : "0/1";
    commit_all(words[1], std::atoi(words[2]),
               batch::shard_from_text(shard, [](const char*) { return nullptr; }));
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return static_cast<int>(error.code());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 99;
  }
  return 0;
}
