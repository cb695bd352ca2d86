#include <gtest/gtest.h>

#include <chrono>
#include <clocale>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>

#include "brume/base/error.h"
#include "brume/base/escape.h"
#include "brume/image/inspect.h"
#include "brume/image/png.h"
#include "brume/image/recipe.h"
#include "temporary_directory.h"

namespace brume {
namespace {

using Bytes = std::vector<std::byte>;

Picture pattern(int width, int height) {
  Picture picture{width, height, {}};
  uint32_t state = 1;
  for (int i = 0; i < width * height * 3; ++i) {
    state = state * 1664525 + 1013904223;
    picture.pixels.push_back(static_cast<uint8_t>(i / 7 + (state >> 30)));
  }
  return picture;
}

uint32_t crc32(std::span<const std::byte> bytes) {
  uint32_t crc = 0xFFFFFFFF;
  for (std::byte b : bytes) {
    crc ^= static_cast<uint8_t>(b);
    for (int k = 0; k < 8; ++k) crc = crc & 1 ? 0xEDB88320 ^ crc >> 1 : crc >> 1;
  }
  return ~crc;
}

void append(Bytes& out, std::string_view text) {
  for (char c : text) out.push_back(static_cast<std::byte>(c));
}

void append_u32(Bytes& out, uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<std::byte>(value >> shift & 255));
}

uint32_t read_u32(std::span<const std::byte> in) {
  return std::accumulate(in.begin(), in.begin() + 4, uint32_t{0},
                         [](uint32_t sum, std::byte b) { return sum << 8 | static_cast<uint8_t>(b); });
}

Bytes chunk(std::string_view type, std::string_view data) {
  Bytes out;
  append_u32(out, static_cast<uint32_t>(data.size()));
  append(out, type);
  append(out, data);
  append_u32(out, crc32(std::span(out).subspan(4)));
  return out;
}

constexpr size_t kAfterHeader = 8 + 25;  // signature and IHDR

Bytes with_chunk(Bytes file, const Bytes& one, size_t at = kAfterHeader) {
  file.insert(file.begin() + static_cast<ptrdiff_t>(at), one.begin(), one.end());
  return file;
}

/// The data of all chunks of one type, one after the other.
std::string chunk_data(const Bytes& file, std::string_view type) {
  std::string data;
  for (size_t at = 8; at + 12 <= file.size();) {
    const uint32_t length = read_u32(std::span(file).subspan(at));
    const char* start = reinterpret_cast<const char*>(file.data()) + at;
    if (std::string_view(start + 4, 4) == type) data.append(start + 8, length);
    at += 12 + size_t{length};
  }
  return data;
}

/// A PNG file of a header and IDAT made by hand, for the kinds encode_png does not write.
Bytes png_of(std::string_view header, const std::vector<Bytes>& chunks) {
  Bytes file;
  append(file, "\x89PNG\r\n\x1a\n");
  const Bytes first = chunk("IHDR", header);
  file.insert(file.end(), first.begin(), first.end());
  for (const Bytes& one : chunks) file.insert(file.end(), one.begin(), one.end());
  const Bytes last = chunk("IEND", "");
  file.insert(file.end(), last.begin(), last.end());
  return file;
}

/// A zlib stream with one stored block.
std::string stored(std::string_view data) {
  uint32_t a = 1;
  uint32_t b = 0;
  for (char c : data) {
    a = (a + static_cast<uint8_t>(c)) % 65521;
    b = (b + a) % 65521;
  }
  const auto n = static_cast<uint16_t>(data.size());
  std::string out{"\x78\x01\x01", 3};
  for (uint16_t v : {n, static_cast<uint16_t>(~n)}) {
    out += static_cast<char>(v & 255);
    out += static_cast<char>(v >> 8);
  }
  out += data;
  for (uint32_t v : {b, a}) {
    out += static_cast<char>(v >> 8);
    out += static_cast<char>(v & 255);
  }
  return out;
}

template <class Action>
std::string refused(Action action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kInputInvalid) << error.what();
    EXPECT_TRUE(std::string(error.what()).starts_with("bad.png: ")) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "accepted";
  return {};
}

void refused_by_both(const Bytes& file) {
  refused([&] { decode_png(file, "bad.png"); });
  refused([&] { read_png_texts(file, "bad.png"); });
}

