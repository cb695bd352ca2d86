#include "brume/batch/job_key.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <set>

#include "brume/base/digest.h"
#include "brume/batch/key_index.h"
#include "brume/batch/key_table.h"
#include "brume/batch/model_digest.h"
#include "brume/batch/occurrences.h"
#include "message_of.h"
#include "temporary_directory.h"

namespace brume::batch {
namespace {

Recipe example() {
  Recipe recipe;
  recipe.prompt = "a red apple";
  recipe.compat = "a1111";
  recipe.width = 512;
  recipe.height = 768;
  recipe.seed = UINT64_MAX;
  recipe.sampling = {
      .sampler = "ddim", .steps = 20, .eta = 0, .cfg_scale = 7.5, .cfg_rescale = 0.7, .clip_skip = 2};
  recipe.engine = {
      .model = "emoji", .model_hash = {}, .dtype = "fp32", .device = "cpu", .version = "brume 1"};
  return recipe;
}

TEST(Digest, KnownValues) {
  const std::string text = "abc";
  EXPECT_EQ(hex_digits(sha256(std::as_bytes(std::span(text)))),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hex_digits(sha256({})), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

// These two notice a change of the canonical form, which makes every finished picture unknown. Such a change
// needs a reason, and a larger kPictureVersion.
TEST(JobKeys, CanonicalFormIsFixed) {
  EXPECT_EQ(
      canonical_job(example(), "0123"),
      "{\"picture_version\":2,\"model_digest\":\"0123\",\"prompt\":\"a red apple\",\"negative_prompt\":null,"
      "\"compat\":\"a1111\",\"width\":512,\"height\":768,\"seed\":18446744073709551615,\"sampler\":\"ddim\","
      "\"steps\":20,"
      "\"eta\":0.0,\"cfg_scale\":7.5,\"cfg_rescale\":0.7,\"clip_skip\":2,\"dtype\":\"fp32\","
      "\"device\":\"cpu\",\"asked_for\":[]}");
}

TEST(JobKeys, ValueIsFixed) {
  EXPECT_EQ(job_key(example(), "0123").hex(), "d2d99679a0a34b1b7eb3f621fa4657b8");
  EXPECT_EQ(JobKey::from_hex("d2d99679a0a34b1b7eb3f621fa4657b8"), job_key(example(), "0123"));
}

TEST(JobKeys, EverythingThatChangesPixelsChangesTheKey) {
  std::set<JobKey> keys{job_key(example(), "0123"), job_key(example(), "0124")};
  const auto add = [&](auto change) {
    Recipe recipe = example();
    change(recipe);
    keys.insert(job_key(recipe, "0123"));
  };
  add([](Recipe& r) { r.prompt += " "; });
  add([](Recipe& r) { r.prompt += "\xff"; });
  add([](Recipe& r) { r.prompt += "\xfe"; });
  add([](Recipe& r) { r.negative_prompt = ""; });
  add([](Recipe& r) { r.negative_prompt = "x"; });
  add([](Recipe& r) { r.compat = "diffusers"; });
  add([](Recipe& r) { r.chosen = ChosenPrompts{"a red apple", {}}; });
  add([](Recipe& r) { r.chosen = ChosenPrompts{"a blue apple", {}}; });
  add([](Recipe& r) { r.chosen = ChosenPrompts{"a red apple", "x"}; });
  add([](Recipe& r) { r.width = 8; });
  add([](Recipe& r) { r.height = 8; });
  add([](Recipe& r) { r.seed = 0; });
  add([](Recipe& r) { r.sampling.sampler = "ddpm"; });
  add([](Recipe& r) { r.sampling.scheduler = "karras"; });
  add([](Recipe& r) { r.sampling.scheduler = "3,1,0"; });
  add([](Recipe& r) { r.sampling.steps = 21; });
  add([](Recipe& r) { r.sampling.eta = 1; });
  add([](Recipe& r) { r.sampling.cfg_scale = 7.500000001; });
  add([](Recipe& r) { r.sampling.cfg_rescale = 0; });
  add([](Recipe& r) { r.sampling.clip_skip = 1; });
  add([](Recipe& r) { r.engine.dtype = "bf16"; });
  add([](Recipe& r) { r.engine.device = "cuda"; });
  add([](Recipe& r) { r.notes = {"vae_tiling"}; });
  add([](Recipe& r) { r.engine.adapters = {{"ink", "1", "ab", "cd"}}; });
  add([](Recipe& r) { r.engine.adapters = {{"ink", "0.5", "ab", "cd"}}; });
  add([](Recipe& r) { r.engine.adapters = {{"ink", "1", "ac", "cd"}}; });
  add([](Recipe& r) { r.engine.adapters = {{"ink", "1", "ab", "cd"}, {"ink", "1", "ac", "cd"}}; });
  add([](Recipe& r) { r.engine.adapters = {{"ink", "1", "ac", "cd"}, {"ink", "1", "ab", "cd"}}; });
  add([](Recipe& r) { r.sampling.options = {{"rng", "RNG", "cuda"}}; });
  add([](Recipe& r) { r.sampling.options = {{"pag_scale", "PAG scale", 3.0}}; });
  add([](Recipe& r) { r.sampling.options = {{"pag_scale", "PAG scale", 2.0}}; });
  add([](Recipe& r) { r.edit = RecipeEdit{{"a.png", "ab"}, 0.5}; });
  add([](Recipe& r) { r.edit = RecipeEdit{{"a.png", "ac"}, 0.5}; });
  add([](Recipe& r) { r.edit = RecipeEdit{{"a.png", "ac"}, 0.6}; });
  add([](Recipe& r) { r.edit = RecipeEdit{{"b.png", "ac"}, 0.6}; });  // a name is none
  add([](Recipe& r) { r.edit = RecipeEdit{{"a.png", "ac"}, {}}; });
  add([](Recipe& r) { r.edit = RecipeEdit{{"a.png", "ac"}, 0.6, RecipePicture{"m.png", "ad"}}; });
  add([](Recipe& r) { r.edit = RecipeEdit{{"a.png", "ac"}, 0.6, RecipePicture{"m.png", "ae"}}; });
  EXPECT_EQ(keys.size(), 39U);
}

TEST(JobKeys, NothingElseDoes) {
  Recipe recipe = example();
  recipe.engine.model = "elsewhere";
  recipe.engine.model_hash = "ab";
  recipe.engine.version = "brume 2";
  recipe.engine.device = "cpu:0";
  recipe.notes = {"vae_fallback fp32", "vae_tiling memory", "smaller_batch memory"};
  recipe.key = "ab";
  recipe.sampling.eta = -0.0;
  EXPECT_EQ(job_key(recipe, "0123"), job_key(example(), "0123"));
}

TEST(JobKeys, OnlyThirtyTwoLowerCaseDigitsAreAKey) {
  EXPECT_FALSE(JobKey::from_hex(""));
  EXPECT_FALSE(JobKey::from_hex(std::string(31, 'a')));
  EXPECT_FALSE(JobKey::from_hex(std::string(33, 'a')));
  EXPECT_FALSE(JobKey::from_hex(std::string(32, 'A')));
  EXPECT_FALSE(JobKey::from_hex(std::string(31, 'a') + "g"));
  EXPECT_EQ(JobKey::from_hex(std::string(32, 'f'))->hex(), std::string(32, 'f'));
}

JobKey key_of(uint64_t number) {
  const std::string text = std::to_string(number);
  const Sha256 digest = sha256(std::as_bytes(std::span(text)));
  JobKey made;
  std::copy_n(digest.begin(), made.bytes.size(), made.bytes.begin());
  return made;
}

template <class Table>
Table filled_table() {
  Table table;
  EXPECT_FALSE(table.find(key_of(1)));
  for (uint64_t i = 0; i < 20'000; ++i) table.set(key_of(i), i << 38);
  for (uint64_t i = 0; i < 20'000; i += 2) table.set(key_of(i), i + 7);
  EXPECT_EQ(table.size(), 20'000U);
  for (uint64_t i = 0; i < 20'000; ++i) EXPECT_EQ(table.find(key_of(i)), i % 2 == 0 ? i + 7 : i << 38);
  EXPECT_FALSE(table.find(key_of(20'000)));
  return table;
}

TEST(KeyTables, HoldWhatTheyWereGiven) {
  const auto table = filled_table<KeyTable>();
  uint64_t count = 0;
  table.each([&](const JobKey&, uint64_t) { ++count; });
  EXPECT_EQ(count, 20'000U);
}

TEST(KeyIndices, HoldWhatTheyWereGiven) { filled_table<KeyIndex>(); }

TEST(KeyIndices, KeysAreToldByTheirFirst50Bits) {
  KeyIndex index;
  const auto key = [](int bit) {
    JobKey made;
    made.bytes.fill(0xff);
    made.bytes[static_cast<size_t>(bit / 8)] ^= static_cast<uint8_t>(0x80 >> bit % 8);
    return made;
  };
  for (int bit = 0; bit < 50; ++bit) index.set(key(bit), static_cast<uint64_t>(bit));
  EXPECT_EQ(index.size(), 50U);
  for (int bit = 0; bit < 50; ++bit) EXPECT_EQ(index.find(key(bit)), bit);
  index.set(key(50), (uint64_t{1} << 54) - 2);  // the largest
  EXPECT_EQ(index.size(), 51U);
  EXPECT_EQ(index.find(key(51)), (uint64_t{1} << 54) - 2);
}

#ifndef __SANITIZE_ADDRESS__
/// KiB of this process that are no file's.
int64_t own_memory() {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("RssAnon:")) return std::stoll(line.substr(8));
  }
  return 0;
}

/// What a batch remembers of each of its jobs, at any moment.
TEST(KeyIndices, AMillionJobsTakeLessThan32MiB) {
  KeyIndex places;
  Occurrences occurrences;
  const int64_t before = own_memory();
  int64_t most = 0;
  for (uint64_t i = 0; i < 1'000'000; ++i) {
    places.set(key_of(i), i);
    occurrences.count("picture number " + std::to_string(i));
    if (i % 4096 == 0) most = std::max(most, own_memory() - before);
  }
  most = std::max(most, own_memory() - before);
  EXPECT_EQ(places.size(), 1'000'000U);
  EXPECT_GT(most, 20 << 10);  // it was measured
  EXPECT_LT(most, 32 << 10);
  std::printf("%lld KiB for a million jobs\n", static_cast<long long>(most));
}
#endif

TEST(KeyTables, KeysWithOneBeginningAreTold) {
  KeyTable table;
  for (int i = 0; i < 200; ++i) {
    JobKey key;
    key.bytes.fill(0xff);
    key.bytes[15] = static_cast<uint8_t>(i);
    table.set(key, static_cast<uint64_t>(i));
  }
  EXPECT_EQ(table.size(), 200U);
}

class ModelDigests : public TemporaryDirectory {
 protected:
  std::filesystem::path file(const std::string& name, const std::string& text) {
    std::filesystem::create_directories((directory_ / name).parent_path());
    std::ofstream(directory_ / name) << text;
    return directory_ / name;
  }
};

TEST_F(ModelDigests, AreOfNamesAndContentsInAnyOrder) {
  const auto a = file("m/unet/x", std::string(3'000'000, 'x'));
  const auto b = file("m/vae/x", "y");
  using Files = std::vector<NamedFile>;
  const std::string digest = model_digest(Files{{"unet/x", a}, {"vae/x", b}});
  EXPECT_EQ(digest, model_digest(Files{{"vae/x", b}, {"unet/x", a}}));
  EXPECT_EQ(digest.size(), 64U);
  EXPECT_NE(digest, model_digest(Files{{"unet/x", a}}));
  EXPECT_NE(digest, model_digest(Files{{"unet/y", a}, {"vae/x", b}}));
  std::filesystem::rename(directory_ / "m", directory_ / "n");
  EXPECT_EQ(digest,
            model_digest(Files{{"unet/x", directory_ / "n/unet/x"}, {"vae/x", directory_ / "n/vae/x"}}));
  file("n/vae/x", "z");
  EXPECT_NE(digest,
            model_digest(Files{{"unet/x", directory_ / "n/unet/x"}, {"vae/x", directory_ / "n/vae/x"}}));
  message_of([&] { model_digest(Files{{"unet/x", a}}); }, ExitCode::kModelInvalid);
}

}  // namespace
}  // namespace brume::batch
