#include "small_file.h"

#if defined(__linux__)
#include <fcntl.h>
#include <unistd.h>
#endif

namespace evqa {

bool read_text(const char* path, char* text, size_t size) {
#if defined(__linux__)
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  size_t filled = 0;
  while (filled < size - 1) {
    const ssize_t got = read(file, text + filled, size - 1 - filled);
    if (got <= 0) break;
    filled += static_cast<size_t>(got);
  }
  close(file);
  text[filled] = '\0';
  return filled > 0;
#else
  (void)path, (void)text, (void)size;
  return false;
#endif
}

}  // namespace evqa
