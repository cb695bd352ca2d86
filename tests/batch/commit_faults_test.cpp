#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <map>
#include <optional>
#include <random>
#include <sstream>
#include <thread>

#include "brume/base/file.h"
#include "brume/batch/journal.h"
#include "brume/batch/occurrences.h"
#include "brume/batch/picture_store.h"
#include "brume/batch/shard_files.h"
#include "faults/pictures.h"

// A program that saves pictures is made to fail, or killed, at each of its writing calls and at any time.
namespace brume::batch {
namespace {

namespace fs = std::filesystem;
using testing::label_of;
using testing::png_of;

#if defined(__SANITIZE_ADDRESS__)
constexpr int kPictures = 5;  // each start takes several times as long
#else
constexpr int kPictures = 20;
#endif

struct Fault {
  int at = 0;
  std::string how;
  std::string calls;
};

struct Ended {
  int code = -1;
  int signal = 0;
  bool fault_happened = false;
  std::vector<int> drawn;
};

class Commits : public ::testing::Test {
 protected:
  void SetUp() override {
    // Nothing here needs a disk: a kill does not lose what the kernel has.
    const fs::path memory = "/dev/shm";
    std::string pattern =
        ((::access(memory.c_str(), W_OK) == 0 ? memory : fs::temp_directory_path()) / "brume-test-XXXXXX")
            .string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
    directory_ = root_ / "pictures";
    fresh();
  }
  void TearDown() override { fs::remove_all(root_); }

  void fresh() {
    fs::remove_all(directory_);
    fs::create_directory(directory_);
  }

  pid_t start(int count, const std::optional<Fault>& fault = {}, const std::string& shard = "0/1") const {
    const pid_t child = ::fork();
    if (child != 0) return child;
    const fs::path drawn = root_ / "drawn";
    ::dup2(::open(drawn.c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0644), STDOUT_FILENO);
    ::dup2(::open((root_ / "errors").c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0644), STDERR_FILENO);
    if (fault) {
      ::setenv("LD_PRELOAD", BRUME_FAILING_CALLS, 1);
      // The preloaded library comes before the sanitizer's, which that one does not like.
      ::setenv("ASAN_OPTIONS", "verify_asan_link_order=0", 1);
      ::setenv("BRUME_FAULT_BELOW", directory_.c_str(), 1);
      ::setenv("BRUME_FAULT_AT", std::to_string(fault->at).c_str(), 1);
      ::setenv("BRUME_FAULT_HOW", fault->how.c_str(), 1);
      ::setenv("BRUME_FAULT_CALLS", fault->calls.c_str(), 1);
      ::setenv("BRUME_FAULT_MARK", (root_ / "mark").c_str(), 1);
    }
    ::execl(BRUME_COMMIT_PICTURES, "commit_pictures", directory_.c_str(), std::to_string(count).c_str(),
            shard.c_str(), nullptr);
    ::_exit(126);
  }

  Ended finish(pid_t child) const {
    int status = 0;
    ::waitpid(child, &status, 0);
    Ended ended;
    if (WIFEXITED(status)) ended.code = WEXITSTATUS(status);
    if (WIFSIGNALED(status)) ended.signal = WTERMSIG(status);
    ended.fault_happened = fs::remove(root_ / "mark");
    std::ifstream drawn(root_ / "drawn");
    for (int number = 0; drawn >> number;) ended.drawn.push_back(number);
    fs::remove(root_ / "drawn");  // the next may be killed before it makes its own
    return ended;
  }

  std::string errors() const { return read_text_file(root_ / "errors", 1 << 20, ExitCode::kInputInvalid); }

  /// The pictures that are there, each of which must be whole; counts files of any other kind in `others`.
  std::vector<int> pictures_there(int count, int& others) const {
    std::map<std::string, int> known;
    for (int i = 1; i <= count; ++i) known[PictureNames().name_of(label_of(i))] = i;
    std::vector<int> there;
    others = 0;
    for (const auto& entry : fs::directory_iterator(directory_)) {
      const std::string name = entry.path().filename();
      if (!known.contains(name)) {
        others += name.ends_with(".jsonl") ? 0 : 1;
        continue;
      }
      there.push_back(known[name]);
      const std::string text = read_text_file(entry.path(), 1 << 20, ExitCode::kInputInvalid);
      EXPECT_TRUE(std::ranges::equal(std::as_bytes(std::span(text)), png_of(label_of(known[name])))) << name;
    }
    return there;
  }

