#include "brume/base/directory.h"

#include <system_error>

namespace brume {

void for_each_entry(const std::filesystem::path& directory, ExitCode code,
                    const std::function<void(const std::filesystem::directory_entry&)>& visit) {
  std::error_code failed;
  std::filesystem::directory_iterator entry(directory, failed);
  for (; !failed && entry != std::filesystem::directory_iterator(); entry.increment(failed)) visit(*entry);
  if (failed)
    throw Error(code, directory.string(), "cannot list: " + failed.message(),
                "check the path, its permissions and its disk");
}

}  // namespace brume
