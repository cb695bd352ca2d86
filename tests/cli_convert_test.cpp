#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "brume/base/digest.h"
#include "brume/image/png.h"
#include "brume/weights/safetensors.h"
#include "cli_fixture.h"
#include "single_file_case.h"

namespace brume::testing {
namespace {

namespace fs = std::filesystem;

using Metadata = std::map<std::string, std::string>;

/// brume convert, and what is drawn with its results.
class ConvertCommand : public CommandLine {
 protected:
  Outcome convert(const fs::path& from, const std::string& to, const Words& more = {}) const {
    Words words{"convert", from.string(), to};
    words.insert(words.end(), more.begin(), more.end());
    return brume(words);
  }
  void pack(const fs::path& from, const std::string& to, const Words& more = {}) const {
    const Outcome outcome = convert(from, to, more);
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_EQ(outcome.out, to + "\n");
  }
  /// The pixels and the latents of a picture.
  std::pair<std::vector<uint8_t>, std::string> drawn(const fs::path& with, const Words& more = {}) const {
    Words words{"-o", "x.png", "--save-latents", "x.safetensors"};
    words.insert(words.end(), more.begin(), more.end());
    const Outcome outcome = brume(generate_words(words, with));
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    const std::string png = bytes_of("x.png");
    return {decode_png(std::as_bytes(std::span(png)), "x.png").pixels, bytes_of("x.safetensors")};
  }
  nlohmann::json inspected(const std::string& file) const {
    const Outcome outcome = brume({"inspect", "--json", file});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return nlohmann::json::parse(outcome.out)["files"][0];
  }
  fs::path one_file(const std::string& family) const {
    const fs::path file = directory_ / (family + "-original.safetensors");
    SingleFileCase(family).write(file);
    return file;
  }
  fs::path packed() const { return directory_ / "packed.safetensors"; }
  /// Packs the sd1 model, with its metadata changed.
  void pack_edited(const std::function<void(Metadata&)>& edit) const {
    pack(model("sd1"), "whole.safetensors", {"--force"});
    const SafetensorsFile whole(directory_ / "whole.safetensors");
    Metadata metadata = whole.header().metadata;
    edit(metadata);
    std::vector<std::vector<std::byte>> data;
    std::vector<TensorToWrite> tensors;
    data.reserve(whole.header().tensors.size());
    tensors.reserve(whole.header().tensors.size());
    for (const StoredTensor& tensor : whole.header().tensors) {
      data.emplace_back(tensor.end - tensor.begin);
      whole.read(tensor, data.back());
      tensors.push_back({tensor.name, tensor.dtype, tensor.shape, data.back()});
    }
    write_safetensors(packed(), std::move(tensors), metadata);
  }
};

TEST_F(ConvertCommand, DrawsTheSamePicture) {
  for (const char* family : {"sd1", "sd2", "sdxl"}) {
    SCOPED_TRACE(family);
    for (const fs::path& source : {model(family), one_file(family)}) {
      pack(source, "packed.safetensors", {"--force"});
      EXPECT_EQ(drawn(packed()), drawn(source));
    }
  }
}

TEST_F(ConvertCommand, NeedsNothingButItself) {
  fs::create_directory(directory_ / "models");
  fs::copy(model("sdxl"), directory_ / "models/sdxl", fs::copy_options::recursive);
  std::ofstream(directory_ / "models/sdxl/brume.json")
      << R"({"guidance_scale": 2.5, "num_inference_steps": 3, "width": 48, "height": 32})";
  pack("models/sdxl", "packed.safetensors");
  const auto before = drawn("models/sdxl");
  fs::remove_all(directory_ / "models");
  EXPECT_EQ(drawn(packed()), before);
  ASSERT_EQ(brume({"generate", "-m", "packed.safetensors", "-p", "a fox", "-o", "x.png"}).code, 0);
  const nlohmann::json recipe = recipe_of("x.png");
  EXPECT_EQ(recipe["model"], "packed");
  EXPECT_EQ(recipe["cfg_scale"], 2.5);
  EXPECT_EQ(recipe["steps"], 3);
  EXPECT_EQ(recipe["width"], 48);
}

TEST_F(ConvertCommand, CastsDrawAsTheSourceDoesInThatType) {
  for (const std::string dtype : {"fp16", "bf16", "fp32"}) {
    SCOPED_TRACE(dtype);
    pack(model("sdxl"), "packed.safetensors", {"--dtype", dtype, "--force"});
    EXPECT_EQ(drawn(packed(), {"--dtype", dtype}), drawn(model("sdxl"), {"--dtype", dtype}));
  }
  // An autoencoder that its author says fp16 overflows stays as it is, and another does not.
  const auto types = [&](const std::string& start) {
    Words found;
    const nlohmann::json file = inspected("packed.safetensors");
    for (const auto& tensor : file["tensors"]) {
      if (tensor["name"].get<std::string>().starts_with(start)) found.push_back(tensor["dtype"]);
    }
    std::sort(found.begin(), found.end());
    found.erase(std::unique(found.begin(), found.end()), found.end());
    return found;
  };
  const fs::path copy = copy_of("sd1");
  pack(copy, "packed.safetensors", {"--dtype", "fp16", "--force"});
  EXPECT_EQ(types("unet."), Words{"F16"});
  EXPECT_EQ(types("text_encoder."), Words{"F16"});
  EXPECT_EQ(types("vae."), Words{"F32"});
  edit_json(copy / "vae/config.json", [](nlohmann::json& values) { values["force_upcast"] = false; });
  pack(copy, "packed.safetensors", {"--dtype", "fp16", "--force"});
  EXPECT_EQ(types("vae."), Words{"F16"});
  EXPECT_EQ(drawn(packed(), {"--dtype", "fp16"}), drawn(copy, {"--dtype", "fp16"}));
}

TEST_F(ConvertCommand, MergesAdapters) {
  const fs::path ink = directory_ / "ink.safetensors";
  fs::copy_file(fs::path(BRUME_TEST_DATA) / "reference/adapters/sd1_kohya/adapter_0.safetensors", ink);
  const std::string lora = ink.string() + ":0.8";
  pack(model("sd1"), "packed.safetensors", {"--lora", lora, "--dtype", "fp32"});
  EXPECT_EQ(drawn(packed()), drawn(model("sd1"), {"--lora", lora}));
  EXPECT_NE(drawn(packed()), drawn(model("sd1")));
  const nlohmann::json adapter = inspected("packed.safetensors")["packed"]["adapters"][0];
  EXPECT_EQ(adapter["name"], "ink");
  EXPECT_EQ(adapter["strength"], "0.8");
  EXPECT_EQ(adapter["sha256"], hex_digits(sha256_of_file(ink, ExitCode::kModelInvalid)));
  // In another type they are rounded once, as they are when that type is drawn in.
  const Outcome rounded =
      convert(model("sd1"), "packed.safetensors", {"--lora", lora, "--dtype", "bf16", "--force"});
  EXPECT_NE(rounded.err.find("note: merged weights are rounded to bf16"), std::string::npos) << rounded.err;
  EXPECT_EQ(drawn(packed(), {"--dtype", "bf16"}), drawn(model("sd1"), {"--lora", lora, "--dtype", "bf16"}));
}

TEST_F(ConvertCommand, TakesInWhatIsSaidOfTheModel) {
  const fs::path vae = one_file("sd1");
  pack(model("sd1"), "packed.safetensors", {"--vae", vae.string(), "--prediction", "v"});
  EXPECT_EQ(drawn(packed()), drawn(model("sd1"), {"--vae", vae.string(), "--prediction", "v"}));
  EXPECT_EQ(inspected("packed.safetensors")["packed"]["prediction"], "v_prediction");
  // And it can be said of the result, or its autoencoder taken from it.
  EXPECT_EQ(drawn(packed(), {"--prediction", "epsilon"}), drawn(model("sd1"), {"--vae", vae.string()}));
  EXPECT_EQ(drawn(model("sd1"), {"--vae", packed().string()}), drawn(model("sd1"), {"--vae", vae.string()}));
}

TEST_F(ConvertCommand, TheSameCommandGivesTheSameBytes) {
  pack(model("sd1"), "a.safetensors", {"--dtype", "bf16"});
  pack(model("sd1"), "b.safetensors", {"--dtype", "bf16"});
  EXPECT_EQ(bytes_of("a.safetensors"), bytes_of("b.safetensors"));
  // A packed model is a model: packed again it is the same but for where it comes from.
  pack("a.safetensors", "c.safetensors");
  EXPECT_EQ(drawn("c.safetensors"), drawn("a.safetensors"));
}

TEST_F(ConvertCommand, NothingIsReplacedUnasked) {
  std::ofstream(directory_ / "packed.safetensors") << "mine";
  expect_error(convert(model("sd1"), "packed.safetensors"), 5,
               {"packed.safetensors: is there already", "--force"});
  EXPECT_EQ(bytes_of("packed.safetensors"), "mine");
  pack(model("sd1"), "packed.safetensors", {"--force"});
  // Nor onto itself, by whatever name.
  const std::string before = bytes_of("packed.safetensors");
  fs::create_symlink("packed.safetensors", directory_ / "link.safetensors");
  for (const char* name : {"packed.safetensors", "link.safetensors"}) {
    expect_error(convert("packed.safetensors", name, {"--force", "--dtype", "fp32"}), 2,
                 {name, "is the model that would be converted"});
  }
  EXPECT_EQ(bytes_of("packed.safetensors"), before);
}

TEST_F(ConvertCommand, AFullDiskLeavesNothing) {
  const Outcome limited = run({.arguments = {"convert", model("sd1").string(), "packed.safetensors"},
                               .directory = directory_,
                               .file_limit = 100'000});
  expect_error(limited, 5, {"packed.safetensors: cannot write: File too large", "ulimit -f"});
  EXPECT_EQ(names(), Words{});
  fs::create_symlink("/dev/full", directory_ / "full.safetensors");
  expect_error(convert(model("sd1"), "full.safetensors", {"--force"}), 5,
               {"full.safetensors: cannot write: No space left on device"});
  EXPECT_EQ(names(), Words{"full.safetensors"});
  expect_error(convert(model("sd1"), "missing/x.safetensors"), 5, {"missing"});
  expect_error(convert(model("sd1"), "."), 5, {"."});
}

TEST_F(ConvertCommand, WrongWordsAreTold) {
  expect_error(convert(model("sd1"), "-"), 2, {"name a file"});
  expect_error(convert(model("sd1"), "x.safetensors", {"--dtype", "int8"}), 2, {"--dtype", "fp16"});
  expect_error(convert(model("sd1"), "x.safetensors", {"--prediction", "noise"}), 2, {"--prediction"});
  expect_error(brume({"convert", model("sd1").string()}), 2, {"output"});
  expect_error(convert("missing", "x.safetensors"), 3, {"missing"});
  expect_error(convert(model("sd1"), "x.safetensors", {"--lora", "no.safetensors"}), 3, {"no.safetensors"});
  EXPECT_EQ(names(), Words{});
}

TEST_F(ConvertCommand, ValuesThatFp16DoesNotHoldAreTold) {
  const fs::path copy = copy_of("sd1");
  edit_weights(copy / "unet/diffusion_pytorch_model.safetensors",
               [](EditedTensors& all) { all.at("conv_out.bias").values.at(0) = 70'000; });
  expect_error(convert(copy, "x.safetensors", {"--dtype", "fp16"}), 3,
               {"unet.conv_out.bias", "fp16", "--dtype bf16"});
  EXPECT_EQ(names(), Words{"models"});
  EXPECT_EQ(convert(copy, "x.safetensors", {"--dtype", "bf16"}).code, 0);
}

/// What would not be drawn with is told before anything is written.
TEST_F(ConvertCommand, AModelThatIsNotWholeIsRefused) {
  const fs::path copy = copy_of("sd1");
  const fs::path unet = copy / "unet/diffusion_pytorch_model.safetensors";
  const std::string whole = bytes_of(unet.string());
  edit_weights(unet, [](EditedTensors& all) { all.erase("conv_out.weight"); });
  expect_error(convert(copy, "x.safetensors"), 3, {"conv_out.weight", "is missing"});
  std::ofstream(unet, std::ios::binary) << whole;
  edit_weights(unet, [](EditedTensors& all) { all.at("conv_out.bias").shape = {2, 2}; });
  expect_error(convert(copy, "x.safetensors"), 3, {"conv_out.bias", "[2, 2]"});
  std::ofstream(unet, std::ios::binary) << whole;
  EXPECT_EQ(names(), Words{"models"});
  edit_weights(unet, [](EditedTensors& all) {
    all.at("conv_out.bias").values.at(0) = std::numeric_limits<float>::quiet_NaN();
  });
  const Outcome outcome = convert(copy, "x.safetensors");
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.err.find("1 tensor holds values that are not finite"), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find("unet.conv_out.bias"), std::string::npos) << outcome.err;
}

TEST_F(ConvertCommand, SaysWhatItWrote) {
  const Outcome outcome = convert(model("sdxl"), "packed.safetensors", {"--json", "--dtype", "fp16"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const nlohmann::json report = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(report["path"], "packed.safetensors");
  EXPECT_EQ(report["family"], "Stable Diffusion XL");
  EXPECT_EQ(report["dtype"], "fp16");
  EXPECT_EQ(report["vae_dtype"], "keep");
  EXPECT_GT(report["tensors"].get<int>(), 100);
  const nlohmann::json packed = inspected("packed.safetensors")["packed"];
  EXPECT_EQ(packed["model"], "sdxl");
  const fs::path vae = model("sdxl") / "vae/diffusion_pytorch_model.safetensors";
  const auto source = std::find_if(packed["sources"].begin(), packed["sources"].end(), [](const auto& one) {
    return one["file"] == "vae/diffusion_pytorch_model.safetensors";
  });
  ASSERT_TRUE(source != packed["sources"].end());
  EXPECT_EQ((*source)["sha256"], hex_digits(sha256_of_file(vae, ExitCode::kModelInvalid)));
  const Outcome text = brume({"inspect", "packed.safetensors"});
  EXPECT_NE(
      text.out.find("  = Stable Diffusion XL packed by brume 0.1.0 from sdxl, fp16, autoencoder as stored\n"),
      std::string::npos)
      << text.out.substr(0, 2000);
  EXPECT_EQ(inspected((model("sd1") / "vae/diffusion_pytorch_model.safetensors").string())["packed"],
            nullptr);
}

TEST_F(ConvertCommand, WhatAPackedModelWasMadeOfIsKept) {
  const fs::path lora = fs::path(BRUME_TEST_DATA) / "reference/adapters/sd1_kohya/adapter_0.safetensors";
  pack(model("sd1"), "first.safetensors", {"--lora", lora.string() + ":0.5", "--prediction", "v"});
  pack(directory_ / "first.safetensors", "second.safetensors", {"--dtype", "fp16"});
  const nlohmann::json first = inspected("first.safetensors")["packed"];
  const nlohmann::json second = inspected("second.safetensors")["packed"];
  EXPECT_EQ(second["model"], "sd1");
  EXPECT_EQ(second["dtype"], "fp16");
  EXPECT_EQ(second["prediction"], "v_prediction");
  EXPECT_EQ(second["adapters"], first["adapters"]);
  ASSERT_EQ(second["sources"].size(), first["sources"].size() + 1);
  EXPECT_TRUE(std::equal(first["sources"].begin(), first["sources"].end(), second["sources"].begin()));
  EXPECT_EQ(second["sources"].back()["file"], "packed model");
}

TEST_F(ConvertCommand, ServesTheOtherCommands) {
  for (const char* family : {"sd2", "sdxl"}) {
    for (const fs::path& source : {model(family), one_file(family)}) {
      pack(source, "packed.safetensors", {"--force"});
      const Words words{"tokenize", "A (tall:1.2) lighthouse!", "-m"};
      const auto tokens = [&](const fs::path& of) {
        Words all = words;
        all.push_back(of.string());
        return brume(all).out;
      };
      EXPECT_EQ(tokens("packed.safetensors"), tokens(source));
    }
  }
  std::ofstream(directory_ / "jobs.txt") << "a fox\nan owl\n";
  fs::create_directory(directory_ / "out");
  const Words batch{"batch", "jobs.txt", "-o",      "out", "-m",    "packed.safetensors", "-W", "64",
                    "-H",    "64",       "--steps", "2",   "--json"};
  const Outcome outcome = brume(batch);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(nlohmann::json::parse(outcome.out)["drawn"], 2);
  EXPECT_EQ(nlohmann::json::parse(brume(batch).out)["drawn"], 0);
  const Outcome bench = brume({"bench", "-m", "packed.safetensors", "--steps", "1", "-W", "64", "-H", "64",
                               "--max-rounds", "1", "--warm-up", "0", "--json"});
  ASSERT_EQ(bench.code, 0) << bench.err;
  EXPECT_EQ(nlohmann::json::parse(bench.out)["arch"], "packed");
}

TEST_F(ConvertCommand, HostileFilesAreOneLine) {
  const std::string origin = "brume.packed";
  const std::string huge(size_t{2} << 20, ' ');
  const auto json_edit = [](Metadata& all, const std::string& name, const std::string& key,
                            const nlohmann::json& value) {
    nlohmann::json values = nlohmann::json::parse(all.at(name));
    values[key] = value;
    all[name] = values.dump();
  };
  struct Row {
    std::function<void(Metadata&)> edit;
    Words told;
  };
  const std::vector<Row> rows{
      {[&](Metadata& all) { all[origin] = "{"; }, {origin, "JSON"}},
      {[&](Metadata& all) { all[origin] = "[]"; }, {origin, "not a JSON object"}},
      {[&](Metadata& all) { all[origin] = "{}"; }, {origin, "version"}},
      {[&](Metadata& all) { all[origin] = std::string(100'000, '['); }, {origin}},
      {[&](Metadata& all) { all[origin] = huge; }, {origin, "more than the limit"}},
      {[&](Metadata& all) { json_edit(all, origin, "version", 2); }, {origin, "version 2", "newer brume"}},
      {[&](Metadata& all) { json_edit(all, origin, "sources", "x"); }, {origin, "sources"}},
      {[&](Metadata& all) { json_edit(all, origin, "sources", nlohmann::json{1}); }, {origin, "file"}},
      {[&](Metadata& all) { all.erase("unet/config.json"); }, {"lacks unet/config.json"}},
      {[&](Metadata& all) { all.erase("model_index.json"); }, {"lacks model_index.json"}},
      {[&](Metadata& all) { all["model_index.json"] = R"({"_class_name": "FluxPipeline"})"; },
       {"model_index.json", "FluxPipeline"}},
      {[&](Metadata& all) { all["brume.json"] = R"({"num_inference_steps": -1})"; },
       {"brume.json", "num_inference_steps"}},
      {[&](Metadata& all) { all["unet/config.json"] = "not json"; }, {"unet/config.json"}},
      {[&](Metadata& all) { all["vae/config.json"] = huge; }, {"vae/config.json", "more than the limit"}},
      {[&](Metadata& all) {
         json_edit(all, "unet/config.json", "block_out_channels", {1'000'000'000, 1'000'000'000});
       },
       {"unet"}},
      {[&](Metadata& all) {
         json_edit(all, "unet/config.json", "block_out_channels", {64, 128});
       },
       {"has shape"}},
      {[&](Metadata& all) { json_edit(all, "vae/config.json", "latent_channels", 8); }, {"channels"}},
      {[&](Metadata& all) { json_edit(all, "text_encoder/config.json", "hidden_size", 2'000'000'000); },
       {"text_encoder"}},
      {[&](Metadata& all) { json_edit(all, "text_encoder/config.json", "vocab_size", 7); }, {"text_encoder"}},
      {[&](Metadata& all) { json_edit(all, "scheduler/scheduler_config.json", "prediction_type", "flow"); },
       {"scheduler/scheduler_config.json", "flow"}},
      {[&](Metadata& all) { all["tokenizer/vocab.json"] = R"({"a": 7})"; }, {"tokenizer/vocab.json"}},
      {[&](Metadata& all) { all["tokenizer/vocab.json"] = "\x01\x02"; }, {"tokenizer/vocab.json"}},
      {[&](Metadata& all) { all["tokenizer/merges.txt"] = "\x1b[2J x\n"; },
       {"tokenizer/merges.txt: line 1", "\\x1b[2J"}},
      {[&](Metadata& all) {
         for (const char* name : {"tokenizer.json", "vocab.json"})
           all.erase(std::string("tokenizer/") + name);
       },
       {"tokenizer", "neither tokenizer.json nor vocab.json is here"}},
  };
  for (size_t i = 0; i < rows.size(); ++i) {
    SCOPED_TRACE(i);
    pack_edited(rows[i].edit);
    Words told{"packed.safetensors"};
    told.insert(told.end(), rows[i].told.begin(), rows[i].told.end());
    expect_error(brume(generate_words({"-o", "x.png"}, packed())), 3, told);
    const Outcome inspected = brume({"inspect", packed().string()});
    if (inspected.code != 0) expect_error(inspected, 3, {"packed.safetensors", origin});
  }
}

TEST_F(ConvertCommand, AFileWithoutItsTensorsIsOneLine) {
  pack(model("sd1"), "whole.safetensors");
  const Metadata metadata = SafetensorsFile(directory_ / "whole.safetensors").header().metadata;
  const std::vector<float> one{0.5};
  write_safetensors(packed(), {{"unet.conv_in.bias", StoredType::kF32, {1}, std::as_bytes(std::span(one))}},
                    metadata);
  expect_error(brume(generate_words({"-o", "x.png"}, packed())), 3, {"packed.safetensors", "holds no"});
  // What is stored as no real number can neither be packed nor drawn with.
  const std::vector<int64_t> whole{1};
  write_safetensors(packed(),
                    {{"unet.conv_in.bias", StoredType::kI64, {1}, std::as_bytes(std::span(whole))},
                     {"vae.x", StoredType::kF32, {1}, std::as_bytes(std::span(one))},
                     {"text_encoder.x", StoredType::kF32, {1}, std::as_bytes(std::span(one))}},
                    metadata);
  expect_error(convert(packed(), "x.safetensors"), 3, {"conv_in.bias", "stored as I64"});
}

}  // namespace
}  // namespace brume::testing
