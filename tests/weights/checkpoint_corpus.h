#pragma once
#include <functional>
#include <string>
#include <vector>

namespace brume::testing_corpus {

/// A hand-made checkpoint file that must be refused.
struct HostileCheckpoint {
  std::string name;
  std::string message;                 // a part of the error
  std::function<std::string()> bytes;  // made when asked for: some are large
};
/// In three files, by what they attack: the pickle, the zip archive around it, the tensors.
std::vector<HostileCheckpoint> hostile_pickles();
std::vector<HostileCheckpoint> hostile_archives();
std::vector<HostileCheckpoint> hostile_tensors();
std::vector<HostileCheckpoint> hostile_checkpoints();

/// A hand-made checkpoint file that must be read.
struct BenignCheckpoint {
  std::string name;
  std::string bytes;
  std::vector<std::string> tensors;  // "NAME DTYPE [SHAPE] HEX", as the file's order is
  std::vector<std::string> notes;    // "KEY = VALUE" of the metadata, then the warnings
};
std::vector<BenignCheckpoint> benign_checkpoints();

}  // namespace brume::testing_corpus
