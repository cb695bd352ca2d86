#include "brume/weights/safetensors.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <fstream>
#include <random>

#include "brume/weights/listing.h"
#include "brume/weights/shard_index.h"
#include "temporary_directory.h"
#include "weights/corpus.h"

namespace brume {
namespace {

using testing_corpus::Case;
using testing_corpus::safetensors_bytes;
using testing_corpus::Verdict;

const std::vector<Case>& safetensors_corpus() {
  static const std::vector<Case> corpus = testing_corpus::safetensors_corpus();
  return corpus;
}

class Safetensors : public TemporaryDirectory {
 protected:
  std::filesystem::path write(const std::string& name, std::string_view bytes) const {
    std::ofstream(directory_ / name, std::ios::binary) << bytes;
    return directory_ / name;
  }

  /// The error of `action`, empty if there is none.
  template <class Action>
  static std::string message_of(Action action, ExitCode code = ExitCode::kModelInvalid) {
    try {
      action();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code);
      return error.what();
    }
    return {};
  }

  std::string verdict(const std::filesystem::path& path) const {
    return message_of([&] { SafetensorsFile file(path); });
  }

  /// Every hand-made file of a row of the rule table gets the verdict the row asks for.
  void check_row(const std::string& rule) const {
    size_t count = 0;
    for (const Case& one : safetensors_corpus()) {
      if (one.rule != rule) continue;
      ++count;
      const std::filesystem::path path = write(one.name + ".safetensors", one.bytes());
      const std::string message = verdict(path);
      if (one.verdict == Verdict::kAccept) {
        EXPECT_EQ(message, "") << one.name;
      } else {
        EXPECT_NE(message.find(one.message), std::string::npos) << one.name << ": " << message;
        EXPECT_TRUE(message.starts_with(path.string() + ": ")) << message;
      }
      std::filesystem::remove(path);
    }
    EXPECT_GT(count, 0U);
  }
};

TEST_F(Safetensors, S01_AtLeastEightBytes) { check_row("S01"); }
TEST_F(Safetensors, S02_LengthFits) { check_row("S02"); }
TEST_F(Safetensors, S03_HeaderCap) { check_row("S03"); }
TEST_F(Safetensors, S04_HeaderInsideTheFile) { check_row("S04"); }
TEST_F(Safetensors, S05_Utf8) { check_row("S05"); }
TEST_F(Safetensors, S06_OneJsonValue) { check_row("S06"); }
TEST_F(Safetensors, S07_LeadingWhitespace) { check_row("S07"); }
TEST_F(Safetensors, S08_TopLevelObject) { check_row("S08"); }
TEST_F(Safetensors, S09_Metadata) { check_row("S09"); }
TEST_F(Safetensors, S10_EntryFields) { check_row("S10"); }
TEST_F(Safetensors, S12_Dtypes) { check_row("S12"); }
TEST_F(Safetensors, S13_ShapeNumbers) { check_row("S13"); }
TEST_F(Safetensors, S14_Scalar) { check_row("S14"); }
TEST_F(Safetensors, S15_ZeroDimension) { check_row("S15"); }
TEST_F(Safetensors, S16_TwoOffsets) { check_row("S16"); }
TEST_F(Safetensors, S17_EndAfterBegin) { check_row("S17"); }
TEST_F(Safetensors, S18_BeginsAtZero) { check_row("S18"); }
TEST_F(Safetensors, S19_Hole) { check_row("S19"); }
TEST_F(Safetensors, S20_Overlap) { check_row("S20"); }
TEST_F(Safetensors, S21_ElementCountOverflow) { check_row("S21"); }
TEST_F(Safetensors, S22_BitCountOverflow) { check_row("S22"); }
TEST_F(Safetensors, S23_FoldOrder) { check_row("S23"); }
TEST_F(Safetensors, S24_WholeBytes) { check_row("S24"); }
TEST_F(Safetensors, S25_SizeMatchesShape) { check_row("S25"); }
TEST_F(Safetensors, S26_DataFillsTheFile) { check_row("S26"); }
TEST_F(Safetensors, S27_EmptyFile) { check_row("S27"); }
TEST_F(Safetensors, S28_ZeroSizeSharesAnOffset) { check_row("S28"); }
TEST_F(Safetensors, S29_DuplicateKeys) { check_row("S29"); }
TEST_F(Safetensors, S32_Depth) { check_row("S32"); }
TEST_F(Safetensors, S33_NulAndControlBytes) { check_row("S33"); }
TEST_F(Safetensors, S34_OwnCaps) { check_row("S34"); }
TEST_F(Safetensors, S37_NonFiniteValuesAreAccepted) { check_row("S37"); }

TEST_F(Safetensors, S11_UnknownFieldsWarn) {
  check_row("S11");
  const SafetensorsHeader header = parse_safetensors_header(
      R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"extra":{"b":[]}}})", 1, "x");
  EXPECT_EQ(header.warnings, std::vector<std::string>{R"(tensor "a": unknown field "extra" ignored)"});
}

