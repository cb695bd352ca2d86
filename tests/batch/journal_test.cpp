#include "brume/batch/journal.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <map>
#include <memory>

#include "brume/base/digest.h"
#include "brume/base/file.h"
#include "brume/batch/batch_status.h"
#include "brume/batch/shard_files.h"
#include "faults/pictures.h"
#include "message_of.h"
#include "temporary_directory.h"

namespace brume::batch {
namespace {

namespace fs = std::filesystem;
using testing::label_of;

JournalRecord done(int number, const std::string& file = "a.png", uint64_t bytes = 3) {
  const PictureLabel label = label_of(number);
  JournalRecord record;
  record.key = label.key;
  record.file = file;
  record.bytes = bytes;
  const std::string text = "abc";
  record.sha256 = hex_digits(sha256(std::as_bytes(std::span(text))));
  record.index = record.line = number;
  record.id = "\"\n\xf0\x9f\x8d\x8e";
  record.seed = UINT64_MAX;
  record.seconds = 1.5;
  return record;
}

JournalRecord failure(int number) {
  JournalRecord record = done(number, "", 0);
  record.status = Status::kFailed;
  record.sha256.clear();
  record.reason = "not finite \xff";
  return record;
}

class Journals : public TemporaryDirectory {
 protected:
  fs::path own() const { return directory_ / "brume-journal.jsonl"; }
  std::string text() const { return read_text_file(own(), 1 << 20, ExitCode::kInputInvalid); }
  void write(const std::string& content) const { std::ofstream(own(), std::ios::binary) << content; }
};

TEST(JournalLines, AreLengthChecksumAndRecord) {
  const std::string line = journal_line(done(1));
  EXPECT_TRUE(line.starts_with("{\"length\":")) << line;
  EXPECT_TRUE(line.ends_with("}}\n"));
  const auto back = read_journal_line(std::string_view(line).substr(0, line.size() - 1));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->key, done(1).key);
  EXPECT_EQ(back->id, done(1).id);
  EXPECT_EQ(back->seed, UINT64_MAX);
  EXPECT_EQ(back->seconds, 1.5);
  EXPECT_EQ(journal_line(*back), line);
  // The checksum every CRC-32C has of these nine digits, by way of a line that is otherwise refused.
  EXPECT_FALSE(read_record_head("{\"length\":9,\"crc32c\":\"e3069283\",\"record\":123456789}"));
}

TEST(JournalLines, EveryDamagedByteIsNoticed) {
  for (const JournalRecord& record : {done(1), failure(2)}) {
    const std::string line = journal_line(record);
    const std::string whole = line.substr(0, line.size() - 1);
    ASSERT_TRUE(read_record_head(whole));
    for (size_t i = 0; i < whole.size(); ++i) {
      for (int bit = 0; bit < 8; ++bit) {
        std::string damaged = whole;
        damaged[i] = static_cast<char>(damaged[i] ^ 1 << bit);
        EXPECT_FALSE(read_record_head(damaged)) << damaged;
      }
      EXPECT_FALSE(read_record_head(whole.substr(0, i)));
    }
  }
}

TEST(JournalLines, NamesThatLeaveTheDirectoryAreDamage) {
  for (const char* file : {"", ".", "..", "../a.png", "/etc/passwd", "a/b"}) {
    const std::string line = journal_line(done(1, file));
    EXPECT_FALSE(read_journal_line(std::string_view(line).substr(0, line.size() - 1))) << file;
  }
}

TEST_F(Journals, RecordsComeBack) {
  {
    Journal journal(directory_);
    EXPECT_FALSE(journal.find(label_of(1).key));
    journal.append(done(1));
    journal.append(failure(2));
    EXPECT_EQ(journal.find(label_of(1).key)->file, "a.png");
  }
  Journal journal(directory_);
  EXPECT_TRUE(journal.remarks().empty());
  EXPECT_EQ(journal.find(label_of(1).key)->file, "a.png");
  EXPECT_EQ(journal.find(label_of(2).key)->reason, "not finite \xef\xbf\xbd");
  EXPECT_FALSE(journal.find(label_of(3).key));
  EXPECT_TRUE(fs::exists(directory_ / "brume-journal.jsonl.lock"));
}

TEST_F(Journals, TheLastRecordCounts) {
  Journal journal(directory_);
  journal.append(failure(1));
  EXPECT_EQ(journal.check(label_of(1).key), State::kFailed);
  std::ofstream(directory_ / "a.png") << "abc";
  journal.append(done(1));
  EXPECT_EQ(journal.check(label_of(1).key), State::kDone);
  journal.append(failure(1));
  EXPECT_EQ(journal.check(label_of(1).key), State::kFailed);
}

TEST_F(Journals, KnowsWhatThisRunDid) {
  {
    Journal journal(directory_);
    EXPECT_FALSE(journal.has_done_now(label_of(1).key));
    journal.append(done(1));
    EXPECT_TRUE(journal.has_done_now(label_of(1).key));
  }
  Journal journal(directory_);
  EXPECT_FALSE(journal.has_done_now(label_of(1).key));
  journal.append(failure(2));
  EXPECT_FALSE(journal.has_done_now(label_of(2).key));
  journal.append(done(2));
  journal.append(done(1));
  EXPECT_TRUE(journal.has_done_now(label_of(2).key));
  EXPECT_TRUE(journal.has_done_now(label_of(1).key));
}

TEST_F(Journals, StatesOfAPicture) {
  Journal journal(directory_);
  const JobKey key = label_of(1).key;
  EXPECT_EQ(journal.check(key), State::kUnknown);
  journal.append(done(1));
  EXPECT_EQ(journal.check(key), State::kMissing);
  std::ofstream(directory_ / "a.png") << "ab";
  EXPECT_EQ(journal.check(key), State::kDamaged);
  std::ofstream(directory_ / "a.png") << "abd";
  EXPECT_EQ(journal.check(key), State::kDone);
  EXPECT_EQ(journal.check(key, Verify::kContents), State::kDamaged);
  std::ofstream(directory_ / "a.png") << "abc";
  EXPECT_EQ(journal.check(key, Verify::kContents), State::kDone);
  fs::rename(directory_ / "a.png", directory_ / "b.png");
  fs::create_symlink("b.png", directory_ / "a.png");
  EXPECT_EQ(journal.check(key), State::kDamaged);
}

TEST_F(Journals, CutAnywhereKeepsEveryWholeLine) {
  const std::string first = journal_line(done(1));
  const std::string both = first + journal_line(done(2));
  for (size_t length = 0; length <= both.size(); length += length % first.size() < 3 ? 1 : 5) {
    write(both.substr(0, length));
    {
      Journal journal(directory_);
      EXPECT_EQ(journal.find(label_of(1).key).has_value(), length >= first.size());
      EXPECT_EQ(journal.find(label_of(2).key).has_value(), length == both.size());
      const bool torn = length != 0 && length != first.size() && length != both.size();
      EXPECT_EQ(journal.remarks().size(), torn ? 1U : 0U);
      journal.append(done(3));
    }
    Journal journal(directory_);
    EXPECT_TRUE(journal.remarks().empty());
    EXPECT_TRUE(journal.find(label_of(3).key));
  }
}

TEST_F(Journals, ADamagedLineIsPassedOver) {
  std::string damaged = journal_line(done(2));
  damaged[damaged.size() / 2] ^= 1;
  const std::string huge(3 << 20, 'x');
  write(journal_line(done(1)) + damaged + "\n" + huge + "\n" + std::string(600, '\0') + "\n{}\n" +
        journal_line(done(3)));
  Journal journal(directory_);
  ASSERT_EQ(journal.remarks().size(), 1U);
  EXPECT_NE(journal.remarks()[0].find("passed over 5 damaged lines"), std::string::npos)
      << journal.remarks()[0];
  EXPECT_TRUE(journal.find(label_of(1).key));
  EXPECT_FALSE(journal.find(label_of(2).key));
  EXPECT_TRUE(journal.find(label_of(3).key));
}

TEST_F(Journals, RandomBytesNeverCrash) {
  const std::string good = journal_line(done(1)) + journal_line(failure(2)) + journal_line(done(3));
  uint32_t state = 3;
  const auto next = [&] { return state = state * 1664525 + 1013904223, state >> 8; };
  for (int round = 0; round < 300; ++round) {
    std::string damaged = good;
    for (int change = 0; change < 4; ++change) damaged[next() % damaged.size()] = static_cast<char>(next());
    write(damaged);
    const Journal journal(directory_);
    for (int i = 1; i <= 3; ++i) journal.check(label_of(i).key);
  }
}

TEST_F(Journals, ASecondRunIsTurnedAway) {
  const Journal journal(directory_);
  const std::string message = message_of([&] { Journal second(directory_); }, ExitCode::kLocked);
  EXPECT_NE(message.find("process " + std::to_string(::getpid()) + " on "), std::string::npos) << message;
  message_of([&] { Journal second(directory_, {1, 2}); }, ExitCode::kLocked);
}

TEST_F(Journals, DisjointShardsRunSideBySide) {
  Journal zero(directory_, {0, 2});
  Journal one(directory_, {1, 2});
  message_of([&] { Journal again(directory_, {1, 2}); }, ExitCode::kLocked);
  message_of([&] { Journal quarter(directory_, {3, 4}); }, ExitCode::kLocked);
  message_of([&] { Journal whole(directory_); }, ExitCode::kLocked);
  EXPECT_TRUE(fs::exists(directory_ / "brume-journal.0-of-2.jsonl"));
}

TEST_F(Journals, TheLockEndsWithTheProcess) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const Journal journal(directory_);
    ::kill(::getpid(), SIGKILL);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_TRUE(fs::exists(directory_ / "brume-journal.jsonl.lock"));
  { const Journal journal(directory_); }
  EXPECT_FALSE(fs::exists(directory_ / "brume-journal.jsonl.lock"));
}

