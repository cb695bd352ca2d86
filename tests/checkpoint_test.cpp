#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <ostream>
#include <random>
#include <sstream>

#include "brume/weights/listing.h"
#include "brume/weights/pickled_checkpoint.h"
#include "brume/weights/weights_format.h"
#include "message_of.h"
#include "temporary_directory.h"
#include "weights/checkpoint_corpus.h"
#include "weights/pickle_assembler.h"
#include "weights/zip_assembler.h"

namespace brume {

namespace testing_corpus {
// What gtest shows of a case.
void PrintTo(const HostileCheckpoint& one, std::ostream* out) { *out << one.name; }
void PrintTo(const BenignCheckpoint& one, std::ostream* out) { *out << one.name; }
}  // namespace testing_corpus

namespace {

using testing_corpus::BenignCheckpoint;
using testing_corpus::checkpoint_bytes;
using testing_corpus::dict_of;
using testing_corpus::HostileCheckpoint;
using testing_corpus::Pickle;

class Checkpoint : public TemporaryDirectory {
 protected:
  std::filesystem::path write(const std::string& name, std::string_view bytes) const {
    std::ofstream(directory_ / name, std::ios::binary) << bytes;
    return directory_ / name;
  }
};

std::string refusal(const std::filesystem::path& path) {
  return message_of([&] { PickledCheckpoint file(path); }, ExitCode::kModelInvalid);
}

std::string hex(const std::vector<std::byte>& bytes) {
  std::string out;
  for (const std::byte byte : bytes) {
    out += "0123456789abcdef"[std::to_integer<int>(byte) >> 4];
    out += "0123456789abcdef"[std::to_integer<int>(byte) & 15];
  }
  return out;
}

std::vector<std::byte> data_of(const PickledCheckpoint& file, const StoredTensor& tensor) {
  std::vector<std::byte> bytes(tensor.end - tensor.begin);
  file.read(tensor, bytes);
  return bytes;
}

/// "NAME DTYPE [SHAPE] HEX" of each tensor.
std::vector<std::string> tensors_of(const PickledCheckpoint& file) {
  std::vector<std::string> lines;
  for (const StoredTensor& tensor : file.header().tensors) {
    std::string shape;
    for (const uint64_t size : tensor.shape) shape += (shape.empty() ? "" : ",") + std::to_string(size);
    lines.push_back(tensor.name + " " + std::string(stored_type_name(tensor.dtype)) + " [" + shape + "] " +
                    hex(data_of(file, tensor)));
  }
  return lines;
}

std::vector<std::string> notes_of(const PickledCheckpoint& file) {
  std::vector<std::string> notes;
  for (const auto& [key, value] : file.header().metadata) notes.push_back(key + " = " + value);
  const std::vector<std::string>& warnings = file.header().warnings;
  notes.insert(notes.end(), warnings.begin(), warnings.end());
  return notes;
}

/// Everything that brume does with a checkpoint: nothing of it may crash.
void read_all(const std::filesystem::path& path) {
  try {
    const PickledCheckpoint file(path);
    for (const StoredTensor& tensor : file.header().tensors) data_of(file, tensor);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kModelInvalid);
    EXPECT_TRUE(std::string(error.what()).starts_with(path.string() + ": ")) << error.what();
  }
}

class Hostile : public Checkpoint, public ::testing::WithParamInterface<HostileCheckpoint> {};

TEST_P(Hostile, IsRefused) {
  const std::filesystem::path path = write("x.ckpt", GetParam().bytes());
  const std::string message = refusal(path);
  EXPECT_TRUE(message.starts_with(path.string() + ": ")) << message;
  EXPECT_NE(message.find(GetParam().message), std::string::npos) << message;
  EXPECT_TRUE(std::all_of(message.begin(), message.end(),
                          [](char c) { return static_cast<unsigned char>(c) >= 0x20; }))
      << "control bytes in " << message;
}

template <class Case>
std::string case_name(const ::testing::TestParamInfo<Case>& info) {
  return info.param.name;
}
INSTANTIATE_TEST_SUITE_P(Pickle, Hostile, ::testing::ValuesIn(testing_corpus::hostile_pickles()),
                         case_name<HostileCheckpoint>);
INSTANTIATE_TEST_SUITE_P(Archive, Hostile, ::testing::ValuesIn(testing_corpus::hostile_archives()),
                         case_name<HostileCheckpoint>);
INSTANTIATE_TEST_SUITE_P(Tensor, Hostile, ::testing::ValuesIn(testing_corpus::hostile_tensors()),
                         case_name<HostileCheckpoint>);

class Benign : public Checkpoint, public ::testing::WithParamInterface<BenignCheckpoint> {};

TEST_P(Benign, IsRead) {
  const PickledCheckpoint file(write("x.ckpt", GetParam().bytes));
  EXPECT_EQ(tensors_of(file), GetParam().tensors);
  EXPECT_EQ(notes_of(file), GetParam().notes);
}
INSTANTIATE_TEST_SUITE_P(Made, Benign, ::testing::ValuesIn(testing_corpus::benign_checkpoints()),
                         case_name<BenignCheckpoint>);

const std::filesystem::path& saved_directory() {
  static const std::filesystem::path directory =
      std::filesystem::path(BRUME_TEST_DATA) / "cases" / "checkpoints";
  return directory;
}

nlohmann::json expectations() {
  std::ifstream file(saved_directory() / "expected.json");
  return nlohmann::json::parse(file);
}

std::vector<std::string> saved_files() {
  std::vector<std::string> names;
  const nlohmann::json expected = expectations();
  for (const auto& [name, value] : expected.items()) names.push_back(name);
  return names;
}

/// Files that torch.save wrote, and what torch reads in them (tools/reference/checkpoint_cases.py).
class Saved : public Checkpoint, public ::testing::WithParamInterface<std::string> {};

TEST_P(Saved, IsReadAsTorchReadsIt) {
  const std::filesystem::path path = saved_directory() / GetParam();
  const nlohmann::json expected = expectations().at(GetParam());
  if (expected.contains("error")) {
    EXPECT_NE(refusal(path).find(expected["error"]), std::string::npos) << refusal(path);
    return;
  }
  const PickledCheckpoint file(path);
  std::vector<std::string> tensors = tensors_of(file);
  std::sort(tensors.begin(), tensors.end());
  EXPECT_EQ(tensors, expected["tensors"].get<std::vector<std::string>>());
  EXPECT_EQ(notes_of(file), expected["notes"].get<std::vector<std::string>>());
}
std::string stem(const ::testing::TestParamInfo<std::string>& file) {
  return file.param.substr(0, file.param.find('.'));
}
INSTANTIATE_TEST_SUITE_P(ByTorch, Saved, ::testing::ValuesIn(saved_files()), stem);

TEST(CheckpointCorpus, IsLargeEnough) {
  EXPECT_GE(testing_corpus::hostile_checkpoints().size(), 30U);
  EXPECT_GE(testing_corpus::benign_checkpoints().size(), 20U);
  EXPECT_GE(saved_files().size(), 10U);
}

TEST_F(Checkpoint, AnyPartOfAStridedTensorIsRead) {
  std::string storage;
  for (int i = 0; i < 240; ++i) storage += static_cast<char>(i);
  // A permuted and narrowed view: [3, 4, 2] of a [2, 5, 4, 3] whole, from element 7 on.
  const Pickle::Tensor view{
      .type = "HalfStorage", .elements = 120, .offset = 7, .shape = {3, 4, 2}, .strides = {1, 12, 60}};
  const PickledCheckpoint file(write("x.ckpt", checkpoint_bytes(dict_of({{"w", view}}), {storage})));
  const StoredTensor& tensor = file.header().tensors.at(0);
  std::vector<std::byte> due;
  for (size_t a = 0; a < 3; ++a) {
    for (size_t b = 0; b < 4; ++b) {
      for (size_t c = 0; c < 2; ++c) {
        const size_t place = 2 * (7 + a + 12 * b + 60 * c);
        due.push_back(static_cast<std::byte>(storage.at(place)));
        due.push_back(static_cast<std::byte>(storage.at(place + 1)));
      }
    }
  }
  ASSERT_EQ(data_of(file, tensor), due);
  for (size_t first = 0; first <= due.size(); ++first) {
    for (size_t last = first; last <= due.size(); ++last) {
      std::vector<std::byte> part(last - first);
      file.read_part(tensor, first, part);
      ASSERT_TRUE(std::equal(part.begin(), part.end(), due.begin() + static_cast<ptrdiff_t>(first)))
          << first << " " << last;
    }
  }
  std::vector<std::byte> other(due.size() + 1);
  EXPECT_NE(
      message_of([&] { file.read(tensor, other); }, ExitCode::kModelInvalid).find("has 48 bytes, not 49"),
      std::string::npos);
}

TEST_F(Checkpoint, AStridedTensorOfAGigabyteIsRefused) {
  const Pickle::Tensor view{.elements = int64_t{1} << 28, .shape = {2, 1 << 20}, .strides = {1, 128}};
  const std::string pickle = dict_of({{"w", view}});
  std::vector<testing_corpus::ZipItem> items = testing_corpus::checkpoint_items(pickle, {""});
  std::swap(items[2], items[3]);
  const std::string good = testing_corpus::zip_bytes(items);
  // The storage is a hole in the file, the last entry before the directory.
  items[3].size = uint64_t{1} << 30;
  items[3].local_size = 1U << 30;
  items[3].crc = 0;
  const size_t begin = good.find("PK\x01\x02");
  const std::string bytes =
      testing_corpus::zip_bytes(items, {.directory_begin = begin + (uint64_t{1} << 30)});
  const std::filesystem::path path = write("x.ckpt", bytes.substr(0, begin));
  std::filesystem::resize_file(path, begin + (uint64_t{1} << 30));
  std::ofstream(path, std::ios::binary | std::ios::app) << bytes.substr(begin);
  EXPECT_NE(refusal(path).find(
                "tensor \"w\": does not lie in C order and takes 536870408 bytes, more than the limit"),
            std::string::npos)
      << refusal(path);
}

TEST_F(Checkpoint, AFileThatShrinksIsAnError) {
  const auto path = write("x.ckpt", checkpoint_bytes(dict_of({{"w", {}}}), {std::string(16, '\1')}));
  const PickledCheckpoint file(path);
  std::filesystem::resize_file(path, 100);
  EXPECT_NE(message_of([&] { data_of(file, file.header().tensors.at(0)); }, ExitCode::kModelInvalid)
                .find("ends early"),
            std::string::npos);
  EXPECT_NE(refusal(directory_ / "none.ckpt"), "");
  EXPECT_NE(refusal(directory_), "");
}

/// The most memory that this process has held since the last call of reset_peak, in KiB.
size_t peak_kib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::stoul(line.substr(6));
  }
  return 0;
}
void reset_peak() { std::ofstream("/proc/self/clear_refs") << "5"; }

