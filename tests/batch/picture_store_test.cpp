#include "brume/batch/picture_store.h"

#include <gtest/gtest.h>

#include <fstream>

#include "brume/base/file.h"
#include "brume/batch/shard_files.h"
#include "faults/pictures.h"
#include "message_of.h"
#include "temporary_directory.h"

namespace brume::batch {
namespace {

namespace fs = std::filesystem;
using testing::label_of;
using testing::png_of;

StoreOptions named(const std::string& names) { return {.names = PictureNames(names)}; }

class Stores : public TemporaryDirectory {
 protected:
  void SetUp() override {
    TemporaryDirectory::SetUp();
    outside_ = directory_ / "outside";
    directory_ /= "pictures";
    fs::create_directory(directory_);
    reopen();
  }
  void TearDown() override {
    journal_.reset();
    directory_ = directory_.parent_path();
    TemporaryDirectory::TearDown();
  }
  void reopen() {
    journal_.reset();
    journal_ = std::make_unique<Journal>(directory_);
  }
  void forget_records() {
    journal_.reset();
    fs::remove(directory_ / "brume-journal.jsonl");
    reopen();
  }
  std::string commit(PictureStore& store, int number) {
    return store.commit(label_of(number), png_of(label_of(number)), 1).filename();
  }
  bool is_picture(const std::string& name, int number) const {
    const std::string text = read_text_file(directory_ / name, 1 << 20, ExitCode::kInputInvalid);
    const auto png = png_of(label_of(number));
    return std::ranges::equal(std::as_bytes(std::span(text)), png);
  }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(directory_ / name, std::ios::binary) << text;
  }

