#include "cli_fixture.h"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>

#include "brume/image/png.h"
#include "brume/weights/safetensors.h"

namespace brume::testing {

namespace fs = std::filesystem;

void CommandLine::TearDown() {
  for (const auto& entry : fs::recursive_directory_iterator(directory_)) {
    if (entry.is_directory()) fs::permissions(entry.path(), fs::perms::owner_all, fs::perm_options::add);
  }
  TemporaryDirectory::TearDown();
}

Outcome CommandLine::brume(Words words) const {
  return run({.arguments = std::move(words), .directory = directory_});
}

fs::path CommandLine::model(const std::string& name) {
  return fs::path(BRUME_TEST_DATA) / "reference" / name;
}

Words CommandLine::generate_words(const Words& more, const fs::path& from) {
  Words words{"generate"};
  const std::vector<Words> defaults{
      {"-m", from.string()}, {"-p", "a fox"}, {"-W", "64"}, {"-H", "64"}, {"--steps", "2"}};
  for (const Words& option : defaults) {
    if (std::find(more.begin(), more.end(), option[0]) == more.end())
      words.insert(words.end(), option.begin(), option.end());
  }
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

fs::path CommandLine::copy_of(const std::string& name) const {
  fs::path copy = directory_ / "models" / name;
  fs::create_directories(copy.parent_path());
  fs::copy(model(name), copy, fs::copy_options::recursive);
  return copy;
}

void CommandLine::edit_json(const fs::path& file, const std::function<void(nlohmann::json&)>& edit) {
  nlohmann::json values = nlohmann::json::parse(std::ifstream(file));
  edit(values);
  std::ofstream(file) << values;
}

void CommandLine::edit_weights(const fs::path& path, const std::function<void(EditedTensors&)>& edit) {
  EditedTensors tensors;
  {
    const SafetensorsFile file(path);
    for (const StoredTensor& stored : file.header().tensors) {
      ASSERT_EQ(stored.dtype, StoredType::kF32);
      EditedTensor& tensor = tensors[stored.name];
      tensor.shape = stored.shape;
      tensor.values.resize((stored.end - stored.begin) / sizeof(float));
      file.read(stored, std::as_writable_bytes(std::span(tensor.values)));
    }
  }
  edit(tensors);
  std::vector<TensorToWrite> entries;
  for (const auto& [name, tensor] : tensors)
    entries.push_back({name, StoredType::kF32, tensor.shape, std::as_bytes(std::span(tensor.values))});
  write_safetensors(path, std::move(entries), {{"format", "pt"}});
}

std::string CommandLine::bytes_of(const std::string& name) const {
  std::ifstream file(directory_ / name, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

Words CommandLine::names() const {
  Words found;
  for (const auto& entry : fs::directory_iterator(directory_)) found.push_back(entry.path().filename());
  std::sort(found.begin(), found.end());
  return found;
}

std::vector<uint8_t> CommandLine::pixels(const std::string& name) const {
  const std::string bytes = bytes_of(name);
  return decode_png(std::as_bytes(std::span(bytes)), name).pixels;
}

std::string CommandLine::infotext_of(const std::string& name) const {
  const std::string bytes = bytes_of(name);
  for (const PngText& text : read_png_texts(std::as_bytes(std::span(bytes)), name)) {
    if (text.keyword == "parameters") return text.text;
  }
  return {};
}

nlohmann::json CommandLine::recipe_of(const std::string& name) const {
  const Outcome outcome = brume({"inspect", "--json", name});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  return nlohmann::json::parse(outcome.out)["recipe"];
}

void expect_error(const Outcome& outcome, int code, const Words& parts) {
  EXPECT_EQ(outcome.signal, 0) << outcome.err;
  EXPECT_EQ(outcome.code, code) << outcome.err;
  std::string errors;
  size_t count = 0;
  for (size_t begin = 0; begin < outcome.err.size();) {
    const size_t end = std::min(outcome.err.find('\n', begin), outcome.err.size());
    const std::string line = outcome.err.substr(begin, end - begin);
    begin = end + 1;
    EXPECT_TRUE(line.starts_with("brume: ")) << line;
    if (line.starts_with("brume: note: ")) continue;
    errors += line;
    ++count;
  }
  EXPECT_EQ(count, 1U) << outcome.err;
  EXPECT_EQ(errors.find("internal error"), std::string::npos) << errors;
  for (const std::string& part : parts)
    EXPECT_NE(errors.find(part), std::string::npos) << part << "\n" << errors;
}

}  // namespace brume::testing