Recipe example() {
  Recipe recipe;
  recipe.prompt = "a red apple";
  recipe.width = 512;
  recipe.height = 768;
  recipe.sampling.steps = 20;
  recipe.sampling.cfg_scale = 7;
  recipe.sampling.sampler = "ddim";
  recipe.sampling.sampler_title = "DDIM";
  recipe.seed = 1;
  recipe.engine.model = "emoji";
  recipe.engine.dtype = "fp32";
  recipe.engine.device = "cpu";
  recipe.engine.version = "brume 0.1.0";
  return recipe;
}

TEST(Png, OddSizesComeBackAndBytesAreTheSame) {
  for (auto [width, height] : {std::pair{1, 1}, {3, 7}, {257, 5}, {5, 257}, {64, 64}}) {
    const Picture picture = pattern(width, height);
    const Bytes file = encode_png(picture, {{"parameters", "x"}});
    EXPECT_EQ(file, encode_png(picture, {{"parameters", "x"}}));
    const Picture back = decode_png(file, "x.png");
    EXPECT_EQ(back.width, width);
    EXPECT_EQ(back.height, height);
    EXPECT_EQ(back.pixels, picture.pixels);
    EXPECT_EQ(read_png_size(file, "x.png").height, height);
  }
}

TEST(Png, RefusesPicturesAndTextsItCannotWrite) {
  auto code = [](const Picture& picture, const PngText& text) {
    try {
      encode_png(picture, {text});
    } catch (const Error& error) {
      return error.code();
    }
    return ExitCode::kDone;
  };
  EXPECT_EQ(code({2, 2, {}}, {"a", "b"}), ExitCode::kInputInvalid);
  EXPECT_EQ(code({0, 0, {}}, {"a", "b"}), ExitCode::kInputInvalid);
  EXPECT_EQ(code(pattern(1, 1), {"a", std::string("b\0c", 3)}), ExitCode::kInputInvalid);
  EXPECT_EQ(code(pattern(1, 1), {"a", "\xff"}), ExitCode::kInputInvalid);
  EXPECT_EQ(code(pattern(1, 1), {"", "b"}), ExitCode::kInputInvalid);
  EXPECT_EQ(code(pattern(1, 1), {" a", "b"}), ExitCode::kInputInvalid);
  EXPECT_EQ(code(pattern(1, 1), {std::string(80, 'a'), "b"}), ExitCode::kInputInvalid);
  EXPECT_EQ(code(pattern(1, 1), {"a", ""}), ExitCode::kDone);
}

TEST(Png, TextChunkKinds) {
  const std::vector<PngText> texts{{"parameters", "caf\xc3\xa9\nline"},
                                   {"brume", "\xf0\x9f\x8d\x8e \xe3\x81\x82"},
                                   {"Title", "\xc3\x83\xc2\xa9"},  // Latin-1 bytes that are UTF-8 too
                                   {"Tab", "a\tb\r\nc"}};
  const Bytes file = encode_png(pattern(3, 2), texts);
  EXPECT_EQ(chunk_data(file, "tEXt"), std::string("parameters\0caf\xe9\nline", 20));
  EXPECT_NE(chunk_data(file, "iTXt").find(std::string("brume\0\0\0\0\0\xf0\x9f", 12)), std::string::npos);
  const std::vector<PngText> back = read_png_texts(file, "x.png");
  ASSERT_EQ(back.size(), texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    EXPECT_EQ(back[i].keyword, texts[i].keyword);
    EXPECT_EQ(back[i].text, texts[i].text);
  }
}

TEST(Png, ReadsTextsBehindThePixelsCompressedOnesAndUtf8InPlainChunks) {
  Bytes file = encode_png(pattern(3, 2), {});
  const std::string packed = stored("hello");
  file = with_chunk(file, chunk("zTXt", std::string("a\0\0", 3) + packed));
  file = with_chunk(file, chunk("iTXt", std::string("b\0\1\0\0\0", 6) + packed), file.size() - 12);
  file = with_chunk(file, chunk("tEXt", std::string("c\0\xe3\x81\x82", 5)), file.size() - 12);
  const auto texts = read_png_texts(file, "x.png");
  ASSERT_EQ(texts.size(), 3U);
  EXPECT_EQ(texts[0].text, "hello");
  EXPECT_EQ(texts[1].text, "hello");
  EXPECT_EQ(texts[2].text, "\xe3\x81\x82");
}

