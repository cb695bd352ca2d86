#pragma once
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>

#include "brume/image/png.h"
#include "cli_fixture.h"

namespace brume::testing {

using Pictures = std::map<std::string, std::string>;  // name -> bytes

inline constexpr int kSignalled = 128;

class BatchCommand : public CommandLine {
 protected:
  void SetUp() override {
    CommandLine::SetUp();
    std::filesystem::create_directory(directory_ / "out");
  }

  void write_jobs(const std::string& text) const { std::ofstream(directory_ / "jobs.txt") << text; }
  /// `count` jobs of all grammars, with different words, steps, seeds, sizes and samplers.
  void write_mixed_jobs(int count) const {
    std::ostringstream text;
    for (int i = 0; i < count; ++i) {
      if (i % 4 == 0) text << "a fox number " << i << "\n";
      if (i % 4 == 1) text << "--prompt \"owl " << i << "\" --steps " << 1 + i % 3 << "\n";
      if (i % 4 == 2) text << "a house " << i << " --d " << i << " --l 3 --n rain\n";
      if (i % 4 == 3)
        text << R"({"prompt": "boat )" << i << R"(", "sampler": "ddpm", "width": 48})"
             << "\n";
    }
    write_jobs(text.str());
  }

  static Words words(const Words& more, const std::string& to = "out") {
    Words all{"batch", "jobs.txt", "-o", to,        "-m", model("sd1").string(), "-W",
              "64",    "-H",       "64", "--steps", "2",  "--cfg-scale",         "2"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  Outcome batch(const Words& more = {}, const std::string& to = "out", double patience = 120) const {
    return Program({.arguments = words(more, to), .directory = directory_}).finish(patience);
  }

  nlohmann::json planned(const Words& more = {}) const {
    Words all{"--plan", "--json"};
    all.insert(all.end(), more.begin(), more.end());
    const Outcome outcome = batch(all);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return nlohmann::json::parse(outcome.out);
  }

  Pictures pictures(const std::string& of = "out") const {
    Pictures found;
    for (const auto& entry : std::filesystem::directory_iterator(directory_ / of)) {
      const std::string name = entry.path().filename();
      if (name.ends_with(".png")) found[name] = bytes_of(of + "/" + name);
      EXPECT_FALSE(name.starts_with(".") && name.find("tmp") != std::string::npos) << name << " is left over";
    }
    return found;
  }
  /// The pictures by what they are, whatever their names.
  Pictures pictures_by_key(const std::string& of = "out") const {
    Pictures by_key;
    for (const auto& [name, bytes] : pictures(of)) {
      for (const PngText& text : read_png_texts(std::as_bytes(std::span(bytes)), name)) {
        if (text.keyword != "brume") continue;
        const std::string key = nlohmann::json::parse(text.text).at("key");
        EXPECT_TRUE(by_key.emplace(key, bytes).second) << name << " is there twice";
      }
    }
    return by_key;
  }
  nlohmann::json summary(const Words& more = {}) const {
    Words all = more;
    all.emplace_back("--json");
    const Outcome outcome = batch(all);
    EXPECT_EQ(outcome.signal, 0);
    return nlohmann::json::parse(outcome.out);
  }
};

inline size_t lines_in(const std::string& text) {
  return static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
}

}  // namespace brume::testing
