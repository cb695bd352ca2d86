// safetensors_verdict [FILE...]: one line a file, "accept", or "reject" and the reason, after the path and a
// tab. Without arguments the paths come from standard input, one a line.
#include <iostream>

#include "brume/weights/safetensors.h"

namespace {

void judge(const std::string& path) {
  try {
    const brume::SafetensorsFile file(path);
    std::cout << path << "\taccept\n";
  } catch (const brume::Error& error) {
    std::cout << path << "\treject " << error.what() << "\n";
  }
}

}  // namespace

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) judge(argv[i]);
  std::string path;
  while (argc == 1 && std::getline(std::cin, path)) judge(path);
  return 0;
}