TEST(Png, OtherColourTypesBecomeRgb) {
  auto header = [](char depth, char type) {
    return std::string("\0\0\0\1\0\0\0\1", 8) + depth + type + std::string(3, '\0');
  };
  auto pixel = [&](char depth, char type, std::string_view row, std::string_view palette = {}) {
    std::vector<Bytes> chunks;
    if (!palette.empty()) chunks.push_back(chunk("PLTE", palette));
    chunks.push_back(chunk("IDAT", stored(std::string(1, '\0') + std::string(row))));
    return decode_png(png_of(header(depth, type), chunks), "x.png").pixels;
  };
  using Rgb = std::vector<uint8_t>;
  EXPECT_EQ(pixel(8, 0, "\x40"), (Rgb{64, 64, 64}));
  EXPECT_EQ(pixel(1, 0, "\x80"), (Rgb{255, 255, 255}));
  EXPECT_EQ(pixel(16, 0, std::string("\x40\0", 2)), (Rgb{64, 64, 64}));
  EXPECT_EQ(pixel(16, 2, std::string("\x01\0\x02\0\x03\0", 6)), (Rgb{1, 2, 3}));
  EXPECT_EQ(pixel(8, 6, std::string("\x01\x02\x03\0", 4)), (Rgb{1, 2, 3}));
  EXPECT_EQ(pixel(8, 4, "\x05\x06"), (Rgb{5, 5, 5}));
  EXPECT_EQ(pixel(8, 3, "\x01", "aaabcd"), (Rgb{'b', 'c', 'd'}));
}

TEST(HostilePng, CutAnywhere) {
  const Bytes file = encode_png(pattern(5, 4), recipe_texts(example()));
  for (size_t n = 0; n < file.size(); ++n)
    refused_by_both(Bytes(file.begin(), file.begin() + static_cast<ptrdiff_t>(n)));
}

TEST(HostilePng, EveryBitFlippedIsNoticed) {
  const Bytes file = encode_png(pattern(5, 4), recipe_texts(example()));
  for (size_t i = 0; i < file.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      Bytes damaged = file;
      damaged[i] ^= static_cast<std::byte>(1 << bit);
      refused_by_both(damaged);
    }
  }
}

TEST(HostilePng, RandomBytesWithGoodChecksumsNeverCrash) {
  const Bytes file = encode_png(pattern(5, 4), recipe_texts(example()));
  uint32_t state = 7;
  for (int round = 0; round < 4000; ++round) {
    Bytes damaged = file;
    for (int change = 0; change < 3; ++change) {
      state = state * 1664525 + 1013904223;
      damaged[(state >> 8) % file.size()] = static_cast<std::byte>(state >> 24);
    }
    for (size_t at = 8; at + 12 <= damaged.size();) {
      const size_t length = read_u32(std::span(damaged).subspan(at));
      if (length > damaged.size() - at - 12) break;
      Bytes crc;
      append_u32(crc, crc32(std::span(damaged).subspan(at + 4, length + 4)));
      std::copy(crc.begin(), crc.end(), damaged.begin() + static_cast<ptrdiff_t>(at + 8 + length));
      at += 12 + length;
    }
    try {
      decode_png(damaged, "bad.png");
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::kInputInvalid);
    }
    try {
      read_png_texts(damaged, "bad.png");
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::kInputInvalid);
    }
  }
}

TEST(HostilePng, HugeDimensions) {
  const std::string tail("\x08\x02\0\0\0", 5);
  for (const std::string& size :
       {std::string("\0\0\x40\x01\0\0\0\x01", 8), std::string("\x7f\xff\xff\xff\x7f\xff\xff\xff", 8),
        std::string("\0\0\x40\0\0\0\x40\0", 8), std::string("\0\0\x20\0\0\0\x20\0", 8),
        std::string(8, '\0')}) {
    refused_by_both(png_of(size + tail, {chunk("IDAT", stored("x"))}));
  }
  EXPECT_NE(refused([&] {
              decode_png(png_of(std::string("\0\0\x40\0\0\0\x40\0", 8) + tail, {chunk("IDAT", stored("x"))}),
                         "bad.png");
            }).find("100 million"),
            std::string::npos);
}