  /// All pictures and one record of each, and nothing else.
  void expect_complete(int count) const {
    int others = 0;
    EXPECT_EQ(pictures_there(count, others).size(), static_cast<size_t>(count));
    EXPECT_EQ(others, 0);
    std::map<std::string, int> records;
    for (const Shard& shard : kJournal.shards_in(directory_)) {
      std::ifstream journal(kJournal.of(directory_, shard));
      for (std::string line; std::getline(journal, line);) {
        const auto record = read_journal_line(line);
        ASSERT_TRUE(record) << line;
        ++records[record->key.hex()];
      }
    }
    EXPECT_EQ(records.size(), static_cast<size_t>(count));
    for (const auto& [key, times] : records) EXPECT_EQ(times, 1) << key;
  }

  /// Goes on after a fault, and checks that just what is not there is drawn.
  void resume(int count) const {
    int others = 0;
    const size_t there = pictures_there(count, others).size();
    const Ended resumed = finish(start(count));
    EXPECT_EQ(resumed.code, 0) << errors();
    EXPECT_EQ(resumed.drawn.size(), count - there);
    expect_complete(count);
  }

  /// Every call of a kind in turn; the number of them.
  int fail_each(const std::string& how, const std::string& calls, bool kills) {
    for (int at = 1;; ++at) {
      SCOPED_TRACE(how + " at " + std::to_string(at) + " of " + (calls.empty() ? "all" : calls));
      fresh();
      const Ended ended = finish(start(kPictures, Fault{at, how, calls}));
      if (!ended.fault_happened) {
        EXPECT_EQ(ended.code, 0) << errors();
        expect_complete(kPictures);
        return at - 1;
      }
      EXPECT_EQ(ended.signal, kills ? SIGKILL : 0);
      EXPECT_EQ(ended.code, kills ? -1 : 5) << errors();
      if (!kills) {
        int others = 0;
        pictures_there(kPictures, others);
        EXPECT_EQ(others, 0) << "a temporary file or a lock was left";
      }
      resume(kPictures);
      if (HasFailure()) return at;
    }
  }