/// A pipe that tells processes to go on, by being closed.
class Gate {
 public:
  Gate() { EXPECT_EQ(::pipe(ends_.data()), 0); }
  void open() { ::close(ends_[1]); }
  /// In a child, which keeps the gate shut no longer; false after `seconds`.
  bool wait(int seconds) const {
    pollfd end{ends_[0], POLLIN, 0};
    return ::poll(&end, 1, 1000 * seconds) == 1;
  }

 private:
  std::array<int, 2> ends_{};
};

/// Exit codes of processes that open the journals of `shards` at the same time, and keep them until all but
/// one are gone.
std::map<int, int> codes_of_runs_at_once(const fs::path& directory, const std::vector<Shard>& shards) {
  Gate start;
  Gate end;
  for (const Shard& shard : shards) {
    if (::fork() != 0) continue;
    start.open();  // its own copies
    end.open();
    start.wait(60);
    try {
      const Journal journal(directory, shard);
      end.wait(30);
      ::_exit(0);
    } catch (const Error& error) {
      ::_exit(static_cast<int>(error.code()));
    }
  }
  start.open();
  std::map<int, int> codes;
  for (size_t gone = 1; gone <= shards.size(); ++gone) {
    int status = 0;
    ::wait(&status);
    ++codes[WEXITSTATUS(status)];
    if (gone + 1 == shards.size()) end.open();
  }
  return codes;
}