struct Cost {
  size_t kib;
  double seconds;
};
Cost cost_of(const std::filesystem::path& path) {
  reset_peak();
  const size_t before = peak_kib();
  const auto start = std::chrono::steady_clock::now();
  read_all(path);
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  return {peak_kib() - before, taken.count()};
}

#ifdef __SANITIZE_ADDRESS__
constexpr size_t kSlack = 8;  // it takes memory and time of its own
#else
constexpr size_t kSlack = 1;
#endif

TEST_F(Checkpoint, AMemoBombTakesNoMemory) {
  // Lists of ten of the one before, 40 deep: 10^40 values in 1.5 KB.
  Pickle bomb;
  bomb.raw("}").text("x").raw("(N").put(0);
  for (uint8_t i = 0; i < 40; ++i) {
    bomb.raw("](");
    for (int k = 0; k < 10; ++k) bomb.get(i);
    bomb.raw("e").put(i + 1);
  }
  const auto path = write("x.ckpt", checkpoint_bytes(bomb.raw("ts").stopped()));
  EXPECT_TRUE(PickledCheckpoint(path).header().tensors.empty());
  const Cost cost = cost_of(path);
  EXPECT_LT(cost.kib, 4096 * kSlack);
  EXPECT_LT(cost.seconds, 0.1 * kSlack);
}

