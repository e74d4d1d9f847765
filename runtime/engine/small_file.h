// Files of one line that Linux tells about the machine in.
#pragma once

#include <stddef.h>

namespace evqa {

// The beginning of a file as a text; false when it cannot be read or is empty. Linux only, false elsewhere.
bool read_text(const char* path, char* text, size_t size);

}  // namespace evqa
