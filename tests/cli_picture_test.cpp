#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <string>

#include "cli_fixture.h"

// Pictures that are drawn from pictures, as a user asks for them.
namespace brume::testing {
namespace {

namespace fs = std::filesystem;

class PictureCommands : public CommandLine {
 protected:
  void SetUp() override {
    CommandLine::SetUp();
    fs::copy(model("pictures/reading"), directory_ / "in", fs::copy_options::recursive);  // 40 x 24
  }
  /// Without a size of their own.
  Outcome draw(const Words& more, const Words& words = {"generate"}) const {
    Words all = words;
    const Words common{"-m", model("sd1").string(), "-p", "a fox", "--steps", "4"};
    all.insert(all.end(), common.begin(), common.end());
    all.insert(all.end(), more.begin(), more.end());
    return brume(all);
  }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(directory_ / name, std::ios::binary) << text;
  }
};

TEST_F(PictureCommands, HaveThePicturesOwnSizeOrTheOneThatIsSaid) {
  struct Row {
    Words words;
    int width;
    int height;
    bool noted;
  };
  for (const Row& row : {Row{{}, 40, 24, false}, Row{{"-W", "80"}, 80, 48, true},
                         Row{{"-H", "16"}, 24, 16, true}, Row{{"-W", "32", "-H", "32"}, 32, 32, true}}) {
    Words words{"-i", "in/plain.png", "-o", "x.png"};
    words.insert(words.end(), row.words.begin(), row.words.end());
    const Outcome outcome = draw(words);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_EQ(recipe_of("x.png")["width"], row.width);
    EXPECT_EQ(recipe_of("x.png")["height"], row.height);
    EXPECT_EQ(outcome.err.find("--init-img is 40x24, and resized") != std::string::npos, row.noted)
        << outcome.err;
  }
  EXPECT_EQ(draw({"-i", "in/turn_6.jpg", "-o", "turned.png"}).code, 0);
  EXPECT_EQ(recipe_of("turned.png")["width"], 24);
}

/// A photograph takes long to decode.
TEST_F(PictureCommands, AreReadOnceToBeLookedAtAndOnceForTheirPixels) {
  const auto times_opened = [&](const std::string& file, const Words& words) {
    const int watch = ::inotify_init1(IN_NONBLOCK);
    EXPECT_GE(::inotify_add_watch(watch, (directory_ / file).c_str(), IN_OPEN | IN_CLOSE), 0);
    const Outcome outcome = draw(words);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    int64_t times = 0;
    // Those that follow their like are not told apart, but between two of them there is an end.
    for (inotify_event event{}; ::read(watch, &event, sizeof event) == sizeof event;)
      times += (event.mask & IN_OPEN) != 0 ? 1 : 0;
    ::close(watch);
    return times;
  };
  fs::copy(directory_ / "in/plain.png", directory_ / "mask.png");
  const Words words{"-i", "in/plain.jpg", "--mask", "mask.png", "-b", "3", "-o", "x_%d.png"};
  EXPECT_EQ(times_opened("in/plain.jpg", words), 2);
  EXPECT_EQ(times_opened("mask.png", words), 2);
}

TEST_F(PictureCommands, KeepWhatTheyWereDrawnFromInTheirRecipe) {
  const Outcome outcome = draw({"-i", "in/plain.jpg", "--strength", "0.5", "-o", "x.png", "--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(nlohmann::json::parse(outcome.out)["steps_taken"], 2);
  const nlohmann::json recipe = recipe_of("x.png");
  EXPECT_EQ(recipe["init_img"], "plain.jpg");
  EXPECT_EQ(recipe["init_img_hash"].get<std::string>().size(), 64U);
  EXPECT_EQ(recipe["strength"], 0.5);
  EXPECT_EQ(recipe["steps"], 4);
  EXPECT_NE(brume({"inspect", "x.png"}).out.find("strength"), std::string::npos);
  EXPECT_EQ(draw({"-W", "40", "-H", "24", "-o", "words.png"}).code, 0);
  EXPECT_FALSE(recipe_of("words.png").contains("strength"));
}

TEST_F(PictureCommands, SayWhatIsWrongInOneLine) {
  write("text.png", "no picture");
  write("empty.png", "");
  write("cut.png", bytes_of("in/plain.png").substr(0, 200));
  write("cut.jpg", bytes_of("in/plain.jpg").substr(0, 700));
  std::string huge = bytes_of("in/plain.jpg");
  const size_t frame = huge.find("\xFF\xC0");
  huge.replace(frame + 5, 4, std::string("\x40\x00\x17\x00", 4));  // 5888 x 16384 pixels
  write("huge.jpg", huge);
  struct Row {
    Words words;
    int code;
    Words parts;
  };
  for (const Row& row :
       {Row{{"-i", "none.png"}, 4, {"--init-img", "none.png"}}, Row{{"-i", "in"}, 4, {"--init-img", "in"}},
        Row{{"-i", "text.png"}, 4, {"--init-img: text.png", "neither a PNG nor a JPEG"}},
        Row{{"-i", "empty.png"}, 4, {"empty.png", "neither"}},
        Row{{"-i", "cut.png"}, 4, {"cut.png", "ends early"}},
        Row{{"-i", "cut.jpg"}, 4, {"cut.jpg", "not a JPEG brume can read"}},
        Row{{"-i", "huge.jpg"}, 4, {"huge.jpg", "too short for 5888 x 16384"}},
        Row{{"-i", ""}, 2, {"--init-img", "is empty"}},
        Row{{"--strength", "0.5"}, 2, {"--strength", "no picture to change", "--init-img"}},
        Row{{"-i", "in/plain.png", "--strength", "1.5"}, 2, {"--strength", "from 0 to 1"}},
        Row{{"-i", "in/plain.png", "--strength", "0.2"}, 2, {"--strength 0.2", "none of 4 steps"}},
        Row{{"-i", "in/plain.png", "-W", "41"}, 2, {"--width 41", "not a multiple"}},
        Row{{"-i", "in/plain.png", "--init-latents", "l"}, 2, {"--init-latents", "--init-img"}}}) {
    Words words = row.words;
    words.insert(words.end(), {"-o", "x.png"});
    expect_error(draw(words), row.code, row.parts);
  }
  expect_error(draw({"-i", "in/plain.png", "-o", "in/plain.png"}), 2, {"is the same file as"});
  EXPECT_FALSE(fs::exists(directory_ / "x.png"));
}

TEST_F(PictureCommands, AreMixedWithOthersInABatch) {
  write(
      "jobs",
      R"({"prompt": "a fox", "seed": 7, "init_img": ["in/plain.png", "in/plain.jpg"], "strength": [0.5, 0.75]}
{"prompt": "a fox", "seed": 7, "width": 40, "height": 24}
a fox --init_img in/plain.png --t 0.5 --d 7
{"prompt": "a fox", "init_img": "in/none.png"}
{"prompt": "a fox", "strength": 0.5}
)");
  const Words batch{"batch",   "jobs", "-o",     "out",    "-m", model("sd1").string(),
                    "--steps", "4",    "--name", "{index}"};
  fs::create_directory(directory_ / "out");
  const Outcome outcome = brume(batch);
  EXPECT_EQ(outcome.code, 1) << outcome.err;
  EXPECT_NE(outcome.err.find("in/none.png"), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find("no picture to change"), std::string::npos) << outcome.err;
  EXPECT_EQ(recipe_of("out/1.png")["strength"], 0.5);
  EXPECT_EQ(recipe_of("out/4.png")["init_img"], "plain.jpg");
  EXPECT_FALSE(recipe_of("out/5.png").contains("init_img"));
  // The sixth is the first once more.
  EXPECT_FALSE(fs::exists(directory_ / "out" / "6.png"));
  // What a picture is drawn from is a part of its key: other contents are another picture.
  fs::copy_file(directory_ / "in/fine.jpg", directory_ / "in/plain.jpg",
                fs::copy_options::overwrite_existing);
  const Outcome again = brume(batch);
  EXPECT_NE(again.err.find("2 pictures drawn"), std::string::npos) << again.err;
  // Workers read the pictures themselves.
  Words workers = batch;
  workers.insert(workers.end(), {"--devices", "cpu:2", "--deterministic"});
  workers[3] = "out2";
  fs::create_directory(directory_ / "out2");
  EXPECT_EQ(brume(workers).code, 1);
  EXPECT_TRUE(fs::exists(directory_ / "out2" / "4.png"));
}

TEST_F(PictureCommands, ThatAreDamagedFailTheirOwnJobsBeforeTheModelIsLoaded) {
  write("cut.png", bytes_of("in/plain.png").substr(0, 200));
  write("cut.jpg", bytes_of("in/plain.jpg").substr(0, 700));
  const std::string damaged = R"({"prompt": "a fox", "init_img": "cut.png"}
{"prompt": "an owl", "init_img": "in/plain.png", "mask": "cut.jpg"}
)";
  fs::create_directory(directory_ / "out");
  const auto batch = [&](const std::string& jobs, const Words& more) {
    write("jobs", jobs);
    Words words{"batch", "jobs", "-o", "out", "-m", model("sd1").string(), "--steps", "4", "-v"};
    words.insert(words.end(), more.begin(), more.end());
    return brume(words);
  };
  for (const Words& more : {Words{}, Words{"--devices", "cpu:2"}, Words{"--plan"}}) {
    const Outcome alone = batch(damaged, more);
    EXPECT_EQ(alone.code, 1) << alone.err;
    EXPECT_NE(alone.err.find("cut.png: is not a whole PNG"), std::string::npos) << alone.err;
    EXPECT_NE(alone.err.find("cut.jpg: is not a JPEG brume can read"), std::string::npos) << alone.err;
    EXPECT_EQ(alone.err.find("loading"), std::string::npos) << alone.err;
  }
  const Outcome mixed = batch("a hen\n" + damaged + "a cat\n", {"--name", "{index}"});
  EXPECT_EQ(mixed.code, 1) << mixed.err;
  EXPECT_NE(mixed.err.find("loading"), std::string::npos) << mixed.err;
  EXPECT_TRUE(fs::exists(directory_ / "out/1.png"));
  EXPECT_TRUE(fs::exists(directory_ / "out/4.png"));
  const std::string failed = bytes_of("out/failed.jsonl");
  EXPECT_EQ(std::count(failed.begin(), failed.end(), '\n'), 2) << failed;
  EXPECT_NE(failed.find("cut.png: is not a whole PNG"), std::string::npos) << failed;
}

TEST_F(PictureCommands, GiveTheirPictureToEveryJobOfABatch) {
  write("jobs", "a fox --d 7\na hen --d 8\n");
  fs::create_directory(directory_ / "out");
  const Outcome outcome = brume({"batch", "jobs", "-o", "out", "-m", model("sd1").string(), "--steps", "4",
                                 "-i", "in/plain.png", "--strength", "0.5", "--name", "{index}"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(recipe_of("out/2.png")["init_img"], "plain.png");
}

TEST_F(PictureCommands, AreLeftOutByJobsThatSaySo) {
  fs::copy_file(directory_ / "in/grey.jpg", directory_ / "in/mask.jpg");
  write("jobs", R"({"prompt": "a fox", "seed": 7, "init_img": "", "freeu": "", "width": 40, "height": 24}
a hen --d 8
{"prompt": "an owl", "mask": ""}
)");
  fs::create_directory(directory_ / "out");
  const Outcome outcome = brume({"batch", "jobs", "-o", "out", "-m", model("sd1").string(), "--steps", "4",
                                 "-i", "in/plain.png", "--mask", "in/mask.jpg", "--strength", "0.5",
                                 "--freeu", "1.3,1.4,0.9,0.2", "--name", "{index}"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_FALSE(recipe_of("out/1.png").contains("init_img"));
  EXPECT_FALSE(recipe_of("out/1.png").contains("strength"));
  EXPECT_FALSE(recipe_of("out/1.png").contains("freeu"));
  EXPECT_TRUE(recipe_of("out/2.png").contains("init_img"));
  EXPECT_TRUE(recipe_of("out/2.png").contains("freeu"));
  EXPECT_TRUE(recipe_of("out/2.png").contains("mask"));
  EXPECT_TRUE(recipe_of("out/3.png").contains("init_img"));
  EXPECT_FALSE(recipe_of("out/3.png").contains("mask"));
}

}  // namespace
}  // namespace brume::testing