TEST(HostilePng, TextBombs) {
  const Bytes small = encode_png(pattern(3, 2), {});
  const std::string bomb =
      chunk_data(encode_png({4000, 4000, std::vector<uint8_t>(48'000'000, 0)}, {}), "IDAT");
  EXPECT_LT(bomb.size(), 1'000'000U);
  refused_by_both(with_chunk(small, chunk("zTXt", std::string("a\0\0", 3) + bomb)));
  refused_by_both(with_chunk(small, chunk("iTXt", std::string("a\0\1\0\0\0", 6) + bomb)));
  refused_by_both(with_chunk(small, chunk("iCCP", std::string("a\0\0", 3) + bomb)));
  refused_by_both(with_chunk(small, chunk("tEXt", std::string("a\0", 2) + std::string(17 << 20, 'x'))));
  Bytes many = small;
  for (int i = 0; i < 1001; ++i) many = with_chunk(many, chunk("tEXt", std::string("a\0b", 3)));
  refused_by_both(many);
}

TEST(Infotext, AsA1111WritesIt) {
  Recipe recipe = example();
  EXPECT_EQ(
      infotext(recipe),
      "a red apple\nSteps: 20, Sampler: DDIM, CFG scale: 7, Seed: 1, Size: 512x768, Model: emoji, Version: "
      "brume 0.1.0");
  recipe.prompt = "line one\nline two, with: marks";
  recipe.negative_prompt = "blur, noise";
  recipe.sampling.sampler = "ddpm";
  recipe.sampling.sampler_title = "DDPM";
  recipe.sampling.usual_eta = 1;
  recipe.sampling.cfg_scale = 7.5;
  recipe.sampling.cfg_rescale = 0.7;
  recipe.sampling.eta = 0.1;
  recipe.seed = UINT64_MAX;
  recipe.sampling.clip_skip = 2;
  recipe.engine.model = "a, \"b\": c\nd \xc3\xa9";
  recipe.notes = {"vae_fallback fp32", "init_latents x.safetensors"};
  EXPECT_EQ(infotext(recipe),
            "line one\nline two, with: marks\nNegative prompt: blur, noise\n"
            "Steps: 20, Sampler: DDPM, CFG scale: 7.5, Seed: 18446744073709551615, Size: 512x768, "
            "Model: \"a, \\\"b\\\": c\\nd \xc3\xa9\", Clip skip: 2, Eta: 0.1, CFG Rescale: 0.7, "
            "Notes: vae_fallback fp32; init_latents x.safetensors, Version: brume 0.1.0");
  recipe = example();
  recipe.prompt = std::string("a\0\xff", 3);
  EXPECT_TRUE(infotext(recipe).starts_with("a\xef\xbf\xbd\xef\xbf\xbd\nSteps"));
}

TEST(Infotext, JsonIsExactAndOrdered) {
  Recipe recipe = example();
  recipe.seed = UINT64_MAX;
  recipe.sampling.cfg_scale = 7.1;
  recipe.prompt = "\xff\xf0\x9f\x8d\x8e";
  EXPECT_EQ(
      recipe_json(recipe),
      "{\"prompt\":\"\xef\xbf\xbd\xf0\x9f\x8d\x8e\",\"negative_prompt\":null,\"width\":512,\"height\":768,"
      "\"steps\":20,\"cfg_scale\":7.1,\"cfg_rescale\":0.0,\"sampler\":\"ddim\",\"eta\":0.0,"
      "\"seed\":18446744073709551615,\"clip_skip\":1,\"model\":\"emoji\",\"dtype\":\"fp32\","
      "\"device\":\"cpu\",\"version\":\"brume 0.1.0\",\"notes\":[]}");
}

TEST(Infotext, HoldsWhatWasTypedAndWhatWasChosen) {
  Recipe recipe = example();
  recipe.prompt = "a {red|blue} apple";
  recipe.compat = "a1111";
  recipe.chosen = ChosenPrompts{"a blue apple", {}};
  EXPECT_TRUE(infotext(recipe).starts_with("a blue apple\nSteps: 20"));
  EXPECT_NE(infotext(recipe).find("Model: emoji, Template: a {red|blue} apple, Version"), std::string::npos);
  EXPECT_TRUE(recipe_json(recipe).starts_with(
      "{\"prompt\":\"a {red|blue} apple\",\"negative_prompt\":null,\"chosen_prompt\":\"a blue apple\","
      "\"compat\":\"a1111\",\"width\":512"));
  recipe.negative_prompt = "{x|y}";
  recipe.chosen->negative_prompt = "y";
  recipe.compat = "sdcpp";
  EXPECT_NE(infotext(recipe).find("\nNegative prompt: y\n"), std::string::npos);
  EXPECT_NE(infotext(recipe).find("Compat: sdcpp, Template: a {red|blue} apple, Negative Template: {x|y}"),
            std::string::npos);
  EXPECT_NE(recipe_json(recipe).find("\"chosen_negative_prompt\":\"y\""), std::string::npos);
}