TEST_F(Safetensors, S30_UnalignedTensorsAreReadByCopy) {
  check_row("S30");
  const std::string header = R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                             R"("b":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}})";
  const SafetensorsFile file(write("a", safetensors_bytes(header, std::string_view("\x07\0\0\x80\x3f", 5))));
  std::array<std::byte, 4> raw{};
  file.read(file.header().tensors.at(1), raw);
  EXPECT_EQ(std::bit_cast<float>(raw), 1.0F);
  std::array<std::byte, 3> short_buffer{};
  EXPECT_NE(message_of([&] { file.read(file.header().tensors.at(1), short_buffer); }), "");
}

TEST_F(Safetensors, S31_LittleEndianAndCOrder) {
  check_row("S31");
  for (const Case& one : safetensors_corpus()) {
    if (one.rule != "S31") continue;
    const SafetensorsFile file(write("a", one.bytes()));
    std::array<std::byte, 8> raw{};
    file.read(file.header().tensors.at(0), raw);
    EXPECT_EQ((std::bit_cast<std::array<float, 2>>(raw)), (std::array<float, 2>{1.0F, -2.0F}));
  }
}

std::string model_bytes(const std::vector<std::string>& names) {
  std::string header;
  size_t begin = 0;
  for (const std::string& name : names) {
    header += (header.empty() ? "{\"" : ",\"") + name + R"(":{"dtype":"F32","shape":[2],"data_offsets":[)" +
              std::to_string(begin) + "," + std::to_string(begin + 8) + "]}";
    begin += 8;
  }
  return safetensors_bytes(header + "}", std::string(begin, '\0'));
}

TEST_F(Safetensors, S35_ShardsAreOpened) {
  write("m-1.safetensors", model_bytes({"a", "b"}));
  write("m-2.safetensors", model_bytes({"c"}));
  const auto index =
      write("m.index.json", R"({"metadata":{"total_size":24},"weight_map":{)"
                            R"("a":"m-1.safetensors","b":"m-1.safetensors","c":"m-2.safetensors"}})");
  const std::vector<SafetensorsFile> files = open_shards(index);
  ASSERT_EQ(files.size(), 2U);
  EXPECT_EQ(files[1].header().tensors.at(0).name, "c");
}

TEST_F(Safetensors, S35_ShardsThatEscapeOrDisagreeAreRefused) {
  write("m-1.safetensors", model_bytes({"a", "b"}));
  write("m-2.safetensors", model_bytes({"b"}));
  std::filesystem::create_directory(directory_ / "inner");
  std::filesystem::copy(directory_ / "m-2.safetensors", directory_ / "inner" / "x.safetensors");
  std::filesystem::create_symlink("../m-1.safetensors", directory_ / "inner" / "out.safetensors");
  std::filesystem::create_symlink("x.safetensors", directory_ / "inner" / "same.safetensors");
  const std::filesystem::path index = directory_ / "inner" / "i.json";
  auto message = [&](const std::string& text) {
    write("inner/i.json", text);
    return message_of([&] { open_shards(index); });
  };
  auto map_to = [](const std::string& shard) { return R"({"weight_map":{"b":")" + shard + "\"}}"; };
  EXPECT_EQ(message(map_to("x.safetensors")), "");
  EXPECT_EQ(message(map_to("same.safetensors")), "");
  for (const std::string& shard :
       {std::string("../m-2.safetensors"), (directory_ / "m-2.safetensors").string(),
        std::string("./x.safetensors"), std::string(".."), std::string(""), std::string("x.bin"),
        std::string("..\\\\x.safetensors"), std::string("x\\u0000.safetensors"), std::string(".safetensors")})
    EXPECT_NE(message(map_to(shard)).find("not a plain"), std::string::npos) << shard;
  EXPECT_NE(message(map_to("out.safetensors")).find("link out of the directory"), std::string::npos);
  EXPECT_NE(message(map_to("none.safetensors")).find("cannot be opened"), std::string::npos);
  EXPECT_NE(
      message(R"({"weight_map":{"zz":"x.safetensors"}})").find("\"zz\" is not in the shard x.safetensors"),
      std::string::npos);
  EXPECT_NE(message(R"({"weight_map":{"b":"x.safetensors","b":"x.safetensors"}})").find("duplicate"),
            std::string::npos);
  for (const char* text :
       {"{}", "[]", R"({"weight_map":[]})", R"({"weight_map":{}})", R"({"weight_map":{"a":1}})", "{"})
    EXPECT_NE(message(text), "") << text;
  EXPECT_NE(message(map_to("x.safetensors") + std::string(1, '\0') + "rest").find("NUL"), std::string::npos);
  const auto both = write("two.json", R"({"weight_map":{"a":"m-1.safetensors","b":"m-2.safetensors"}})");
  EXPECT_NE(message_of([&] { open_shards(both); }).find("\"b\" is in two shards, m-1.safetensors and m-2"),
            std::string::npos);
  const auto wrong = write("wrong.json", R"({"weight_map":{"a":"m-2.safetensors"}})");
  EXPECT_NE(message_of([&] { open_shards(wrong); }).find("\"a\" is not in the shard"), std::string::npos);
}

