// safetensors_corpus DIR: writes every hand-made file as DIR/ROW-NAME.safetensors, for the oracle.
#include <filesystem>
#include <fstream>
#include <iostream>

#include "corpus.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: safetensors_corpus DIR\n";
    return 2;
  }
  const std::filesystem::path directory = argv[1];
  std::filesystem::create_directories(directory);
  for (const auto& one : brume::testing_corpus::safetensors_corpus())
    std::ofstream(directory / (one.rule + "-" + one.name + ".safetensors"), std::ios::binary) << one.bytes();
  return 0;
}
