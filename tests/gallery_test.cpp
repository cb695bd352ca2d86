#include <gtest/gtest.h>
#include <sys/resource.h>

#include <fstream>
#include <string>

#include "brume/base/error.h"
#include "brume/base/file.h"
#include "brume/batch/journal.h"
#include "brume/gallery/card.h"
#include "brume/gallery/contact_sheet.h"
#include "brume/gallery/gallery.h"
#include "brume/gallery/markup.h"
#include "brume/gallery/page.h"
#include "brume/gallery/picture_list.h"
#include "brume/gallery/thumbnail.h"
#include "brume/image/jpeg.h"
#include "brume/image/recipe.h"
#include "brume/image/resize.h"
#include "temporary_directory.h"

namespace brume::gallery {
namespace {

namespace fs = std::filesystem;

Picture plain(int width, int height, uint8_t value) {
  return {width, height,
          std::vector<uint8_t>(size_t{3} * static_cast<size_t>(width) * static_cast<size_t>(height), value)};
}

/// One channel is told; the others are the same.
Picture grey(int width, int height, const std::vector<int>& values) {
  Picture picture{width, height, {}};
  for (const int value : values) picture.pixels.insert(picture.pixels.end(), 3, static_cast<uint8_t>(value));
  return picture;
}

Picture noise(int width, int height) {
  Picture picture = plain(width, height, 0);
  uint32_t state = 1;
  for (uint8_t& value : picture.pixels)
    value = static_cast<uint8_t>((state = state * 1664525 + 1013904223) >> 24);
  return picture;
}

// --- Resizing
// ---------------------------------------------------------------------------------------------------

TEST(Resize, WholeBoxesAreMeans) {
  const Picture four = grey(4, 2, {10, 20, 30, 40, 50, 61, 70, 81});
  EXPECT_EQ(resize_box(four, {2, 1}).pixels, grey(2, 1, {35, 55}).pixels);  // 35.25 and 55.25
  EXPECT_EQ(resize_box(four, {1, 1}).pixels, grey(1, 1, {45}).pixels);      // 45.25
  EXPECT_EQ(resize_box(four, {4, 2}).pixels, four.pixels);
}

TEST(Resize, PartsOfPixelsCountByTheirShare) {
  // Three pixels as two: each new one is an old one and half of the middle one.
  EXPECT_EQ(resize_box(grey(3, 1, {0, 90, 240}), {2, 1}).pixels, grey(2, 1, {30, 190}).pixels);
  EXPECT_EQ(resize_box(grey(1, 3, {0, 90, 240}), {1, 2}).pixels, grey(1, 2, {30, 190}).pixels);
  // Halves are rounded up, once.
  EXPECT_EQ(resize_box(grey(2, 1, {1, 2}), {1, 1}).pixels, grey(1, 1, {2}).pixels);
}

TEST(Resize, ColoursStayApartAndExtremesStay) {
  const Picture colours{2, 1, {255, 0, 100, 255, 0, 50}};
  EXPECT_EQ(resize_box(colours, {1, 1}).pixels, (std::vector<uint8_t>{255, 0, 75}));
  for (const uint8_t value : {0, 255}) {
    EXPECT_EQ(resize_box(plain(97, 53, value), {31, 7}).pixels, plain(31, 7, value).pixels);
    EXPECT_EQ(resize_box(plain(3, 3, value), {7, 5}).pixels, plain(7, 5, value).pixels);
  }
}

TEST(Resize, FitsWithin) {
  const auto fit = [](PngSize size, PngSize most) {
    const PngSize fitted = fit_within(size, most);
    return std::pair(fitted.width, fitted.height);
  };
  EXPECT_EQ(fit({100, 50}, {200, 200}), std::pair(100, 50));
  EXPECT_EQ(fit({100, 50}, {40, 40}), std::pair(40, 20));
  EXPECT_EQ(fit({50, 100}, {40, 40}), std::pair(20, 40));
  EXPECT_EQ(fit({16384, 1}, {64, 64}), std::pair(64, 1));
}

// --- Thumbnails
// -------------------------------------------------------------------------------------------------

TEST(Thumbnail, IsAJpegOfItsSize) {
  const Thumbnail thumbnail = Thumbnails(10).of(noise(300, 150));
  EXPECT_EQ(thumbnail.size.width, 256);
  EXPECT_EQ(thumbnail.size.height, 128);
  ASSERT_GT(thumbnail.jpeg.size(), 100U);
  EXPECT_EQ(thumbnail.jpeg[0], std::byte{0xFF});
  EXPECT_EQ(thumbnail.jpeg[1], std::byte{0xD8});
}

/// Also for the pictures that compress worst.
TEST(Thumbnail, ThoseOfAPageStayWithinItsSize) {
  constexpr size_t kPage = size_t{64} << 20;
  const Picture worst = noise(256, 256);
  for (const size_t count : {1U, 500U, 2000U, 10'000U, 30'000U}) {
    const size_t bytes = Thumbnails(count).of(worst).jpeg.size() * 4 / 3 * count;
    EXPECT_LE(bytes, kPage) << count;
  }
  EXPECT_LE(Thumbnails(kMostPictures).of(worst).jpeg.size(), 4096U);
}

// --- Markup
// -----------------------------------------------------------------------------------------------------

TEST(Markup, NothingOfATextIsMarkup) {
  EXPECT_EQ(html_text("a & b <i> \"c\" 'd'"), "a &amp; b &lt;i&gt; &quot;c&quot; &#39;d&#39;");
  EXPECT_EQ(html_text("</script><!--"), "&lt;/script&gt;&lt;!--");
  EXPECT_EQ(html_text("a\n\tb"), "a\n\tb");
  EXPECT_EQ(html_text("\x1b[31m\x7f\r"), "\\x1b[31m\\x7f\\x0d");
  EXPECT_EQ(html_text(std::string_view("a\0b", 3)), "a\\x00b");
  EXPECT_EQ(html_text("\xff\xc3"), "\\xff\\xc3");
  EXPECT_EQ(html_text("łódź 🦊"), "łódź 🦊");
}

TEST(Markup, NothingTurnsTheDirectionOfWhatFollows) {
  EXPECT_EQ(html_text("a\u202Egnp.exe"), "a\\u202Egnp.exe");
  EXPECT_EQ(html_text("\u2066x\u2069"), "\\u2066x\\u2069");
  EXPECT_EQ(html_text("שלום\u200F"), "שלום\u200F");
}

TEST(Markup, LinksLeadToTheFileWhateverItsName) {
  EXPECT_EQ(relative_link("a/b.png"), "./a/b.png");
  EXPECT_EQ(relative_link("../x y.png"), "./../x%20y.png");
  EXPECT_EQ(relative_link("100%25 #1?.png"), "./100%2525%20%231%3F.png");
  EXPECT_EQ(relative_link("javascript:alert(1).png"), "./javascript%3Aalert%281%29.png");
  EXPECT_EQ(relative_link("\"'<>&\\.png"), "./%22%27%3C%3E%26%5C.png");
  EXPECT_EQ(relative_link("ż\xff\n.png"), "./%C5%BC%FF%0A.png");
}

TEST(Markup, ShortensBetweenCharacters) {
  EXPECT_EQ(shortened("abc", 3), "abc");
  EXPECT_EQ(shortened("abcd", 3), "abc…");
  EXPECT_EQ(shortened("aż", 2), "a…");
}

TEST(Markup, Base64) {
  const auto of = [](std::string_view text) { return base64(std::as_bytes(std::span(text))); };
  EXPECT_EQ(of(""), "");
  EXPECT_EQ(of("f"), "Zg==");
  EXPECT_EQ(of("fo"), "Zm8=");
  EXPECT_EQ(of("foo"), "Zm9v");
  EXPECT_EQ(of("\xff\xfe\xfd\xfc"), "//79/A==");
}

// --- Cards and the page
// -----------------------------------------------------------------------------------------

using Fields = std::vector<std::pair<std::string, std::string>>;

TEST(Card, OurRecipeAndAnInfotextGetTheSameNames) {
  const Caption ours = caption_of(
      {{"brume",
        R"({"prompt":"a fox","negative_prompt":null,"width":9,"height":9,"steps":20,"cfg_scale":7.5,)"
        R"("sampler":"ddim","seed":5,"model_hash":"0123456789abcdef","notes":[],"key":"00"})"}},
      {64, 32}, 3);
  EXPECT_EQ(ours.prompt, "a fox");
  EXPECT_EQ(ours.negative_prompt, "");
  EXPECT_EQ(ours.fields, (Fields{{"seed", "5"},
                                 {"steps", "20"},
                                 {"cfg scale", "7.5"},
                                 {"sampler", "ddim"},
                                 {"size", "64x32"},
                                 {"model hash", "0123456789"},
                                 {"index", "3"}}));
  const Caption theirs = caption_of(
      {{"parameters",
        "an owl\nNegative prompt: rain\nSteps: 12, Sampler: Euler a, CFG scale: 7, Seed: 9, Size: 1x1"}},
      {8, 8}, {});
  EXPECT_EQ(theirs.prompt, "an owl");
  EXPECT_EQ(theirs.negative_prompt, "rain");
  EXPECT_EQ(
      theirs.fields,
      (Fields{{"seed", "9"}, {"steps", "12"}, {"cfg scale", "7"}, {"sampler", "Euler a"}, {"size", "8x8"}}));
}

TEST(Card, TakesLittleOfLongTextsAndOfManyFields) {
  std::string infotext = std::string(100'000, 'x') + "\nSteps: 1";
  for (int i = 0; i < 500; ++i) infotext += ", K" + std::to_string(i) + ": " + std::string(2000, 'v');
  const Caption caption = caption_of({{"parameters", infotext}}, {8, 8}, {});
  EXPECT_EQ(caption.prompt.size(), 4000U + std::string("…").size());
  EXPECT_EQ(caption.fields.size(), 40U);
  EXPECT_LT(card_html(0, "a.png", caption, {}).size(), 20'000U);
}

TEST(Card, FieldsKeepToTheirLine) {
  const Caption caption = caption_of({{"brume", R"({"a\tb\nc":"d\te\nf"})"}}, {8, 8}, {});
  EXPECT_EQ(caption.fields.back(), (std::pair<std::string, std::string>{"a b c", "d e f"}));
}

TEST(Card, HostileTextsStayTexts) {
  const std::string evil = "\"><script>alert(1)</script><img src=x onerror=alert(2)>";
  const Caption caption{evil, evil, {{evil, evil}}};
  const std::string card = card_html(7, evil + ".png", caption, {{1, 1}, {std::byte{1}}});
  EXPECT_EQ(card.find("<script"), std::string::npos);
  EXPECT_EQ(card.find("<img src"), std::string::npos);
  EXPECT_EQ(card.find(evil), std::string::npos);
  EXPECT_NE(card.find("href=\"./%22%3E%3Cscript%3E"), std::string::npos);
  EXPECT_EQ(page_head(evil).find("<script"), std::string::npos);
}

TEST(Page, NamesNothingOutside) {
  const std::string page = page_head("x") + page_tail();
  EXPECT_EQ(page.find("http:"), std::string::npos);
  EXPECT_EQ(page.find("https:"), std::string::npos);
  EXPECT_EQ(page.find("'unsafe-inline'"), std::string::npos);
  EXPECT_NE(page.find("default-src 'none'"), std::string::npos);
}

// --- Contact sheets
// ---------------------------------------------------------------------------------------------

TEST(Sheet, IsAboutSquare) {
  const auto plan = [](int64_t pictures, PngSize largest) {
    const SheetPlan sheet = plan_sheet(pictures, largest);
    EXPECT_FALSE(sheet.reduced);
    return std::pair(sheet.columns, sheet.rows);
  };
  EXPECT_EQ(plan(1, {64, 64}), std::pair(1, 1));
  EXPECT_EQ(plan(2, {64, 64}), std::pair(2, 1));
  EXPECT_EQ(plan(5, {64, 64}), std::pair(3, 2));
  EXPECT_EQ(plan(9, {64, 64}), std::pair(3, 3));
  EXPECT_EQ(plan(8, {64, 128}), std::pair(4, 2));
  EXPECT_EQ(plan(8, {128, 64}), std::pair(2, 4));
}

TEST(Sheet, KeepsWithinWhatAPngHolds) {
  for (const int64_t pictures : {2, 40, 1000, 10'000, 1'000'000}) {
    for (const PngSize largest : {PngSize{16384, 6000}, PngSize{512, 512}, PngSize{8, 16384}}) {
      const SheetPlan plan = plan_sheet(pictures, largest);
      EXPECT_LE(plan.size().width, kMostPngSide);
      EXPECT_LE(plan.size().height, kMostPngSide);
      EXPECT_LE(int64_t{plan.size().width} * plan.size().height, kMostPngPixels);
      EXPECT_GE(int64_t{plan.columns} * plan.rows, pictures);
      EXPECT_LT(int64_t{plan.columns} * (plan.rows - 1), pictures);
    }
  }
  EXPECT_TRUE(plan_sheet(1000, {512, 512}).reduced);
  EXPECT_THROW(plan_sheet(400'000'000, {64, 64}), Error);
}

std::vector<std::byte> sheet_of(const std::vector<Picture>& pictures, PngSize largest) {
  std::vector<std::byte> file;
  const auto count = static_cast<int64_t>(pictures.size());
  ContactSheet sheet(plan_sheet(count, largest), count, [&](std::span<const std::byte> bytes) {
    file.insert(file.end(), bytes.begin(), bytes.end());
  });
  for (const Picture& picture : pictures) {
    if (picture.width == 0) {
      sheet.add_blank();
    } else {
      sheet.add(picture);
    }
  }
  return file;
}

TEST(Sheet, CentresPicturesInTheirCells) {
  // Cells of 3 x 3: a full one, one of 1 x 1 in the middle, a blank one.
  const auto file = sheet_of({plain(3, 3, 10), plain(1, 1, 20), {}}, {3, 3});
  const PngContents contents = read_png(file, "sheet");
  EXPECT_EQ(contents.picture.width, 6);
  EXPECT_EQ(contents.picture.height, 6);
  std::vector<int> wanted;
  for (int y = 0; y < 6; ++y) {
    for (int x = 0; x < 6; ++x) wanted.push_back(y < 3 && x < 3 ? 10 : (y == 1 && x == 4 ? 20 : 255));
  }
  EXPECT_EQ(contents.picture.pixels, grey(6, 6, wanted).pixels);
  EXPECT_TRUE(is_contact_sheet(contents.texts));
}

TEST(Sheet, HasNoKeyOfAJob) {
  const auto file = sheet_of({plain(3, 3, 10)}, {3, 3});
  EXPECT_EQ(recipe_key(read_png_texts(file, "sheet")), "");
}

/// A sheet of 96 million pixels would be 288 MB.
TEST(Sheet, IsNotHeld) {
  rusage before{};
  ::getrusage(RUSAGE_SELF, &before);
  const Picture one = plain(96, 100, 7);
  size_t bytes = 0;
  const SheetPlan plan = plan_sheet(10'000, {96, 100});
  ContactSheet sheet(plan, 10'000, [&](std::span<const std::byte> part) { bytes += part.size(); });
  for (int i = 0; i < 10'000; ++i) sheet.add(one);
  rusage after{};
  ::getrusage(RUSAGE_SELF, &after);
  EXPECT_GT(bytes, 10'000U);
#ifndef __SANITIZE_ADDRESS__
  EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 40 << 10);  // KiB
#endif
}

TEST(Sheet, AFailureOfTheDiskComesThrough) {
  const auto full = [](std::span<const std::byte>) {
    throw Error(ExitCode::kOutputFailed, "x", "disk full");
  };
  EXPECT_THROW(
      {
        ContactSheet sheet(plan_sheet(1, {512, 512}), 1, full);
        sheet.add(noise(512, 512));
      },
      Error);
}

// --- Directories
// ------------------------------------------------------------------------------------------------

class Directory : public TemporaryDirectory {
 protected:
  void picture(const std::string& name, const std::vector<PngText>& texts = {}) const {
    fs::create_directories((directory_ / name).parent_path());
    write_file_atomically(directory_ / name, encode_png(noise(20, 10), texts));
  }

  std::vector<std::string> listed(Depth depth = Depth::kOwnFiles) const {
    std::vector<std::string> names;
    for (const ListedPicture& one : list_pictures(directory_, depth)) names.push_back(one.file.string());
    return names;
  }

  std::string page(GalleryTally& tally) {
    std::string text;
    const GallerySettings settings{.directory = directory_,
                                   .page_directory = directory_,
                                   .depth = Depth::kRecursive,
                                   .note = [this](const std::string& line) { notes_ += line + "\n"; },
                                   .stop_requested = [] { return false; }};
    tally = write_gallery(settings, [&](std::span<const std::byte> bytes) {
      text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    });
    return text;
  }

  std::string notes_;
};

using Names = std::vector<std::string>;

TEST_F(Directory, ListsByNameAndBelowOnlyWhereAsked) {
  for (const char* name : {"b.png", "a.PNG", "c.jpg", ".hidden.png", "sub/z.png", "sub/deeper/y.png"})
    picture(name);
  EXPECT_EQ(listed(), (Names{"a.PNG", "b.png"}));
  EXPECT_EQ(listed(Depth::kRecursive), (Names{"a.PNG", "b.png", "sub/z.png", "sub/deeper/y.png"}));
  fs::create_directory_symlink(directory_, directory_ / "round");
  EXPECT_EQ(listed(Depth::kRecursive).size(), 4U);
}

TEST_F(Directory, ListsByTheJournalsIndexWhereThereIsOne) {
  for (const char* name : {"a.png", "b.png", "c.png", "0.png"}) picture(name);
  {
    batch::Journal journal(directory_);
    int index = 3;
    for (const char* name : {"a.png", "b.png", "c.png"}) {
      batch::JournalRecord record;
      record.key.bytes[0] = static_cast<uint8_t>(index);
      record.file = name;
      record.sha256 = std::string(64, '0');
      record.index = index--;
      journal.append(record);
    }
  }
  std::ofstream(directory_ / "brume-journal.jsonl", std::ios::app) << "rubbish\n"
                                                                   << std::string(3 << 20, 'x');
  EXPECT_EQ(listed(), (Names{"c.png", "b.png", "a.png", "0.png"}));
}

TEST_F(Directory, DamagedPicturesAreNotedAndContactSheetsLeftOut) {
  picture("a.png");
  picture("b.png");
  write_file_atomically(directory_ / "grid.png", sheet_of({plain(3, 3, 1)}, {3, 3}));
  std::ofstream(directory_ / "b.png", std::ios::in | std::ios::out).seekp(60).put('x');
  std::ofstream(directory_ / "c.png") << "no picture";
  GalleryTally tally;
  const std::string text = page(tally);
  EXPECT_EQ(tally.shown, 1);
  EXPECT_EQ(tally.failed, 2);
  EXPECT_NE(notes_.find("b.png"), std::string::npos) << notes_;
  EXPECT_NE(notes_.find("c.png"), std::string::npos) << notes_;
  EXPECT_NE(text.find("./a.png"), std::string::npos);
  EXPECT_EQ(text.find("grid.png"), std::string::npos);
}

TEST_F(Directory, MemoryDoesNotGrowWithTheNumberOfPictures) {
  picture("first.png");
  size_t bytes = 0;
  const GallerySettings settings{directory_, directory_, Depth::kOwnFiles, [](const std::string&) {},
                                 [] { return false; }};
  const auto write = [&] {
    return write_gallery(settings, [&](std::span<const std::byte> part) { bytes += part.size(); });
  };
  write();  // the codecs and their tables are in memory from here on
  for (int i = 0; i < 2000; ++i)
    fs::create_hard_link(directory_ / "first.png", directory_ / ("p" + std::to_string(i) + ".png"));
  rusage before{};
  ::getrusage(RUSAGE_SELF, &before);
  const GalleryTally tally = write();
  rusage after{};
  ::getrusage(RUSAGE_SELF, &after);
  EXPECT_EQ(tally.shown, 2001);
  EXPECT_GT(bytes, 2U << 20);
#ifndef __SANITIZE_ADDRESS__
  EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 2 << 10);  // KiB
#endif
}

TEST_F(Directory, OnlyASheetOfOursIsReplaced) {
  const fs::path file = directory_ / "grid.png";
  EXPECT_NO_THROW(check_replaceable(file));
  write_file_atomically(file, sheet_of({plain(3, 3, 1)}, {3, 3}));
  EXPECT_NO_THROW(check_replaceable(file));
  picture("grid.png");
  EXPECT_THROW(check_replaceable(file), Error);
  std::ofstream(file) << "x";
  EXPECT_THROW(check_replaceable(file), Error);
}

TEST_F(Directory, AStreamThatIsGivenUpLeavesTheOldFile) {
  const fs::path file = directory_ / "page";
  std::ofstream(file) << "old";
  const auto some = std::as_bytes(std::span("new", 3));
  EXPECT_FALSE(write_stream_atomically(file, [&](const ByteSink& sink) {
    sink(some);
    return false;
  }));
  EXPECT_EQ(read_text_file(file, 10, ExitCode::kInputInvalid), "old");
  EXPECT_TRUE(write_stream_atomically(file, [&](const ByteSink& sink) {
    sink(some);
    sink(some);
    return true;
  }));
  EXPECT_EQ(read_text_file(file, 10, ExitCode::kInputInvalid), "newnew");
  EXPECT_EQ(std::distance(fs::directory_iterator(directory_), fs::directory_iterator()), 1);
}

}  // namespace
}  // namespace brume::gallery
