// The sizes of this processor's caches: how many rows and channels of a map are worked on at a time.
#pragma once

#include <stddef.h>

namespace evqa {

struct Caches {
  size_t nearest;  // bytes of a core's first data cache
  size_t second;   // bytes of the one behind it, which cores may share
};

// As the system tells it. Where it does not (old kernels of ARM boards), by the name of the core; else 32 KB and 256 KB.
Caches caches();

// The same, reading sys/ below `root`, which ends without a slash, on a core whose MIDR_EL1 is `name` (0: unknown).
Caches caches_at(const char* root, unsigned long name);

}  // namespace evqa