TEST_F(Checkpoint, AnyMegabyteIsReadInLittleMemory) {
  auto repeated = [](const std::string& start, const std::string& unit, const std::string& end) {
    std::string text = "\x80\x02" + start;
    text.reserve(1U << 20);
    while (text.size() + unit.size() + end.size() < 1U << 20) text += unit;
    return text + end + ".";
  };
  const std::string storage = Pickle().storage("FloatStorage", "0", 4).stopped().substr(2);
  const std::vector<std::string> bombs{repeated("(", "]", "t"),
                                       repeated("(", ")\x85", "t"),
                                       repeated("](", "N", "e"),
                                       repeated("}(", "NN", "u"),
                                       repeated("(", "NN\x86", "t"),
                                       repeated("", "(", ""),
                                       repeated("(", "}q\1", "t"),
                                       repeated("(", "c__builtin__\nset\n)R", "t"),
                                       repeated("(", storage.substr(0, storage.size() - 1), "t"),
                                       repeated("}X\1" + std::string("\0\0\0a](", 6), "]", "es")};
  for (size_t i = 0; i < bombs.size(); ++i) {
    const Cost cost = cost_of(write("x.ckpt", checkpoint_bytes(bombs[i], {std::string(16, '\1')})));
    EXPECT_LT(cost.kib, size_t{64} * 1024 * kSlack) << i;
    EXPECT_LT(cost.seconds, 1.0 * kSlack) << i;
  }
}

