#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "kernels/gpu/plan_cache.h"
#include "tests/temporary_directory.h"

namespace brume::kernels::gpu {
namespace {

namespace fs = std::filesystem;

const std::string kGpu = "a GPU, driver 1, libraries 2";

std::string bytes_of(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

void write(const fs::path& file, const std::string& bytes) {
  std::ofstream(file, std::ios::binary | std::ios::trunc) << bytes;
}

class PlanCacheTest : public TemporaryDirectory {
 protected:
  PlanCache open(const std::string& identity = kGpu) const { return {directory_, identity}; }

  /// A file with two entries.
  fs::path saved() const {
    PlanCache cache = open();
    cache.put("convolution 1", "34 26=1");
    cache.put("linear 2", std::string("a\0b\n", 4));
    EXPECT_TRUE(cache.save());
    return cache.file();
  }
};

TEST_F(PlanCacheTest, FindsWhatWasPut) {
  PlanCache cache = open();
  EXPECT_EQ(cache.find("key"), std::nullopt);
  cache.put("key", "first");
  cache.put("key", "second");
  EXPECT_EQ(cache.find("key"), "second");
  EXPECT_EQ(cache.size(), 1U);
}

TEST_F(PlanCacheTest, KeepsEntriesBetweenStarts) {
  saved();
  const PlanCache cache = open();
  EXPECT_EQ(cache.size(), 2U);
  EXPECT_EQ(cache.find("convolution 1"), "34 26=1");
  EXPECT_EQ(cache.find("linear 2"), std::string("a\0b\n", 4));
}

TEST_F(PlanCacheTest, ReplacesWhatWasKept) {
  saved();
  PlanCache cache = open();
  cache.put("linear 2", "new");
  EXPECT_EQ(cache.find("linear 2"), "new");
  EXPECT_TRUE(cache.save());
  EXPECT_EQ(open().find("linear 2"), "new");
  EXPECT_EQ(open().size(), 2U);
}

TEST_F(PlanCacheTest, WritesWhenToldAlone) {
  PlanCache cache = open();
  cache.put("key", "value");
  EXPECT_FALSE(fs::exists(cache.file()));
  EXPECT_TRUE(cache.save());
  EXPECT_TRUE(fs::exists(cache.file()));
}

TEST_F(PlanCacheTest, MakesItsDirectory) {
  PlanCache cache(directory_ / "a" / "b", kGpu);
  cache.put("key", "value");
  EXPECT_TRUE(cache.save());
  EXPECT_EQ(PlanCache(directory_ / "a" / "b", kGpu).find("key"), "value");
}

TEST_F(PlanCacheTest, LeavesOneFileBehind) {
  saved();
  EXPECT_EQ(std::distance(fs::directory_iterator(directory_), {}), 1);
}

TEST_F(PlanCacheTest, KeepsNothingWithoutDirectory) {
  PlanCache cache({}, kGpu);
  cache.put("key", "value");
  EXPECT_EQ(cache.find("key"), "value");
  EXPECT_FALSE(cache.save());
  EXPECT_FALSE(fs::exists(cache.file()));
}

TEST_F(PlanCacheTest, IgnoresADamagedFile) {
  const fs::path file = saved();
  const std::string bytes = bytes_of(file);
  for (size_t i = 0; i < bytes.size(); ++i) {
    for (const int flip : {0x01, 0x80, 0xff}) {
      std::string damaged = bytes;
      damaged[i] = static_cast<char>(damaged[i] ^ flip);
      write(file, damaged);
      EXPECT_EQ(open().size(), 0U) << "byte " << i;
    }
  }
}

TEST_F(PlanCacheTest, IgnoresATruncatedOrLongerFile) {
  const fs::path file = saved();
  const std::string bytes = bytes_of(file);
  for (size_t length = 0; length < bytes.size(); ++length) {
    write(file, bytes.substr(0, length));
    EXPECT_EQ(open().size(), 0U) << length << " bytes";
  }
  write(file, bytes + '\0');
  EXPECT_EQ(open().size(), 0U);
}

TEST_F(PlanCacheTest, IgnoresWhatIsNoFileOfItsOwn) {
  const fs::path file = saved();
  for (const std::string& bytes :
       {std::string("{}"), std::string(1 << 10, '\xff'), std::string(PlanCache::kMaxFileBytes + 1, '\0')}) {
    write(file, bytes);
    EXPECT_EQ(open().size(), 0U);
  }
  fs::remove(file);
  fs::create_directory(file);
  PlanCache cache = open();
  EXPECT_EQ(cache.size(), 0U);
  cache.put("key", "value");
  EXPECT_FALSE(cache.save());
}

TEST_F(PlanCacheTest, ReplacesADamagedFile) {
  const fs::path file = saved();
  write(file, "nothing");
  PlanCache cache = open();
  cache.put("key", "value");
  EXPECT_TRUE(cache.save());
  EXPECT_EQ(open().find("key"), "value");
}

TEST_F(PlanCacheTest, IgnoresAnotherGpusFile) {
  const fs::path file = saved();
  const PlanCache other = open("another GPU");
  EXPECT_NE(other.file(), file);
  EXPECT_EQ(other.size(), 0U);
  fs::copy_file(file, other.file());
  EXPECT_EQ(open("another GPU").size(), 0U);
}

TEST_F(PlanCacheTest, BoundsTheNumberOfEntries) {
  PlanCache cache = open();
  const size_t excess = 10;
  for (size_t i = 0; i < PlanCache::kMaxEntries + excess; ++i) cache.put(std::to_string(i), "value");
  EXPECT_TRUE(cache.save());
  const PlanCache kept = open();
  EXPECT_EQ(kept.size(), PlanCache::kMaxEntries);
  EXPECT_EQ(kept.find(std::to_string(excess - 1)), std::nullopt);
  EXPECT_EQ(kept.find(std::to_string(excess)), "value");
  EXPECT_EQ(kept.find(std::to_string(PlanCache::kMaxEntries + excess - 1)), "value");
}

TEST_F(PlanCacheTest, BoundsTheFile) {
  PlanCache cache = open();
  const std::string value(PlanCache::kMaxEntryBytes - 16, 'v');
  const int count = 100;  // 6 MB
  for (int i = 0; i < count; ++i) cache.put(std::to_string(i), value);
  EXPECT_TRUE(cache.save());
  EXPECT_LE(fs::file_size(cache.file()), PlanCache::kMaxFileBytes);
  const PlanCache kept = open();
  EXPECT_GT(kept.size(), 50U);
  EXPECT_EQ(kept.find("0"), std::nullopt);
  EXPECT_EQ(kept.find(std::to_string(count - 1)), value);
}

TEST_F(PlanCacheTest, TakesNoOverlongEntry) {
  PlanCache cache = open();
  cache.put("key", std::string(PlanCache::kMaxEntryBytes, 'v'));
  EXPECT_EQ(cache.size(), 0U);
}

TEST_F(PlanCacheTest, KeepsWhatAnotherWroteMeanwhile) {
  PlanCache first = open();
  PlanCache second = open();
  first.put("first", "1");
  second.put("second", "2");
  EXPECT_TRUE(first.save());
  EXPECT_TRUE(second.save());
  EXPECT_EQ(open().find("first"), "1");
  EXPECT_EQ(open().find("second"), "2");
}

TEST_F(PlanCacheTest, LosesNothingOfConcurrentWriters) {
  constexpr int kWriters = 4;
  constexpr int kSaves = 6;
  {
    std::vector<std::jthread> writers;
    writers.reserve(kWriters);
    for (int writer = 0; writer < kWriters; ++writer) {
      writers.emplace_back([this, writer] {
        PlanCache cache = open();
        for (int i = 0; i < kSaves; ++i) {
          cache.put(std::to_string(writer) + " " + std::to_string(i), "value");
          EXPECT_TRUE(cache.save());
        }
      });
    }
  }
  EXPECT_EQ(open().size(), static_cast<size_t>(kWriters * kSaves));
}

TEST_F(PlanCacheTest, SkipsWhatCannotBeWritten) {
  write(directory_ / "file", "");
  PlanCache cache(directory_ / "file" / "cache", kGpu);
  cache.put("key", "value");
  EXPECT_FALSE(cache.save());
  EXPECT_EQ(cache.find("key"), "value");
}

}  // namespace
}  // namespace brume::kernels::gpu