  fs::path root_;
  fs::path directory_;
};

TEST_F(Commits, NoSpaceAtEachCall) {
  const int calls = fail_each("28", "", false);
  EXPECT_GT(calls, 8 * kPictures);
  RecordProperty("calls", calls);
}
TEST_F(Commits, InputOutputErrorAtEachCall) { EXPECT_GT(fail_each("5", "", false), 8 * kPictures); }
TEST_F(Commits, ShortWriteAtEachWrite) { EXPECT_GT(fail_each("short", "write", false), 2 * kPictures); }
TEST_F(Commits, KilledAtEachCall) { EXPECT_GT(fail_each("kill", "", true), 8 * kPictures); }
TEST_F(Commits, KilledInEachWrite) { EXPECT_GT(fail_each("torn", "write", true), 2 * kPictures); }

TEST_F(Commits, EveryKindOfCallIsReached) {
  std::map<std::string, int> reached;
  for (const char* kind : {"open", "write", "sync", "rename"}) {
    fresh();
    EXPECT_EQ(finish(start(3, Fault{2, "5", kind})).code, 5) << kind;
  }
}

TEST_F(Commits, AFailedCutIsMadeGoodLater) {
  // The record is written by half, and then the journal cannot be cut back.
  for (int at = 1; at < 200; ++at) {
    fresh();
    const Ended ended = finish(start(kPictures, Fault{at, "torn", "write"}));
    if (!ended.fault_happened) break;
    const Ended second = finish(start(kPictures, Fault{2, "5", "truncate"}));
    EXPECT_TRUE(second.code == 0 || second.code == 5) << errors();
    const Ended third = finish(start(kPictures));
    EXPECT_EQ(third.code, 0) << errors();
    expect_complete(kPictures);
  }
}

TEST_F(Commits, KilledAtRandomAndResumed) {
  // More by hand: BRUME_KILLS=1000.
  const char* wanted = std::getenv("BRUME_KILLS");
  const int kills = wanted == nullptr ? 100 : std::atoi(wanted);
  constexpr unsigned kCount = 400;
  std::mt19937 random(1);
  int killed = 0;
  while (killed < kills) {
    fresh();
    size_t drawn = 0;
    unsigned kills_here = 0;
    while (true) {
      const pid_t child = start(kCount);
      // Later and later, so that a machine that takes long to start a program comes to an end too.
      std::this_thread::sleep_for(std::chrono::microseconds(random() % (15'000 + 1'000 * kills_here)));
      ::kill(child, SIGKILL);
      const Ended ended = finish(child);
      drawn += ended.drawn.size();
      if (ended.signal == 0) {
        EXPECT_EQ(ended.code, 0) << errors();
        break;
      }
      ++kills_here;
    }
    // At most the one picture that each kill took away was drawn twice.
    EXPECT_LE(drawn, static_cast<size_t>(kCount + kills_here));
    expect_complete(kCount);
    killed += static_cast<int>(kills_here);
    if (HasFailure()) break;
  }
  RecordProperty("kills", killed);
}

TEST_F(Commits, ShardsSideBySideMakeTheWhole) {
  std::vector<pid_t> children;
  for (const char* shard : {"0/3", "1/3", "2/3"}) children.push_back(start(60, {}, shard));
  for (const pid_t child : children) {
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(WEXITSTATUS(status), 0) << errors();
  }
  expect_complete(60);
}

int64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  int64_t pages = 0;
  file >> pages >> pages;
  return pages * ::sysconf(_SC_PAGESIZE);
}

int64_t open_descriptors() { return std::distance(fs::directory_iterator("/proc/self/fd"), {}); }

TEST_F(Commits, AMillionRecordsAreReadInFewSecondsAndLittleMemory) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "the sanitizer keeps what is freed";
#endif
  constexpr int kRecords = 1'000'000;
  const auto key_of = [](int number) {
    JobKey key;
    std::mt19937_64 random(static_cast<uint64_t>(number));
    for (uint8_t& byte : key.bytes) byte = static_cast<uint8_t>(random());
    return key;
  };
  {
    std::ofstream file(kJournal.of(directory_, {}));
    JournalRecord record;
    record.sha256 = std::string(64, 'a');
    for (int i = 0; i < kRecords; ++i) {
      record.key = key_of(i);
      record.file = std::to_string(i) + ".png";
      file << journal_line(record);
    }
  }
  const int64_t before = resident_bytes();
  const auto start_time = std::chrono::steady_clock::now();
  const Journal journal(directory_);
  const auto seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_time).count();
  Occurrences occurrences;  // what else a batch remembers of each job
  for (int i = 0; i < kRecords; ++i) occurrences.count("picture number " + std::to_string(i));
  const int64_t growth = resident_bytes() - before;
  for (int i = 0; i < kRecords; i += 9973) EXPECT_EQ(journal.check(key_of(i)), State::kMissing);
  RecordProperty("megabytes", std::to_string(growth >> 20));
  RecordProperty("milliseconds", std::to_string(static_cast<int>(1000 * seconds)));
  EXPECT_LE(growth, int64_t{32} << 20);
  EXPECT_LE(seconds, 20);
}

TEST_F(Commits, TenThousandPicturesTakeNoMoreMemory) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "the sanitizer keeps what is freed";
#endif
  Journal journal(directory_);
  PictureStore store(journal);
  int64_t bytes = 0;
  int64_t descriptors = 0;
  for (int i = 1; i <= 10'000; ++i) {
    const PictureLabel label = label_of(i);
    ASSERT_FALSE(store.holds(label));
    store.commit(label, png_of(label), 1);
    if (i != 100) continue;
    bytes = resident_bytes();
    descriptors = open_descriptors();
  }
  const int64_t growth = resident_bytes() - bytes;
  RecordProperty("growth", std::to_string(growth));
  EXPECT_LE(growth, int64_t{1} << 20);
  EXPECT_EQ(open_descriptors(), descriptors);
}

}  // namespace
}  // namespace brume::batch
