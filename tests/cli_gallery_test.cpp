#include <sys/stat.h>

#include <chrono>
#include <fstream>

#include "brume/gallery/contact_sheet.h"
#include "brume/image/png.h"
#include "brume/image/recipe.h"
#include "cli_fixture.h"

// brume gallery and brume batch --grid from outside.
namespace brume::testing {
namespace {

namespace fs = std::filesystem;

class GalleryCommand : public CommandLine {
 protected:
  void SetUp() override {
    CommandLine::SetUp();
    fs::create_directory(directory_ / "out");
    std::ofstream(directory_ / "jobs.txt")
        << "a fox --d 1\nan owl --d 2 --w 48\na <b>boat</b> --d 3\na house --d 4\n";
  }

  Outcome batch(const Words& more = {}) const {
    Words all{"batch", "jobs.txt", "-o", "out", "-m",      model("sd1").string(),
              "-W",    "64",       "-H", "64",  "--steps", "2"};
    all.insert(all.end(), more.begin(), more.end());
    return brume(all);
  }

  static size_t count(const std::string& text, const std::string& part) {
    size_t found = 0;
    for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
    return found;
  }

  PngContents png(const std::string& name) const {
    const std::string bytes = bytes_of(name);
    return read_png(std::as_bytes(std::span(bytes)), name);
  }
};

TEST_F(GalleryCommand, MakesAPageOfABatch) {
  ASSERT_EQ(batch({"--grid"}).code, 0);
  const Outcome outcome = brume({"gallery", "out"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  EXPECT_EQ(outcome.out, "out/index.html\n");
  const std::string page = bytes_of("out/index.html");
  EXPECT_EQ(count(page, "<li>"), 4U);
  EXPECT_EQ(count(page, "href=\"./00001_1.png\""), 1U);
  EXPECT_NE(page.find("a &lt;b&gt;boat&lt;/b&gt;"), std::string::npos);
  EXPECT_EQ(page.find("<b>"), std::string::npos);
  // Made again it is the same, and replaced whole.
  EXPECT_EQ(brume({"gallery", "out"}).code, 0);
  EXPECT_EQ(bytes_of("out/index.html"), page);
}

TEST_F(GalleryCommand, LinksLeadFromThePageToThePictures) {
  ASSERT_EQ(batch({"--name", "a #1 {index}"}).code, 0);
  fs::create_directories(directory_ / "pages/of");
  const Outcome outcome = brume({"gallery", "out", "-o", "pages/of/mine.html"});
  EXPECT_EQ(outcome.out, "pages/of/mine.html\n");
  EXPECT_NE(bytes_of("pages/of/mine.html").find("href=\"./../../out/a%20%231%201.png\""), std::string::npos);
  const Outcome written = brume({"gallery", ".", "--recursive", "-o", "-"});
  EXPECT_EQ(written.code, 0);
  EXPECT_TRUE(written.out.starts_with("<!DOCTYPE html>"));
  EXPECT_NE(written.out.find("href=\"./out/a%20%231%201.png\""), std::string::npos);
  EXPECT_EQ(count(brume({"gallery", ".", "-o", "-"}).out, "<li>"), 0U);
}

TEST_F(GalleryCommand, DamagedPicturesAreToldAndTheRestIsShown) {
  ASSERT_EQ(batch().code, 0);
  fs::resize_file(directory_ / "out/00003_3.png", 500);
  const Outcome outcome = brume({"gallery", "out"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_EQ(outcome.out, "out/index.html\n");
  EXPECT_NE(outcome.err.find("note: out/00003_3.png"), std::string::npos) << outcome.err;
  EXPECT_EQ(count(bytes_of("out/index.html"), "<li>"), 3U);
}

TEST_F(GalleryCommand, WrongUseIsOneLine) {
  expect_error(brume({"gallery"}), 2, {"directory"});
  expect_error(brume({"gallery", "nowhere"}), 4, {"nowhere", "no such directory"});
  expect_error(brume({"gallery", "jobs.txt"}), 4, {"jobs.txt"});
  expect_error(brume({"gallery", "out", "-o", "nowhere/x.html"}), 5, {"nowhere"});
  expect_error(brume({"gallery", "out", "-o", "out"}), 5, {"out"});
  fs::permissions(directory_ / "out", fs::perms::owner_read | fs::perms::owner_exec);
  expect_error(run({.arguments = {"gallery", "out"}, .directory = directory_, .obeys_modes = true}), 5,
               {"out"});
}

TEST_F(GalleryCommand, AFailureToWriteLeavesTheOldPage) {
  ASSERT_EQ(batch().code, 0);
  std::ofstream(directory_ / "out/index.html") << "old";
  const Outcome outcome =
      run({.arguments = {"gallery", "out"}, .directory = directory_, .file_limit = uint64_t{12} << 10});
  expect_error(outcome, 5, {"index.html"});
  EXPECT_EQ(bytes_of("out/index.html"), "old");
  for (const auto& entry : fs::directory_iterator(directory_ / "out"))
    EXPECT_FALSE(entry.path().filename().string().ends_with(".tmp")) << entry.path();
}

TEST_F(GalleryCommand, AnEmptyDirectoryIsAnEmptyPage) {
  const Outcome outcome = brume({"gallery", "out"});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_NE(outcome.err.find("no pictures"), std::string::npos);
}

TEST_F(GalleryCommand, TheGridShowsTheJobsInOrderDrawnOrThereAlready) {
  const Outcome outcome = batch({"--grid"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_TRUE(outcome.out.ends_with("\nout/grid.png\n")) << outcome.out;
  const PngContents grid = png("out/grid.png");
  EXPECT_EQ(grid.picture.width, 128);
  EXPECT_EQ(grid.picture.height, 128);
  EXPECT_EQ(recipe_key(grid.texts), "");
  const auto expect_cell = [&](const PngContents& sheet, int left, int top, const std::string& name) {
    const Picture one = png(name).picture;
    for (int y = 0; y < one.height; ++y) {
      const auto at = static_cast<ptrdiff_t>(3 * ((top + y) * sheet.picture.width + left));
      const auto row = static_cast<ptrdiff_t>(3 * y * one.width);
      ASSERT_TRUE(std::equal(one.pixels.begin() + row, one.pixels.begin() + row + 3 * one.width,
                             sheet.picture.pixels.begin() + at))
          << name << " row " << y;
    }
  };
  expect_cell(grid, 0, 0, "out/00001_1.png");
  expect_cell(grid, 64 + 8, 0, "out/00002_2.png");  // 48 wide, in the middle
  expect_cell(grid, 0, 64, "out/00003_3.png");
  expect_cell(grid, 64, 64, "out/00004_4.png");

  const std::string before = bytes_of("out/grid.png");
  fs::remove(directory_ / "out/00002_2.png");
  const Outcome again = batch({"--grid", "--json", "--resume"});
  const nlohmann::json summary = nlohmann::json::parse(again.out);
  EXPECT_EQ(summary["drawn"], 1);
  EXPECT_EQ(summary["grid"], "out/grid.png");
  EXPECT_EQ(bytes_of("out/grid.png"), before);
  // Of this run's jobs alone.
  std::ofstream(directory_ / "jobs.txt") << "a house --d 4\na fox --d 1\n";
  EXPECT_EQ(batch({"--grid"}).code, 0);
  const PngContents two = png("out/grid.png");
  EXPECT_EQ(two.picture.width, 128);
  EXPECT_EQ(two.picture.height, 64);
  expect_cell(two, 0, 0, "out/00004_4.png");
  expect_cell(two, 64, 0, "out/00001_1.png");
}

TEST_F(GalleryCommand, TheGridReplacesNobodyElsesFile) {
  std::ofstream(directory_ / "out/grid.png") << "mine";
  expect_error(batch({"--grid"}), 5, {"grid.png"});
  EXPECT_EQ(bytes_of("out/grid.png"), "mine");
  fs::remove(directory_ / "out/grid.png");
  std::ofstream(directory_ / "jobs.txt") << "a fox\n";
  const Outcome outcome = batch({"--grid", "--name", "grid"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;  // the picture has a longer name
  EXPECT_EQ(recipe_key(png("out/grid.png").texts), "");
}

TEST_F(GalleryCommand, ThePageReplacesNobodyElsesFile) {
  std::ofstream(directory_ / "out/index.html") << "<html>mine</html>";
  expect_error(brume({"gallery", "out"}), 5, {"out/index.html", "no page of brume's", "-o"});
  EXPECT_EQ(bytes_of("out/index.html"), "<html>mine</html>");
  fs::remove(directory_ / "out/index.html");
  std::ofstream(directory_ / "mine.txt") << "mine";
  fs::create_symlink("../mine.txt", directory_ / "out/index.html");
  expect_error(brume({"gallery", "out"}), 5, {"out/index.html"});
  EXPECT_EQ(bytes_of("mine.txt"), "mine");
  EXPECT_EQ(brume({"gallery", "out", "-o", "mine.txt"}).code, 0);  // by its name it is meant
}

TEST_F(GalleryCommand, EachShardHasAGridOfItsOwn) {
  ASSERT_EQ(batch({"--grid", "--shard", "0/2"}).code, 0);
  ASSERT_EQ(batch({"--grid", "--shard", "1/2"}).code, 0);
  EXPECT_FALSE(fs::exists(directory_ / "out/grid.png"));
  EXPECT_TRUE(fs::exists(directory_ / "out/grid.0-of-2.png") ||
              fs::exists(directory_ / "out/grid.1-of-2.png"));
}

}  // namespace
}  // namespace brume::testing