TEST_F(Checkpoint, ALargeFileOpensAtOnce) {
  // 2,000 tensors of 1 MiB, whose data are holes: what is read does not depend on them.
  constexpr uint64_t kBytes = 1U << 20;
  std::vector<std::pair<std::string, Pickle::Tensor>> tensors;
  std::vector<testing_corpus::ZipItem> items{{.name = "archive/data.pkl", .data = ""}};
  for (int i = 0; i < 2000; ++i) {
    tensors.push_back({"block." + std::to_string(i) + ".weight",
                       {.key = std::to_string(i), .elements = kBytes / 4, .shape = {kBytes / 4}}});
    items.push_back({.name = "archive/data/" + std::to_string(i), .data = ""});
    items.back().size = kBytes;
    items.back().local_size = kBytes;
  }
  items.front().data = dict_of(tensors);
  const std::string first = testing_corpus::zip_bytes({items.front()});
  const auto path = directory_ / "x.ckpt";
  std::ofstream out(path, std::ios::binary);
  uint64_t place = first.find("PK\x01\x02");
  items.front().offset = 0;
  out << first.substr(0, place);
  for (size_t i = 1; i < items.size(); ++i) {
    items[i].offset = place;
    const std::string one = testing_corpus::zip_bytes({items[i]});
    const std::string header = one.substr(0, one.find("PK\x01\x02"));
    out.seekp(static_cast<std::streamoff>(place));
    out << header;
    place += header.size() + kBytes;
  }
  const std::string all = testing_corpus::zip_bytes(items, {.directory_begin = place});
  out.seekp(static_cast<std::streamoff>(place));
  out << all.substr(all.find("PK\x01\x02"));
  out.close();
  ASSERT_GT(std::filesystem::file_size(path), uint64_t{2000} << 20);
  reset_peak();
  const size_t before = peak_kib();
  const auto start = std::chrono::steady_clock::now();
  const PickledCheckpoint file(path);
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  EXPECT_EQ(file.header().tensors.size(), 2000U);
  EXPECT_LT(taken.count(), 0.2 * kSlack);
  EXPECT_LT(peak_kib() - before, 8192 * kSlack);
}

TEST_F(Checkpoint, EveryTruncationIsRefused) {
  const std::string whole =
      checkpoint_bytes(dict_of({{"a", {}}, {"b", {.shape = {2}}}}), {std::string(16, '\1')});
  for (size_t size = 0; size < whole.size(); ++size)
    ASSERT_NE(refusal(write("x.ckpt", std::string_view(whole).substr(0, size))), "") << size;
}