TEST_F(Journals, OneOfManyRunsAtOnceGetsTheLock) {
  for (int round = 0; round < 5; ++round)
    EXPECT_EQ(codes_of_runs_at_once(directory_, std::vector<Shard>(6)), (std::map<int, int>{{0, 1}, {8, 5}}));
}

/// Each pair of these has jobs in common.
TEST_F(Journals, OneOfManyOverlappingRunsAtOnceGetsTheJobs) {
  const std::vector<Shard> shards{{0, 1}, {1, 2}, {3, 4}, {7, 8}, {15, 16}, {31, 32}};
  for (int round = 0; round < 5; ++round) {
    const fs::path directory = directory_ / std::to_string(round);  // nobody has a journal yet
    fs::create_directory(directory);
    EXPECT_EQ(codes_of_runs_at_once(directory, shards), (std::map<int, int>{{0, 1}, {8, 5}}));
  }
}

/// On a slow disk a run may have no more than its lock for long.
TEST_F(Journals, ARunThatHasJustBegunIsSeen) {
  auto gate = std::make_unique<RunLock>(directory_ / kJournalGate, "the directory");
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    try {
      const Journal journal(directory_, {1, 2});
      ::_exit(0);
    } catch (const Error& error) {
      ::_exit(static_cast<int>(error.code()));
    }
  }
  const RunLock begun(kJournalLock.of(directory_, {}), "the whole");
  gate.reset();
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 8);
  EXPECT_FALSE(fs::exists(directory_ / "brume-journal.1-of-2.jsonl"));
}

TEST_F(Journals, AnotherDivisionKnowsWhatIsDone) {
  std::ofstream(directory_ / "a.png") << "abc";
  {
    Journal journal(directory_);
    for (int i = 1; i <= 20; ++i) journal.append(done(i));
    journal.append(failure(21));
  }
  for (int64_t i = 0; i < 3; ++i) {
    Journal shard(directory_, {i, 3});
    for (int number = 1; number <= 21; ++number) {
      const JobKey key = label_of(number).key;
      const State wanted = number == 21 ? State::kFailed : State::kDone;
      EXPECT_EQ(shard.check(key), shard.shard().owns(key) ? wanted : State::kUnknown);
      if (number == 21 && shard.shard().owns(key)) shard.append(done(21));
    }
  }
  Journal again(directory_);
  EXPECT_EQ(again.check(label_of(21).key), State::kDone);  // as a shard has it
}