TEST_F(Safetensors, S36_AFileThatShrinksIsAnError) {
  const auto path = write("a", model_bytes({"a", "b"}));
  const SafetensorsFile file(path);
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 4);
  std::array<std::byte, 8> raw{};
  file.read(file.header().tensors.at(0), raw);
  EXPECT_NE(message_of([&] { file.read(file.header().tensors.at(1), raw); }).find("ends early"),
            std::string::npos);
  EXPECT_NE(verdict(directory_), "");
  EXPECT_NE(verdict(directory_ / "none"), "");
}

TEST_F(Safetensors, S38_WrittenFilesReadBack) {
  const std::array<float, 3> floats{1, 2, 3};
  const std::array<uint8_t, 3> bytes{7, 8, 9};
  const auto path = directory_ / "out.safetensors";
  write_safetensors(path,
                    {{"b", StoredType::kU8, {3}, std::as_bytes(std::span(bytes))},
                     {"a \"\n\xc3\xa9", StoredType::kF32, {3, 1}, std::as_bytes(std::span(floats))},
                     {"none", StoredType::kF16, {0}, {}}},
                    {{"format", "pt"}, {"note", "a\tb"}});
  const SafetensorsFile file(path);
  ASSERT_EQ(file.header().tensors.size(), 3U);
  EXPECT_EQ(file.header().tensors[0].name, "a \"\n\xc3\xa9");
  EXPECT_EQ(file.header().metadata.at("note"), "a\tb");
  std::array<float, 3> back{};
  file.read(file.header().tensors[0], std::as_writable_bytes(std::span(back)));
  EXPECT_EQ(back, floats);
  EXPECT_EQ((std::filesystem::file_size(path) - 15) % 8, 0U);
}