  std::unique_ptr<Journal> journal_;
  fs::path outside_;
};

TEST_F(Stores, APictureIsCommittedOnce) {
  PictureStore store(*journal_);
  EXPECT_FALSE(store.holds(label_of(1)));
  EXPECT_EQ(commit(store, 1), "00001_1000.png");
  EXPECT_TRUE(store.holds(label_of(1)));
  EXPECT_TRUE(is_picture("00001_1000.png", 1));
  EXPECT_EQ(journal_->check(label_of(1).key, Verify::kContents), State::kDone);
  EXPECT_EQ(commit(store, 1), "00001_1000.png");
}

TEST_F(Stores, ATakenNameGetsTheKey) {
  PictureStore store(*journal_, named("x"));
  EXPECT_EQ(commit(store, 1), "x.png");
  const std::string second = "x_" + label_of(2).key.hex().substr(0, 8) + ".png";
  EXPECT_EQ(commit(store, 2), second);
  EXPECT_TRUE(is_picture("x.png", 1));
  EXPECT_TRUE(is_picture(second, 2));
  write("x_" + label_of(3).key.hex().substr(0, 8) + ".png", "the user's own");
  EXPECT_EQ(commit(store, 3), "x_" + label_of(3).key.hex() + ".png");
  write("x_" + label_of(4).key.hex().substr(0, 8) + ".png", "the user's own");
  fs::create_directory(directory_ / ("x_" + label_of(4).key.hex() + ".png"));
  message_of([&] { commit(store, 4); }, ExitCode::kOutputFailed);
  EXPECT_EQ(journal_->check(label_of(4).key), State::kUnknown);
}

TEST_F(Stores, APictureWithoutItsRecordIsAdopted) {
  for (const char* names : {"x", "{index}"}) {
    {
      PictureStore store(*journal_, named(names));
      for (int i = 1; i <= 3; ++i) commit(store, i);
    }
    forget_records();
    PictureStore store(*journal_, named(names));
    for (int i = 1; i <= 3; ++i) EXPECT_TRUE(store.holds(label_of(i)));
    for (int i = 1; i <= 3; ++i) EXPECT_EQ(journal_->check(label_of(i).key, Verify::kContents), State::kDone);
    EXPECT_FALSE(store.holds(label_of(4)));
    for (int i = 1; i <= 3; ++i) fs::remove(directory_ / journal_->find(label_of(i).key)->file);
    forget_records();
  }
  PictureStore(*journal_, named("x")).commit(label_of(1), png_of(label_of(1)), 1);
  forget_records();
  PictureStore store(*journal_, named("x"));
  EXPECT_EQ(commit(store, 1), "x.png");
  EXPECT_EQ(journal_->check(label_of(1).key, Verify::kContents), State::kDone);
}

TEST_F(Stores, ADamagedPictureIsNotAdopted) {
  PictureStore(*journal_).commit(label_of(1), png_of(label_of(1)), 1);
  forget_records();
  fs::resize_file(directory_ / "00001_1000.png", 300);
  PictureStore store(*journal_);
  EXPECT_FALSE(store.holds(label_of(1)));
  // Without a record nobody knows whose file it is.
  EXPECT_EQ(commit(store, 1), "00001_1000_" + label_of(1).key.hex().substr(0, 8) + ".png");
}

TEST_F(Stores, MissingAndDamagedPicturesAreDrawnAgain) {
  PictureStore store(*journal_);
  for (int i = 1; i <= 2; ++i) commit(store, i);
  fs::resize_file(directory_ / "00001_1000.png", 300);
  fs::remove(directory_ / "00002_2000.png");
  for (int i = 1; i <= 2; ++i) {
    EXPECT_FALSE(store.holds(label_of(i)));
    commit(store, i);
    EXPECT_TRUE(store.holds(label_of(i)));
  }
  EXPECT_TRUE(is_picture("00001_1000.png", 1));
  EXPECT_TRUE(is_picture("00002_2000.png", 2));
}

TEST_F(Stores, AFlippedBitIsFoundWhereContentsAreVerified) {
  PictureStore(*journal_).commit(label_of(1), png_of(label_of(1)), 1);
  std::fstream file(directory_ / "00001_1000.png", std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(700);
  file.put('\x55');
  file.close();
  EXPECT_TRUE(PictureStore(*journal_).holds(label_of(1)));
  PictureStore store(*journal_, {.names = {}, .verify = Verify::kContents});
  EXPECT_FALSE(store.holds(label_of(1)));
  EXPECT_EQ(commit(store, 1), "00001_1000.png");
  EXPECT_TRUE(store.holds(label_of(1)));
}

TEST_F(Stores, AnotherPictureIsNeverReplaced) {
  PictureStore store(*journal_, named("x"));
  commit(store, 1);
  fs::remove(directory_ / "x.png");
  commit(store, 2);  // takes the free name
  EXPECT_TRUE(is_picture("x.png", 2));
  EXPECT_EQ(journal_->check(label_of(1).key, Verify::kContents), State::kDamaged);
  EXPECT_EQ(commit(store, 1), "x_" + label_of(1).key.hex().substr(0, 8) + ".png");
  journal_->append({.key = label_of(3).key,
                    .status = Status::kDone,
                    .file = "x.png",
                    .bytes = 1,
                    .sha256 = "",
                    .reason = "",
                    .id = ""});
  EXPECT_EQ(commit(store, 3), "x_" + label_of(3).key.hex().substr(0, 8) + ".png");
  EXPECT_TRUE(is_picture("x.png", 2));
}

TEST_F(Stores, LinksAreNotFollowed) {
  std::ofstream(outside_) << "precious";
  fs::create_symlink(outside_, directory_ / "00001_1000.png");
  fs::create_symlink(outside_.parent_path() / "nothing", directory_ / "00002_2000.png");
  PictureStore store(*journal_);
  for (int i = 1; i <= 2; ++i)
    EXPECT_NE(commit(store, i).find("_" + label_of(i).key.hex().substr(0, 8)), std::string::npos);
  EXPECT_EQ(read_text_file(outside_, 100, ExitCode::kInputInvalid), "precious");
  EXPECT_FALSE(fs::exists(outside_.parent_path() / "nothing"));
}

TEST_F(Stores, ForceDrawsAgainAndOnce) {
  PictureStore(*journal_).commit(label_of(1), png_of(label_of(1)), 1);
  reopen();
  PictureStore store(*journal_, {.names = {}, .force = true});
  EXPECT_FALSE(store.holds(label_of(1)));
  EXPECT_EQ(commit(store, 1), "00001_1000.png");
  EXPECT_TRUE(store.holds(label_of(1)));
}

TEST_F(Stores, FailuresAreRecordsAndDrawnAgain) {
  PictureStore store(*journal_);
  store.record_failure(label_of(1), "not finite", 1);
  EXPECT_EQ(journal_->check(label_of(1).key), State::kFailed);
  EXPECT_FALSE(store.holds(label_of(1)));
  commit(store, 1);
  EXPECT_TRUE(store.holds(label_of(1)));
}

TEST_F(Stores, LeftoversOfDeadRunsAreRemoved) {
  journal_.reset();
  { const Journal shard(directory_, {0, 2}); }
  const Journal running(directory_, {1, 2});
  const std::vector<std::string> dead{".brume.0-of-2.abcdef.tmp", ".brume.0-of-2.ghijkl.tmp",
                                      ".brume.2-of-3.abcdef.tmp"};
  const std::vector<std::string> others{".brume.1-of-2.abcdef.tmp", ".brume.abcdef.tmp",
                                        ".brume.0-of-2.abc.tmp", "brume.0-of-2.abcdef.tmp"};
  for (const std::string& name : dead) write(name, "x");
  for (const std::string& name : others) write(name, "x");
  Journal zero(directory_, {0, 2});
  const PictureStore store(zero);
  for (const std::string& name : dead) EXPECT_FALSE(fs::exists(directory_ / name)) << name;
  for (const std::string& name : others) EXPECT_TRUE(fs::exists(directory_ / name)) << name;
  EXPECT_FALSE(fs::exists(kJournalLock.of(directory_, {2, 3})));
}

}  // namespace
}  // namespace brume::batch
