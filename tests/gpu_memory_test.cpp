#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <regex>
#include <string>
#include <vector>

#include "brume/base/error.h"
#include "brume/batch/runner.h"
#include "message_of.h"
#include "short_of_memory.h"

// What becomes of pictures when a GPU's memory is short: what is given back, what is done in parts, and the
// one line at the end of that.
namespace brume::testing {
namespace {

TEST_F(ShortOfMemory, ALargePictureIsDecodedByTiles) {
  const auto pipeline = open();
  const auto gpu = gpu_;
  const Request whole = request(*pipeline, 3 * kTile, 3 * kTile);
  const at::Tensor latents = drawn(*pipeline, whole).latents;
  const PictureResult wanted = pipeline->decode(tiled(whole), latents);
  EXPECT_EQ(wanted.notes, kNoNotes);
  const int64_t enough = between(
      &MemorySupply::largest, [&](const Pipeline& fresh) { fresh.decode(tiled(whole), latents); },
      [&](const Pipeline& fresh) { fresh.decode(whole, latents); });
  PictureResult made;
  {
    const MemorySupply supply({.bytes_at_once = enough});
    made = pipeline->decode(whole, latents);
  }
  EXPECT_EQ(made.notes, kTiled);
  EXPECT_EQ(made.picture->pixels, wanted.picture->pixels);
  EXPECT_EQ(gpu->count("give back"), 2);
  EXPECT_EQ(gpu->graphs(), 1);  // it did not have to go
  made = pipeline->decode(whole, latents);
  EXPECT_EQ(made.notes, kNoNotes);
  EXPECT_NE(made.picture->pixels, wanted.picture->pixels);
}

TEST_F(ShortOfMemory, ALargePictureIsReadByTiles) {
  const auto pipeline = open();
  PictureSettings settings;
  settings.init_img = reference_path("pictures") / "img2img_sd1_ddim" / "init.png";
  settings.strength = 1;
  const Request whole = request(*pipeline, 3 * kTile, 3 * kTile, settings);
  const PictureInputs wanted = pipeline->picture_inputs(tiled(whole));
  const int64_t enough = between(
      &MemorySupply::largest, [&](const Pipeline& fresh) { fresh.picture_inputs(tiled(whole)); },
      [&](const Pipeline& fresh) { fresh.picture_inputs(whole); });
  PictureInputs made;
  {
    const MemorySupply supply({.bytes_at_once = enough});
    made = pipeline->picture_inputs(whole);
  }
  EXPECT_EQ(made.notes, kTiled);
  EXPECT_TRUE(made.picture->mean.equal(wanted.picture->mean));
  EXPECT_EQ(pipeline->picture_inputs(whole).notes, kNoNotes);
  // The note is that of the picture, too.
  const at::Tensor latents = drawn(*pipeline, whole).latents;
  EXPECT_EQ(pipeline->decode(whole, latents, made).notes, kTiled);
}

void expect_line(const std::string& line, const std::string& what, const std::string& remedy) {
  const std::regex pattern("--width, --height: " + what +
                           " needs about \\d+\\.\\d GiB of memory, \\d+\\.\\d GiB are free; " + remedy);
  EXPECT_TRUE(std::regex_match(line, pattern)) << line;
}

TEST_F(ShortOfMemory, APictureThatCannotBeDecodedIsOneLine) {
  const auto pipeline = open();
  for (const int64_t side : {3 * kTile, kTile / 2}) {
    const Request whole = request(*pipeline, side, side);
    const at::Tensor latents = drawn(*pipeline, whole).latents;
    const MemorySupply supply({.bytes = 0});
    for (const Request& one : {whole, tiled(whole)}) {
      expect_line(message_of([&] { pipeline->decode(one, latents); }, ExitCode::kOutOfMemory), "decoding",
                  "use a smaller size or --device cpu");
      EXPECT_EQ(gpu_->graphs(), 0);
    }
  }
}

TEST_F(ShortOfMemory, ARowThatDoesNotFitIsOneLine) {
  const auto pipeline = open();
  const Request large = request(*pipeline, 10 * kTile, 10 * kTile);
  const int64_t enough = between(
      &MemorySupply::largest,
      [&](const Pipeline& fresh) {
        Observer unseen;
        fresh.words(large, unseen);
      },
      [&](const Pipeline& fresh) { by_rows(fresh, large, 1); });
  const MemorySupply supply({.bytes_at_once = enough});
  expect_line(message_of([&] { drawn(*pipeline, large); }, ExitCode::kOutOfMemory), "a step of one row",
              "use a smaller size, --dtype fp16 or --device cpu");
  EXPECT_EQ(drawn(*pipeline, request(*pipeline, 24, 24)).pictures.front().notes, kStreamed);
}

TEST_F(ShortOfMemory, WhatCannotFitIsRefusedBeforeItIsTried) {
  const auto pipeline = open();
  Request large = request(*pipeline, 512, 512);
  const ModelConfig& model = pipeline->model();
  const double least =
      std::max(model.row_bytes(64, 64, at::kFloat), model.decode_bytes(tiled(large), at::kFloat));
  large.seeds = {1, 2, 3, 4};
  // Not the four rows, nor the whole decoding: these can be done in parts.
  EXPECT_NO_THROW(model.check_least_memory(large, at::kFloat, 1.01 * least));
  const auto refused = [&] { model.check_least_memory(large, at::kFloat, 0.99 * least); };
  expect_line(message_of(refused, ExitCode::kOutOfMemory), "(a step of one row|decoding by tiles)",
              "use a smaller size or --device cpu");
}

TEST_F(ShortOfMemory, ABatchGoesInPartsAndSaysSo) {
  const auto pipeline = open();
  PictureSettings settings;
  settings.cfg_scale = 5;
  settings.steps = 3;
  Request half = request(*pipeline, 64, 64, settings);
  Request batch = half;
  half.seeds = {1, 2};
  batch.seeds = {1, 2, 3, 4};
  const Generation wanted = drawn(*pipeline, batch);
  const int64_t enough = between(
      &MemorySupply::peak, [&](const Pipeline& fresh) { drawn(fresh, half); },
      [&](const Pipeline& fresh) { drawn(fresh, batch); });
  const auto fresh = open();
  const MemorySupply supply({.bytes = enough});
  const Generation made = drawn(*fresh, batch);
  expect_close(made.latents, wanted.latents, "latents", 1e-5);
  for (const PictureResult& picture : made.pictures) EXPECT_EQ(picture.notes, kInParts);
}

TEST_F(ShortOfMemory, RowsThatGoInPartsSaySo) {
  const auto pipeline = open();
  PictureSettings settings;
  settings.steps = 4;
  const Request one = request(*pipeline, 64, 64, settings);
  const auto wanted = by_rows(*pipeline, one, 3);
  const int64_t enough = between(
      &MemorySupply::peak, [&](const Pipeline& fresh) { by_rows(fresh, one, 2); },
      [&](const Pipeline& fresh) { by_rows(fresh, one, 3); });
  const auto fresh = open();
  const MemorySupply supply({.bytes = enough});
  const auto made = by_rows(*fresh, one, 3);
  ASSERT_EQ(made.size(), wanted.size());
  for (const auto& [ticket, row] : made) {
    expect_close(row.latents, wanted.at(ticket).latents, "latents", 1e-5);
    EXPECT_EQ(row.notes, kInParts);
    EXPECT_EQ(wanted.at(ticket).notes, kNoNotes);
  }
}

/// The notes of three pictures by a batch's runner.
std::vector<Notes> notes_of_run(const Pipeline& pipeline, const Request& request,
                                const MemoryLimits& limits) {
  std::vector<Notes> notes;
  const MemorySupply supply(limits);
  batch::Runner runner(
      pipeline, {},
      [&, next = uint64_t{0}]() mutable -> std::optional<batch::Work> {
        if (next == 3) return {};
        return batch::Work{next++, request};
      },
      [&](const batch::Made& made) {
        EXPECT_EQ(made.failure, "");
        notes.push_back(made.result.notes);
      },
      [] { return false; });
  runner.run();
  return notes;
}

TEST_F(ShortOfMemory, ABatchRunHandsTheNotesOn) {
  const auto pipeline = open();
  const Request plain = request(*pipeline, kTile, kTile);
  Request guided = plain;
  guided.guidance.scale = 5;
  const int64_t enough = between(
      &MemorySupply::peak, [&](const Pipeline& fresh) { by_rows(fresh, plain, 1); },
      [&](const Pipeline& fresh) { by_rows(fresh, guided, 1); });
  EXPECT_EQ(notes_of_run(*open(), guided, {.bytes = enough}), std::vector<Notes>(3, kInParts));

  const Request large = request(*pipeline, 3 * kTile, 3 * kTile);
  const int64_t piece = between(
      &MemorySupply::largest, [&](const Pipeline& fresh) { drawn(fresh, tiled(large)); },
      [&](const Pipeline& fresh) { drawn(fresh, large); });
  EXPECT_EQ(notes_of_run(*open(), large, {.bytes_at_once = piece}), std::vector<Notes>(3, kTiled));
}

}  // namespace
}  // namespace brume::testing