TEST_F(Safetensors, S38_NothingIsWrittenWhenTheHeaderIsRefused) {
  const std::array<uint8_t, 3> bytes{7, 8, 9};
  const auto data = std::as_bytes(std::span(bytes));
  const auto path = directory_ / "out.safetensors";
  auto refused = [&](std::vector<TensorToWrite> tensors, const std::map<std::string, std::string>& metadata) {
    return message_of([&] { write_safetensors(path, std::move(tensors), metadata); },
                      ExitCode::kOutputFailed);
  };
  EXPECT_NE(refused({{"a", StoredType::kF32, {1}, data}}, {}).find("\"a\""), std::string::npos);
  EXPECT_NE(
      refused({{"a", StoredType::kU8, {3}, data}, {"a", StoredType::kU8, {3}, data}}, {}).find("duplicate"),
      std::string::npos);
  EXPECT_NE(refused({{"\xff", StoredType::kU8, {3}, data}}, {}).find("UTF-8"), std::string::npos);
  EXPECT_NE(refused({}, {{"k", std::string(kMaxHeaderBytes, 'v')}}).find("limit of 100000000"),
            std::string::npos);
  EXPECT_TRUE(std::filesystem::is_empty(directory_));
}

TEST_F(Safetensors, TheCorpusIsLargeEnough) { EXPECT_GE(safetensors_corpus().size(), 120U); }

TEST_F(Safetensors, EveryTruncationIsRefused) {
  std::vector<std::string> names;
  for (int i = 0; i < 20; ++i) names.push_back("block." + std::to_string(i) + ".weight");
  const std::string bytes = model_bytes(names);
  const size_t data_start = bytes.find("}}") + 2;
  std::mt19937 random(1);
  std::vector<size_t> cuts;
  for (size_t i = 0; i < data_start; ++i) cuts.push_back(i);
  for (int i = 0; i < 200; ++i) cuts.push_back(data_start + random() % (bytes.size() - data_start));
  for (const size_t cut : cuts)
    ASSERT_NE(verdict(write("cut", std::string_view(bytes).substr(0, cut))), "") << cut;
  EXPECT_EQ(verdict(write("whole", bytes)), "");
}

TEST_F(Safetensors, BitFlipsNeverCrash) {
  const std::string bytes = model_bytes({"down.0.weight", "down.0.bias", "up.1.weight", "up.1.bias"});
  const size_t data_start = bytes.find("}}") + 2;
  std::mt19937 random(2);
  size_t refused = 0;
  for (int i = 0; i < 2000; ++i) {
    std::string flipped = bytes;
    const size_t at = random() % data_start;
    flipped[at] = static_cast<char>(flipped[at] ^ 1 << random() % 8);
    if (!verdict(write("flipped", flipped)).empty()) ++refused;
  }
  EXPECT_GT(refused, 1000U);  // the others changed a name, which the format cannot notice
}

TEST_F(Safetensors, ListingsEscapeAndShorten) {
  const std::string header = R"({"__metadata__":{"k\u001b":")" + std::string(300, 'v') +
                             R"("},"a\n":{"dtype":"F4","shape":[2,2],"data_offsets":[0,2],"x":1}})";
  const auto path = write("a.safetensors", safetensors_bytes(header, "12"));
  for (const std::string& text : {tensors_json(path), tensors_table(directory_)}) {
    EXPECT_NE(text.find(std::string(200, 'v') + "..."), std::string::npos) << text;
    EXPECT_EQ(text.find(std::string(201, 'v')), std::string::npos);
    EXPECT_EQ(text.find('\x1b'), std::string::npos);
    EXPECT_NE(text.find("F4"), std::string::npos);
  }
  EXPECT_NE(tensors_table(path).find("  a\\x0a  F4           [2, 2]  2\n"), std::string::npos)
      << tensors_table(path);
  EXPECT_NE(tensors_table(path).find("1 tensors, 4 elements, 2 bytes\n"), std::string::npos);
  EXPECT_NE(message_of([&] { tensors_json(directory_ / "none"); }), "");
  std::filesystem::create_directory(directory_ / "empty");
  EXPECT_NE(message_of([&] { tensors_json(directory_ / "empty"); }).find("0 .safetensors"),
            std::string::npos);
}

}  // namespace
}  // namespace brume
