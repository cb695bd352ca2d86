#include <fstream>
#include <functional>
#include <span>
#include <string>

#include "brume/image/png.h"
#include "cli_fixture.h"
#include "own_unet.h"

// Parts of pictures that are drawn anew, and pictures that are told what to become, as a user asks for them.
namespace brume::testing {
namespace {

namespace fs = std::filesystem;

constexpr int kWidth = 40;
constexpr int kHeight = 24;

class InpaintingCommands : public CommandLine {
 protected:
  void SetUp() override {
    CommandLine::SetUp();
    fs::copy(model("pictures/reading"), directory_ / "in", fs::copy_options::recursive);  // 40 x 24
    write_mask("right.png", {kWidth, kHeight}, [](int x, int) { return x >= kWidth / 2; });
  }

  void write(const std::string& name, const std::string& text) const {
    std::ofstream(directory_ / name, std::ios::binary) << text;
  }
  void write_mask(const std::string& name, PngSize size,
                  const std::function<bool(int x, int y)>& white) const {
    Picture mask{size.width, size.height, {}};
    for (int y = 0; y < size.height; ++y) {
      for (int x = 0; x < size.width; ++x) mask.pixels.insert(mask.pixels.end(), 3, white(x, y) ? 255 : 0);
    }
    const std::vector<std::byte> bytes = encode_png(mask, {});
    write(name, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }
  /// A model whose UNet reads more than latents.
  std::string own_unet(const std::string& name) const {
    return own_unet_model(directory_ / name, name).string();
  }

  Outcome draw(const std::string& from, const Words& more) const {
    Words words{"generate", "-m", from, "-p", "a fox", "--steps", "4", "-s", "7", "-o", "x.png"};
    words.insert(words.end(), more.begin(), more.end());
    return brume(words);
  }
  Outcome draw(const Words& more) const { return draw(model("sd1").string(), more); }
  std::vector<uint8_t> drawn(const std::string& from, const Words& more) const {
    const Outcome outcome = draw(from, more);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return pixels("x.png");
  }

  Outcome batch(const std::string& from, const std::string& to, const Words& more) const {
    fs::create_directories(directory_ / to);
    Words words{"batch", "jobs", "-o", to, "-m", from, "--steps", "4", "--name", "{index}"};
    words.insert(words.end(), more.begin(), more.end());
    return brume(words);
  }
};

/// The columns from `first` up to `end` of pixels 40 wide.
std::vector<uint8_t> columns(const std::vector<uint8_t>& pixels, size_t first, size_t end) {
  constexpr size_t kRow = size_t{3} * kWidth;
  std::vector<uint8_t> kept;
  for (size_t row = 0; row < pixels.size(); row += kRow) {
    const auto begin = pixels.begin() + static_cast<std::ptrdiff_t>(row);
    kept.insert(kept.end(), begin + static_cast<std::ptrdiff_t>(3 * first),
                begin + static_cast<std::ptrdiff_t>(3 * end));
  }
  return kept;
}

TEST_F(InpaintingCommands, ChangeNothingOutsideOfTheMask) {
  const std::vector<uint8_t> own = pixels("in/plain.png");
  for (const std::string& from : {model("sd1").string(), own_unet("inpaint_sd1")}) {
    SCOPED_TRACE(from);
    const auto anew = drawn(from, {"-i", "in/plain.png", "--mask", "right.png"});
    EXPECT_EQ(columns(anew, 0, 20), columns(own, 0, 20));
    EXPECT_NE(columns(anew, 20, 40), columns(own, 20, 40));
    EXPECT_NE(drawn(from, {"-i", "in/plain.png", "--mask", "right.png", "--strength", "0.5"}), anew);
    EXPECT_EQ(drawn(from, {"-i", "in/plain.png", "--mask", "right.png", "--strength", "1"}), anew);
  }
  write_mask("none.png", {kWidth, kHeight}, [](int, int) { return false; });
  EXPECT_EQ(drawn(model("sd1").string(), {"-i", "in/plain.png", "--mask", "none.png"}), own);
}

TEST_F(InpaintingCommands, DrawTheSameWithAPackedModel) {
  for (const char* name : {"inpaint_sd1", "pix2pix_sd1"}) {
    const std::string from = own_unet(name);
    const std::string packed = std::string(name) + ".safetensors";
    const Outcome outcome = brume({"convert", from, packed});
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    Words words{"-i", "in/plain.png"};
    if (from.find("inpaint") != std::string::npos) words.insert(words.end(), {"--mask", "right.png"});
    EXPECT_EQ(drawn(packed, words), drawn(from, words));
  }
}

TEST_F(InpaintingCommands, TakeMasksOfAnySize) {
  const Words common{"-i", "in/plain.png", "--mask"};
  const auto with = [&](const Words& more) {
    Words words = common;
    words.insert(words.end(), more.begin(), more.end());
    return draw(words);
  };
  ASSERT_EQ(with({"right.png"}).code, 0);
  const auto anew = pixels("x.png");
  write_mask("small.png", {4, 3}, [](int x, int) { return x >= 2; });
  const Outcome small = with({"small.png"});
  ASSERT_EQ(small.code, 0) << small.err;
  EXPECT_NE(small.err.find("--mask is 4x3, and resized to 40x24"), std::string::npos) << small.err;
  EXPECT_EQ(pixels("x.png"), anew);  // white from the middle of what is between black and white
  const Outcome large = with({"right.png", "-W", "80", "-H", "48"});
  EXPECT_NE(large.err.find("--mask is 40x24, and resized to 80x48"), std::string::npos) << large.err;
  EXPECT_EQ(recipe_of("x.png")["width"], 80);
}

TEST_F(InpaintingCommands, KeepTheMaskInTheirRecipe) {
  const Outcome outcome = draw({"-i", "in/plain.png", "--mask", "right.png", "--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const nlohmann::json report = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(report["steps_taken"], 4);  // all of them, unless somebody says otherwise
  EXPECT_EQ(report["mask"], "right.png");
  const nlohmann::json recipe = recipe_of("x.png");
  EXPECT_EQ(recipe["mask"], "right.png");
  EXPECT_EQ(recipe["mask_hash"].get<std::string>().size(), 64U);
  EXPECT_EQ(recipe["strength"], 1);
  EXPECT_NE(infotext_of("x.png").find("Mask image: right.png, Mask image hash: "), std::string::npos);
  ASSERT_EQ(draw({"-i", "in/plain.png"}).code, 0);
  EXPECT_FALSE(recipe_of("x.png").contains("mask"));
  EXPECT_EQ(recipe_of("x.png")["strength"], 0.75);
}

TEST_F(InpaintingCommands, SayWhereAMaskLeavesAllOrNothing) {
  constexpr const char* kBlack = "note: --mask is black everywhere: nothing of --init-img is drawn anew";
  constexpr const char* kWhite = "note: --mask is white everywhere: all of --init-img is drawn anew";
  write_mask("black.png", {kWidth, kHeight}, [](int, int) { return false; });
  write_mask("white.png", {kWidth, kHeight}, [](int, int) { return true; });
  struct Row {
    std::string mask;
    size_t black;
    size_t white;
    nlohmann::json notes;
  };
  const auto count = [](const std::string& text, const std::string& line) {
    size_t found = 0;
    for (size_t at = text.find(line); at != std::string::npos; at = text.find(line, at + 1)) ++found;
    return found;
  };
  for (const std::string& from : {model("sd1").string(), own_unet("inpaint_sd1")}) {
    for (const Row& row : {Row{"black.png", 1, 0, {"mask black"}}, Row{"white.png", 0, 1, {"mask white"}},
                           Row{"right.png", 0, 0, nlohmann::json::array()}}) {
      const Outcome outcome = draw(from, {"-i", "in/plain.png", "--mask", row.mask, "-b", "2"});
      ASSERT_EQ(outcome.code, 0) << outcome.err;
      EXPECT_EQ(count(outcome.err, kBlack), row.black) << outcome.err;
      EXPECT_EQ(count(outcome.err, kWhite), row.white) << outcome.err;
      EXPECT_EQ(recipe_of("x_2.png")["notes"], row.notes);
    }
  }
  write("jobs", R"({"prompt": "a fox", "init_img": "in/plain.png", "mask": ["black.png", "right.png"]})"
                "\n");
  const Outcome outcome = batch(model("sd1").string(), "out", {});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(recipe_of("out/1.png")["notes"], (nlohmann::json{"mask black"}));
  EXPECT_EQ(recipe_of("out/2.png")["notes"], nlohmann::json::array());
}

/// The model could not be loaded: what is told first is wrong with the pictures.
TEST_F(InpaintingCommands, AreReadBeforeTheModelIsLoaded) {
  const fs::path from = copy_of("sd1");
  fs::remove(from / "unet/diffusion_pytorch_model.safetensors");
  expect_error(draw(from, {"-i", "in/plain.png", "--mask", "right.png"}), 3, {"no weights found"});
  write("cut.png", bytes_of("in/plain.png").substr(0, 200));
  expect_error(draw(from, {"-i", "in/plain.png", "--mask", "cut.png"}), 4, {"cut.png", "ends early"});
  expect_error(draw(from, {"-i", "cut.png"}), 4, {"cut.png", "ends early"});
  expect_error(draw(from, {"-i", "in/plain.png", "--mask", "none.png"}), 4, {"--mask", "none.png"});
  expect_error(draw(from, {"--init-latents", "none.safetensors"}), 4, {"none.safetensors"});
  expect_error(draw(from, {"-i", "in/plain.png", "-W", "41"}), 2, {"--width 41", "not a multiple"});
}

TEST_F(InpaintingCommands, SayWhatIsWrongInOneLine) {
  write("text.png", "no picture");
  write("cut.png", bytes_of("in/plain.png").substr(0, 200));
  struct Row {
    Words words;
    int code;
    Words parts;
  };
  for (const Row& row :
       {Row{{"--mask", "right.png"}, 2, {"--mask", "no picture to change", "--init-img"}},
        Row{{"-i", "in/plain.png", "--mask", "none.png"}, 4, {"--mask", "none.png"}},
        Row{{"-i", "in/plain.png", "--mask", "text.png"}, 4, {"--mask: text.png", "neither a PNG nor"}},
        Row{{"-i", "in/plain.png", "--mask", "cut.png"}, 4, {"cut.png", "ends early"}},
        Row{{"-i", "in/plain.png", "--mask", ""}, 2, {"--mask", "is empty"}},
        Row{{"--image-cfg-scale", "2"}, 2, {"--image-cfg-scale", "sees no picture", "instruct-pix2pix"}},
        Row{{"--image-cfg-scale", "0.5"}, 2, {"--image-cfg-scale", "from 1 to 1000"}}})
    expect_error(draw(row.words), row.code, row.parts);
  expect_error(brume({"generate", "-m", model("sd1").string(), "-p", "a fox", "-i", "in/plain.png", "--mask",
                      "right.png", "-o", "right.png"}),
               2, {"is the same file as"});
  const std::string inpaint = own_unet("inpaint_sd1");
  expect_error(draw(inpaint, {}), 2, {"--mask", "needs both", "--init-img"});
  expect_error(draw(inpaint, {"-i", "in/plain.png"}), 2, {"--mask", "needs both"});
  expect_error(brume({"bench", "-m", inpaint}), 2, {"-m " + inpaint, "from words alone"});
  const std::string edit = own_unet("pix2pix_sd1");
  const Words picture{"-i", "in/plain.png"};
  expect_error(draw(edit, {}), 2, {"--init-img", "changes a picture as the prompt says"});
  for (const Words& more : {Words{"--strength", "0.5"}, Words{"--mask", "right.png"},
                            Words{"--pag-scale", "3"}, Words{"--mimic-scale", "7"}}) {
    Words words = picture;
    words.insert(words.end(), more.begin(), more.end());
    expect_error(draw(edit, words), 2, {more.front(), "leave it out"});
  }
  EXPECT_FALSE(fs::exists(directory_ / "x.png"));
  edit_json(fs::path(edit) / "model_index.json",
            [](nlohmann::json& index) { index["is_cosxl_edit"] = true; });
  expect_error(draw(edit, picture), 3, {"model_index.json", "is_cosxl_edit"});
}

TEST_F(InpaintingCommands, FollowInstructionsAndThePicture) {
  const std::string edit = own_unet("pix2pix_sd1");
  const auto usual = drawn(edit, {"-i", "in/plain.png"});
  const nlohmann::json recipe = recipe_of("x.png");
  EXPECT_EQ(recipe["image_cfg_scale"], 1.5);
  EXPECT_EQ(recipe["init_img"], "plain.png");
  EXPECT_EQ(recipe["width"], kWidth);
  EXPECT_FALSE(recipe.contains("strength"));
  EXPECT_NE(infotext_of("x.png").find("Image CFG scale: 1.5"), std::string::npos);
  EXPECT_EQ(drawn(edit, {"-i", "in/plain.png", "--image-guidance-scale", "1.5"}), usual);
  EXPECT_NE(drawn(edit, {"-i", "in/plain.png", "--image-cfg-scale", "3"}), usual);
  EXPECT_NE(drawn(edit, {"-i", "in/grey.jpg"}), usual);
  EXPECT_NE(drawn(edit, {"-i", "in/plain.png", "--vae-tiling", "--freeu", "1.3,1.4,0.9,0.2"}), usual);
  const std::string useless = "note: without guidance --image-cfg-scale does nothing";
  const Outcome guided = draw(edit, {"-i", "in/plain.png", "--image-cfg-scale", "3"});
  EXPECT_EQ(guided.err.find(useless), std::string::npos) << guided.err;
  Outcome unguided = draw(edit, {"-i", "in/plain.png", "--cfg-scale", "1"});
  EXPECT_EQ(unguided.err.find(useless), std::string::npos) << unguided.err;
  EXPECT_FALSE(recipe_of("x.png").contains("image_cfg_scale"));
  const std::vector<uint8_t> without = pixels("x.png");
  unguided = draw(edit, {"-i", "in/plain.png", "--cfg-scale", "1", "--image-cfg-scale", "3"});
  EXPECT_NE(unguided.err.find(useless), std::string::npos) << unguided.err;
  EXPECT_EQ(pixels("x.png"), without);
}

TEST_F(InpaintingCommands, AreMixedWithOthersInABatch) {
  write_mask("left.png", {kWidth, kHeight}, [](int x, int) { return x < kWidth / 2; });
  write("jobs",
        R"({"prompt": "a fox", "seed": 7, "init_img": "in/plain.png", "mask": ["right.png", "left.png"]}
{"prompt": "a fox", "seed": 7, "init_img": "in/plain.png", "strength": 0.5, "sampler": "heun"}
a hen --init_img in/plain.png --mask_image right.png --t 0.5 --d 8
{"prompt": "a fox", "seed": 7, "width": 40, "height": 24}
{"prompt": "a fox", "mask": "right.png"}
)");
  const std::string from = model("sd1").string();
  const Outcome outcome = batch(from, "out", {"--deterministic"});
  EXPECT_EQ(outcome.code, 1) << outcome.err;
  EXPECT_NE(outcome.err.find("no picture to change"), std::string::npos) << outcome.err;
  EXPECT_EQ(pixels("out/1.png"), drawn(from, {"-i", "in/plain.png", "--mask", "right.png"}));
  EXPECT_EQ(pixels("out/2.png"), drawn(from, {"-i", "in/plain.png", "--mask", "left.png"}));
  EXPECT_EQ(columns(pixels("out/4.png"), 0, 20), columns(pixels("in/plain.png"), 0, 20));
  EXPECT_EQ(recipe_of("out/4.png")["mask"], "right.png");
  EXPECT_FALSE(recipe_of("out/3.png").contains("mask"));
  // Workers read the masks themselves.
  EXPECT_EQ(batch(from, "out2", {"--deterministic", "--devices", "cpu:2"}).code, 1);
  for (const char* name : {"1.png", "2.png", "3.png", "4.png", "5.png"})
    EXPECT_EQ(bytes_of(std::string("out2/") + name), bytes_of(std::string("out/") + name)) << name;
  // What a mask holds is a part of the key: another one is another picture.
  write_mask("right.png", {kWidth, kHeight}, [](int x, int) { return x >= 30; });
  const Outcome again = batch(from, "out", {"--deterministic"});
  EXPECT_NE(again.err.find("2 pictures drawn"), std::string::npos) << again.err;
}

TEST_F(InpaintingCommands, OfUNetsThatSeeMoreShareCalls) {
  write("jobs", R"({"prompt": "a fox", "seed": 7, "init_img": "in/plain.png", "image_cfg_scale": [1, 1.5, 3]}
{"prompt": "a hen", "seed": 8, "init_img": "in/grey.jpg", "sampler": "heun", "cfg_scale": 1}
a fox
)");
  const std::string edit = own_unet("pix2pix_sd1");
  const Outcome told = batch(edit, "out", {"--deterministic"});
  EXPECT_EQ(told.code, 1) << told.err;
  EXPECT_NE(told.err.find("changes a picture as the prompt says"), std::string::npos) << told.err;
  EXPECT_EQ(pixels("out/3.png"), drawn(edit, {"-i", "in/plain.png", "--image-cfg-scale", "3"}));
  EXPECT_EQ(batch(edit, "together", {"--batch-size", "4"}).code, 1);
  EXPECT_EQ(recipe_of("together/4.png")["init_img"], "grey.jpg");
  EXPECT_EQ(batch(edit, "planned", {"--plan"}).code, 1);
  // The command line's picture is for all jobs, and its mask for those with a picture of their own too.
  write("jobs", "a fox --d 7\n{\"prompt\": \"a hen\", \"seed\": 7, \"init_img\": \"in/grey.jpg\"}\n");
  const std::string inpaint = own_unet("inpaint_sd1");
  const Outcome anew =
      batch(inpaint, "anew", {"-i", "in/plain.png", "--mask", "right.png", "--deterministic"});
  EXPECT_EQ(anew.code, 0) << anew.err;
  EXPECT_EQ(pixels("anew/1.png"), drawn(inpaint, {"-i", "in/plain.png", "--mask", "right.png"}));
  EXPECT_EQ(columns(pixels("anew/2.png"), 0, 20).size(), columns(pixels("anew/1.png"), 0, 20).size());
  EXPECT_EQ(recipe_of("anew/2.png")["mask"], "right.png");
}

}  // namespace
}  // namespace brume::testing
