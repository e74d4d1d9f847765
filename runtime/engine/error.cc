#include "error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

namespace evqa {
namespace {

thread_local char text[kErrorBytes];

// Bytes of `s` that remain when a UTF-8 character that the buffer's end cut in two is dropped.
size_t whole_characters(const char* s, size_t length) {
  size_t start = length;
  while (start > 0 && length - start < 4) {
    const unsigned char byte = static_cast<unsigned char>(s[--start]);
    if (byte < 0x80) return length;
    if (byte < 0xC0) continue;
    const size_t needed = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : 2;
    return length - start < needed ? start : length;
  }
  return length;
}

}  // namespace

void set_error(const char* format, ...) {
  char fresh[kErrorBytes];
  va_list arguments;
  va_start(arguments, format);
  const int written = vsnprintf(fresh, sizeof fresh, format, arguments);
  va_end(arguments);
  size_t length = 0;
  if (written > 0) {
    length = static_cast<size_t>(written);
    if (length >= sizeof fresh) length = whole_characters(fresh, sizeof fresh - 1);
  }
  memcpy(text, fresh, length);
  text[length] = '\0';
}

const char* last_error() { return text; }

void clear_error() { text[0] = '\0'; }

}  // namespace evqa