TEST(Infotext, KeyAndModelHashAreWrittenAndReadBack) {
  Recipe recipe = example();
  EXPECT_EQ(recipe_key(recipe_texts(recipe)), "");
  recipe.key = "00112233445566778899aabbccddeeff";
  recipe.engine.model_hash = "0123456789abcdef";
  EXPECT_NE(infotext(recipe).find("Size: 512x768, Model hash: 0123456789, Model: emoji"), std::string::npos);
  const std::string text = recipe_json(recipe);
  EXPECT_TRUE(text.ends_with("\"notes\":[],\"key\":\"00112233445566778899aabbccddeeff\"}"));
  EXPECT_NE(text.find("\"model\":\"emoji\",\"model_hash\":\"0123456789abcdef\",\"dtype\""),
            std::string::npos);
  const auto file = encode_png(pattern(2, 2), recipe_texts(recipe));
  EXPECT_EQ(recipe_key(read_png_texts(file, "x.png")), recipe.key);
  EXPECT_EQ(recipe_key({{"brume", "{\"key\":7}"}, {"brume", "[[[["}, {"brume", "[1]"}, {"x", text}}), "");
}

std::string field(const std::vector<std::pair<std::string, std::string>>& fields, std::string_view key) {
  for (const auto& [name, value] : fields) {
    if (name == key) return value;
  }
  return "(none)";
}

TEST(Infotext, HostilePromptsComeBack) {
  const std::vector<std::string> prompts{"",
                                         " ",
                                         "a",
                                         "\n",
                                         "\n\n",
                                         "a\n",
                                         " lead",
                                         "trail ",
                                         "a:b",
                                         "a, b, c",
                                         "a: b, c: d, e: f",
                                         "Steps: 20",
                                         "Steps: 20, Sampler: X, Seed: 3",
                                         "a\nSteps: 1, Seed: 2, Size: 1x1",
                                         "a\nSteps: 1, Seed: 2, Size: 1x1\nb",
                                         "\"",
                                         "\"quoted, text\"",
                                         "\\",
                                         "\\n",
                                         "{\"a\": 1}",
                                         "(red:1.3) [b] <lora:x:0.8>",
                                         "a\r\nb",
                                         "\t",
                                         "\xf0\x9f\x8d\x8e",
                                         "caf\xc3\xa9",
                                         "\xe2\x80\xa8",
                                         "\x1b[2J",
                                         "negative prompt: x",
                                         "a Negative prompt: b",
                                         "BREAK\nAND",
                                         ",",
                                         ":",
                                         ", : ,",
                                         ",,,",
                                         "::::",
                                         "Version: 1, Model: \"x",
                                         "a\n\nb\n\nc",
                                         std::string(5000, 'x')};
  EXPECT_GE(prompts.size(), 30U);
  for (const std::string& prompt : prompts) {
    for (const std::optional<std::string>& negative :
         {std::optional<std::string>(), std::optional<std::string>("n, o: p\nq")}) {
      Recipe recipe = example();
      recipe.prompt = prompt;
      recipe.negative_prompt = negative;
      recipe.engine.model = prompt.empty() ? "m" : "m " + prompt;
      const auto fields = parse_infotext(infotext(recipe));
      EXPECT_EQ(field(fields, "Prompt"), prompt);
      EXPECT_EQ(field(fields, "Negative prompt"), negative.value_or("(none)"));
      EXPECT_EQ(field(fields, "Steps"), "20");
      EXPECT_EQ(field(fields, "Size"), "512x768");
      EXPECT_EQ(field(fields, "Version"), "brume 0.1.0");
      if (recipe.engine.model.find_first_of(",:\n") != std::string::npos) {
        EXPECT_EQ(field(fields, "Model"), recipe.engine.model);
      }
      EXPECT_EQ(read_png_texts(encode_png(pattern(1, 1), recipe_texts(recipe)), "x.png").at(0).text,
                infotext(recipe));
    }
  }
}