TEST_F(Journals, StatusTakesAListThatIsNestedForAges) {
  Journal journal(directory_);
  std::ofstream(directory_ / "failed.jsonl")
      << R"({"prompt":)" + std::string(1 << 20, '[') + std::string(1 << 20, ']') + "}\n";
  const std::vector<fs::path> here{directory_};
  const BatchStatus status = read_status(here);
  ASSERT_EQ(status.failures.size(), 1U);
  EXPECT_EQ(status.failures[0].reason, "is no job that brume wrote");
}

TEST_F(Journals, StatusMergesJournalsAndLists) {
  fs::create_directory(directory_ / "x");
  fs::create_directory(directory_ / "y");
  std::ofstream(directory_ / "x/a.png") << "abc";
  Journal zero(directory_ / "x", {0, 2});
  Journal one(directory_ / "x", {1, 2});
  zero.append(done(1));
  zero.append(failure(2));
  one.append(done(2));
  one.append(failure(3));
  one.append(failure(3));
  {
    Journal other(directory_ / "y");
    other.append(done(1));
    other.append(failure(1));
    other.append(failure(4));
  }
  const auto line = [](int number, const std::string& remarks) {
    return R"({"prompt":")" + std::to_string(number) + "\"," + remarks + R"("_failed":"not finite"})" + "\n";
  };
  const auto key = [](int number) { return R"("_key":")" + label_of(number).key.hex() + "\","; };
  std::ofstream(directory_ / "x/failed.0-of-2.jsonl") << line(2, key(2)) << line(5, "");
  std::ofstream(directory_ / "x/failed.1-of-2.jsonl") << line(5, R"("_from":"a.txt",)");
  std::ofstream(directory_ / "x/.failed.1-of-2.jsonl.new")
      << line(3, key(3)) << line(3, key(3)) << line(6, "").substr(0, 9);
  std::ofstream(directory_ / "y/failed.jsonl") << line(4, key(4)) << line(1, key(1)) << "something\n";
  const std::vector<fs::path> both{directory_ / "x", directory_ / "y"};
  const BatchStatus status = read_status(both);
  EXPECT_EQ(status.journals, 3);
  EXPECT_EQ(status.done, 2);
  EXPECT_EQ(status.missing, 0);  // of the first, y has no picture, but x has
  EXPECT_EQ(status.failed, 4);   // 3, 5, 4 and what is no job
  EXPECT_EQ(status.listed, 8);
  ASSERT_EQ(status.failures.size(), 4U);
  EXPECT_EQ(status.failures[0].list, directory_ / "x/.failed.1-of-2.jsonl.new");
  EXPECT_EQ(status.failures[1].list, directory_ / "x/failed.0-of-2.jsonl");
  EXPECT_EQ(status.failures[1].line, 2);
  EXPECT_EQ(status.failures[1].reason, "not finite");
  EXPECT_EQ(status.running.size(), 2U);
  EXPECT_EQ(read_status(both, 1).failures.size(), 1U);
  const std::vector<fs::path> none{directory_};
  message_of([&] { read_status(none); }, ExitCode::kInputInvalid);
}

TEST_F(Journals, StatusCountsAPictureAsDoneWhereItIs) {
  Journal journal(directory_);
  for (int i = 1; i <= 5; ++i) journal.append(done(i, std::to_string(i) + ".png"));
  journal.append(failure(5));
  for (const char* name : {"1.png", "2.png", "3.png"}) std::ofstream(directory_ / name) << "abc";
  const auto status = [&] {
    const std::vector<fs::path> here{directory_};
    const BatchStatus found = read_status(here);
    return std::pair(found.done, found.missing);
  };
  EXPECT_EQ(status(), std::pair(int64_t{3}, int64_t{1}));
  fs::remove(directory_ / "1.png");
  EXPECT_EQ(status(), std::pair(int64_t{2}, int64_t{2}));
  std::ofstream(directory_ / "2.png") << "abcd";  // another file
  EXPECT_EQ(status(), std::pair(int64_t{1}, int64_t{3}));
  fs::remove(directory_ / "3.png");
  fs::create_symlink("2.png", directory_ / "3.png");
  EXPECT_EQ(status(), std::pair(int64_t{0}, int64_t{4}));
}

TEST_F(Journals, ADirectoryThatCannotBeListedIsAnError) {
  const std::string message =
      message_of([&] { kJournal.shards_in(directory_ / "none"); }, ExitCode::kOutputFailed);
  EXPECT_NE(message.find("cannot list: No such file"), std::string::npos) << message;
}

TEST_F(Journals, PlacesThatCannotBeWrittenAreErrors) {
  message_of([&] { Journal(directory_ / "none"); }, ExitCode::kOutputFailed);
  fs::create_directory(own());
  message_of([&] { Journal{directory_}; }, ExitCode::kOutputFailed);
}

}  // namespace
}  // namespace brume::batch
