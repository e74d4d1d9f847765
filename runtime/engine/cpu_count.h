// How many threads a model takes when nobody says.
#pragma once

#include <stdint.h>

namespace evqa {

constexpr int kMostDefaultThreads = 4;

// At most 4, the physical cores that this process may run on, and its cgroup's CPU quota rounded up; at least 1.
int default_threads();

// The same for the processors whose bits are set in `usable` (bit i of byte i / 8), reading sys/ and proc/ below
// `root`, which ends without a slash. For tests; Linux only, 1 elsewhere.
int default_threads_at(const char* root, const uint8_t* usable, int processors);

}  // namespace evqa