TEST(Infotext, OtherPrograms) {
  const auto a1111 = parse_infotext(
      "a cat, (masterpiece:1.2)\nNegative prompt: bad\nSteps: 20, Sampler: DPM++ 2M, Schedule type: Karras, "
      "CFG scale: 7, "
      "Seed: 42, Size: 512x512, Model hash: abc, Lora hashes: \"x: 1, y: 2\", Version: v1.10.1\n");
  EXPECT_EQ(field(a1111, "Schedule type"), "Karras");
  EXPECT_EQ(field(a1111, "Lora hashes"), "x: 1, y: 2");
  EXPECT_EQ(field(a1111, "Version"), "v1.10.1");
  EXPECT_EQ(field(a1111, "Negative prompt"), "bad");
  const auto sdcpp = parse_infotext(
      "a cat\nSteps: 20, CFG scale: 7.000000, Skip layers: [7, 8, 9], Seed: 42, Size: 512x512, Sampler: "
      "euler_a, "
      "Version: stable-diffusion.cpp");
  EXPECT_EQ(field(sdcpp, "Prompt"), "a cat");
  EXPECT_EQ(field(sdcpp, "Skip layers"), "[7, 8, 9]");
  EXPECT_EQ(field(sdcpp, "Seed"), "42");
  EXPECT_EQ(parse_infotext("just a prompt: with, marks: in, it: yes").size(), 1U);
  EXPECT_EQ(parse_infotext("").size(), 1U);
  std::string many = "p\nSteps: 1";
  for (int i = 0; i < 100000; ++i) many += ", k" + std::to_string(i) + ": v";
  EXPECT_LE(parse_infotext(many).size(), 1002U);
}

class Report : public TemporaryDirectory {
 protected:
  std::filesystem::path save(const Bytes& bytes) {
    auto path = directory_ / "p.png";
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    return path;
  }
  nlohmann::json json_of(const std::vector<PngText>& texts) {
    return nlohmann::json::parse(picture_report(save(encode_png(pattern(3, 2), texts)), ReportFormat::kJson));
  }
};

TEST_F(Report, OursOthersAndNone) {
  Recipe recipe = example();
  recipe.seed = UINT64_MAX;
  const auto ours = json_of(recipe_texts(recipe));
  EXPECT_EQ(ours["recipe"]["seed"], UINT64_MAX);
  recipe.key = "00ff";
  recipe.engine.model_hash = "ab";
  EXPECT_EQ(json_of(recipe_texts(recipe))["recipe"]["key"], "00ff");
  EXPECT_EQ(json_of(recipe_texts(recipe))["recipe"]["model_hash"], "ab");
  EXPECT_EQ(ours["recipe_source"], "brume");
  EXPECT_EQ(ours["width"], 3);
  const auto other = json_of({{"parameters", infotext(recipe)}});
  EXPECT_EQ(other["recipe_source"], "infotext");
  EXPECT_EQ(other["recipe"]["Steps"], "20");
  const auto none = json_of({{"prompt", "{}"}});
  EXPECT_TRUE(none["recipe"].is_null());
  EXPECT_EQ(none["text_chunks"][0], "prompt");
  EXPECT_NE(picture_report(save(encode_png(pattern(3, 2), {})), ReportFormat::kText)
                .find("no recipe in this picture\n"),
            std::string::npos);
}

TEST_F(Report, BrokenRecipesFallBackAndControlBytesAreEscaped) {
  for (const char* broken : {"{", "[1]", "{\"a\": {\"b\": 1}}", "{\"a\": 1, \"a\": 2}", "1e999"}) {
    EXPECT_EQ(
        json_of({{"brume", broken}, {"parameters", "x\nSteps: 1, Seed: 2, Size: 3x2"}})["recipe_source"],
        "infotext")
        << broken;
  }
  Recipe recipe = example();
  recipe.prompt = "a\x1b[2J\nb";
  const std::string text =
      picture_report(save(encode_png(pattern(3, 2), recipe_texts(recipe))), ReportFormat::kText);
  EXPECT_NE(text.find("prompt: a\\x1b[2J\\x0ab\n"), std::string::npos) << text;
  EXPECT_NE(text.find(": 3 x 2 pixels\n"), std::string::npos);
}

}  // namespace
}  // namespace brume
