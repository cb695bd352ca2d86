#include "memory_use.h"

#include <cstdlib>
#if defined(__GLIBC__)
#include <malloc.h>
#endif

namespace brume::cli {

void keep_memory() {
#if defined(__GLIBC__)
  constexpr int kMost = 1 << 30;
  mallopt(M_MMAP_MAX, 0);            // nothing is mapped apart
  mallopt(M_TRIM_THRESHOLD, kMost);  // and little given back
#endif
  // libtorch's allocator asks for large pages (MADV_HUGEPAGE) where this is set.
  setenv("THP_MEM_ALLOC_ENABLE", "1", /*overwrite=*/0);
}

}  // namespace brume::cli
