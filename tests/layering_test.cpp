#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

// The arrows of the house: who may include whom. Siblings never include each other.
namespace {

namespace fs = std::filesystem;

const std::map<std::string, std::set<std::string>> kMayInclude = {
    {"base", {}},
    {"weights", {"base"}},
    {"kernels", {"base"}},
    {"nn", {"weights", "kernels", "base"}},
    {"text", {"nn", "weights", "kernels", "base"}},
    {"unet", {"nn", "weights", "kernels", "base"}},
    {"vae", {"nn", "weights", "kernels", "base"}},
    {"diffusion", {"base"}},
    {"image", {"base"}},
    {"pipeline", {"text", "unet", "vae", "diffusion", "image", "nn", "weights", "kernels", "base"}},
    {"batch", {"pipeline", "text", "diffusion", "image", "base"}},
    {"gallery", {"batch", "image", "base"}},
    {"bench", {"pipeline", "text", "unet", "vae", "nn", "image", "kernels", "base"}},
    {"cli",
     {"batch", "gallery", "bench", "pipeline", "text", "diffusion", "image", "weights", "kernels", "base"}},
};

/// Third-party headers and the rooms that may open them.
const std::map<std::string, std::set<std::string>> kDoors = {
    {"CLI/", {"cli"}},
    {"spng.h", {"image"}},
    {"turbojpeg.h", {"image"}},
    {"utf8proc.h", {"text"}},
    {"nlohmann/", {"base", "weights", "text", "image", "batch", "gallery", "bench", "cli"}},
    {"openssl/", {"base"}},
    {"cuda", {"kernels"}},
    {"cudnn", {"kernels"}},
    {"cublas", {"kernels"}},
    {"ATen/cuda/", {"kernels"}},
    {"c10/cuda/", {"kernels"}},
    {"boost/", {"base", "batch", "diffusion", "weights"}},
};

/// The room an included path belongs to; empty for a file beside the includer and for the outside world.
std::string room_of(const std::string& included) {
  static const std::regex kOurs("(?:brume/([a-z]+)/|(kernels)/).*");
  std::smatch match;
  if (!std::regex_match(included, match, kOurs)) return {};
  return match[1].matched ? match[1].str() : match[2].str();
}

/// What is wrong with a line of a file in `room`, or nothing.
std::string fault_of(const std::string& room, const std::string& line) {
  static const std::regex kInclude("\\s*#\\s*include\\s*[<\"]([^>\"]+)[>\"].*");
  std::smatch match;
  if (!std::regex_match(line, match, kInclude)) return {};
  const std::string included = match[1];
  const std::string other = room_of(included);
  if (!other.empty() && other != room && !kMayInclude.at(room).contains(other))
    return room + " includes " + included;
  if (included.find("..") != std::string::npos) return room + " leaves its folder by " + included;
  for (const auto& [header, rooms] : kDoors) {
    if (included.starts_with(header) && !rooms.contains(room)) return room + " opens the door of " + header;
  }
  return {};
}

std::vector<fs::path> sources_below(const fs::path& directory) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    const std::string extension = entry.path().extension();
    if (extension == ".h" || extension == ".cpp" || extension == ".cu" || extension == ".cuh")
      files.push_back(entry.path());
  }
  return files;
}

TEST(Layering, EveryIncludeFollowsTheArrows) {
  const fs::path project = BRUME_PROJECT;
  std::map<std::string, int> files_in;
  for (const auto& [room, others] : kMayInclude) {
    std::vector<fs::path> places{project / "src" / room, project / "include" / "brume" / room};
    if (room == "kernels") places = {project / "kernels"};
    for (const fs::path& place : places) {
      if (!fs::exists(place)) continue;
      for (const fs::path& file : sources_below(place)) {
        ++files_in[room];
        std::ifstream text(file);
        for (std::string line; std::getline(text, line);) {
          EXPECT_EQ(fault_of(room, line), "") << file;
        }
      }
    }
  }
  for (const auto& [room, others] : kMayInclude) EXPECT_GT(files_in[room], 0) << "no file in " << room;
}

TEST(Layering, EveryFolderIsARoom) {
  for (const fs::path place : {"src", "include/brume"}) {
    for (const auto& entry : fs::directory_iterator(fs::path(BRUME_PROJECT) / place)) {
      if (!entry.is_directory()) continue;
      EXPECT_TRUE(kMayInclude.contains(entry.path().filename())) << entry.path();
    }
  }
}

TEST(Layering, WrongArrowsAreSeen) {
  EXPECT_NE(fault_of("base", "#include \"brume/weights/weights.h\""), "");
  EXPECT_NE(fault_of("unet", "#  include <brume/vae/tiling.h>"), "");
  EXPECT_NE(fault_of("diffusion", "#include \"kernels/attention.h\""), "");
  EXPECT_NE(fault_of("nn", "#include \"../text/remarks.h\""), "");
  EXPECT_NE(fault_of("pipeline", "#include <CLI/CLI.hpp>"), "");
  EXPECT_EQ(fault_of("unet", "#include \"brume/nn/conv2d.h\""), "");
  EXPECT_EQ(fault_of("cli", "#include \"commands.h\""), "");
}

}  // namespace
