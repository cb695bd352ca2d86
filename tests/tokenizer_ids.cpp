// Prints the ids that brume gives each string, for tools/oracle/tokenizer_oracle.py:
//   tokenizer_ids DIRECTORY < STRINGS
// One JSON string a line in, one JSON list a line out.
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "brume/base/error.h"
#include "brume/text/tokenizer.h"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  try {
    const brume::Tokenizer tokenizer = brume::Tokenizer::open(argv[1]);
    for (std::string line; std::getline(std::cin, line);) {
      std::cout << nlohmann::json(tokenizer.encode(nlohmann::json::parse(line).get<std::string>())) << '\n';
    }
  } catch (const brume::Error& error) {
    std::cerr << error.what() << '\n';
    return static_cast<int>(error.code());
  }
}
