// An engine's library as another version of the program would bring it: it must never be called.
#include <cstddef>
#include <cstdlib>

extern "C" {

struct Stamp {
  const char* version;
  size_t work_bytes;
};
extern const Stamp brume_engine_stamp;
const Stamp brume_engine_stamp = {"brume 0.0.0", 0};

int brume_engine_work(const void* /*work*/) { std::abort(); }

}  // extern "C"