TEST_F(Checkpoint, EveryTruncatedPickleIsRefused) {
  for (const BenignCheckpoint& one : testing_corpus::benign_checkpoints()) {
    if (one.name != "NumpyScalarAndSet" && one.name != "LightningSettings" && one.name != "Parameter")
      continue;
    const size_t begin = one.bytes.find("\x80\x02");
    const std::string pickle = one.bytes.substr(begin, one.bytes.find("PK\x03\x04", begin) - begin);
    for (size_t size = 0; size < pickle.size(); ++size)
      ASSERT_NE(refusal(write("x.ckpt", checkpoint_bytes(pickle.substr(0, size), {std::string(16, '\1')}))),
                "")
          << one.name << " " << size;
  }
}

TEST_F(Checkpoint, ChangedBytesNeverCrash) {
  const std::vector<BenignCheckpoint> benign = testing_corpus::benign_checkpoints();
  std::mt19937 random(3);
  for (int round = 0; round < 4000; ++round) {
    std::string bytes = benign[random() % benign.size()].bytes;
    const size_t begin = bytes.find("\x80\x02");
    const size_t end = std::min(bytes.find("PK", begin), bytes.find("PK\x01\x02"));
    for (int edits = 1 + static_cast<int>(random() % 3); edits > 0; --edits) {
      // Three of four in the pickle, whose checksum is mended: else none of these would be read.
      const bool inside = random() % 4 != 0;
      const size_t at = inside ? begin + random() % (end - begin) : random() % bytes.size();
      bytes[at] = static_cast<char>(random());
    }
    if (random() % 8 != 0) {
      const uint32_t crc = testing_corpus::crc32(std::string_view(bytes).substr(begin, end - begin));
      for (const size_t field : {size_t{14}, bytes.find("PK\x01\x02") + 16})
        for (size_t i = 0; i < 4 && field + i < bytes.size(); ++i)
          bytes[field + i] = static_cast<char>(crc >> (8 * i));
    }
    read_all(write("x.ckpt", bytes));
  }
}

TEST_F(Checkpoint, IsListedAsOtherWeightsAre) {
  const auto path = write("x.weights", checkpoint_bytes(dict_of({{"a\x1b", {}}}), {std::string(16, '\1')}));
  EXPECT_EQ(weights_format(path, ExitCode::kModelInvalid), WeightsFormat::kPickled);
  const nlohmann::json listed = nlohmann::json::parse(tensors_json(path));
  EXPECT_EQ(listed["files"][0]["tensors"][0],
            (nlohmann::json{{"name", "a\\x1b"}, {"dtype", "F32"}, {"shape", {4}}, {"bytes", 16}}));
  EXPECT_EQ(listed["totals"]["bytes"], 16);
  EXPECT_NE(tensors_table(path).find("  a\\x1b  F32          [4]  16\n"), std::string::npos)
      << tensors_table(path);
}

TEST_F(Checkpoint, FormatsAreKnownByTheirContents) {
  using testing_corpus::zip_bytes;
  auto format = [&](const std::string& name, const std::string& bytes) {
    return weights_format(write(name, bytes), ExitCode::kModelInvalid);
  };
  const std::string checkpoint = checkpoint_bytes(Pickle().raw("}").stopped());
  const std::string safetensors("\x02\0\0\0\0\0\0\0{}", 10);
  for (const char* name : {"a.ckpt", "a.pt", "a.bin", "a", "a.safetensors"}) {
    EXPECT_EQ(format(name, checkpoint), WeightsFormat::kPickled) << name;
    EXPECT_EQ(format(name, safetensors), WeightsFormat::kSafetensors) << name;
  }
  // A safetensors header of 640 bytes that begins with a space, as a pickle may begin.
  const std::string padded = std::string("\x80\x02\0\0\0\0\0\0", 8) + std::string(638, ' ') + "{}";
  EXPECT_EQ(format("b.safetensors", padded), WeightsFormat::kSafetensors);
  EXPECT_EQ(format("b", padded), std::nullopt);
  EXPECT_EQ(format("c.ckpt", "nothing of the kind"), WeightsFormat::kPickled);
  EXPECT_EQ(format("c.json", "{}"), WeightsFormat::kIndex);
  EXPECT_EQ(format("c.txt", "hello"), std::nullopt);
}

}  // namespace
}  // namespace brume
