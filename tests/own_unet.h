#pragma once
#include <filesystem>
#include <string>

namespace brume::testing {

/// Makes `place` a model directory of a UNet of tests/reference/pictures/unets ("inpaint_sd1", ...) and of
/// the other parts of the tiny model that it is named after.
inline std::filesystem::path own_unet_model(const std::filesystem::path& place, const std::string& unet) {
  namespace fs = std::filesystem;
  const fs::path reference = fs::path(BRUME_TEST_DATA) / "reference";
  fs::create_directories(place);
  for (const fs::path& parts :
       {reference / "pictures/unets" / unet, reference / unet.substr(unet.find('_') + 1)}) {
    for (const fs::directory_entry& part : fs::directory_iterator(parts)) {
      const fs::path here = place / part.path().filename();
      if (fs::exists(here)) continue;
      if (part.is_directory())
        fs::create_directory_symlink(part.path(), here);
      else
        fs::copy_file(part.path(), here);
    }
  }
  return place;
}

}  // namespace brume::testing
