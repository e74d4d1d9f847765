#include "jpeg_bits.h"

namespace evqa {

const uint8_t* JpegBytes::start(const uint8_t* from) {
  next = from;
  last = bytes;
  ended = false;
  return fill(bytes);
}

const uint8_t* JpegBytes::fill(const uint8_t* at) {
  if (ended) return at < last + 8 ? at : last + 8;  // zeros, for ever
  const ptrdiff_t rest = last - at;
  memmove(bytes, at, static_cast<size_t>(rest));
  uint8_t* to = bytes + rest;
  for (ptrdiff_t room; !ended && (room = bytes + kRoom - to) > 0;) {
    const ptrdiff_t there = end - next;
    const size_t most = static_cast<size_t>(there < room ? there : room);
    const void* found = memchr(next, 0xFF, most);
    const size_t plain = found ? static_cast<size_t>(static_cast<const uint8_t*>(found) - next) : most;
    memcpy(to, next, plain);
    to += plain;
    next += plain;
    if (found && end - next >= 2 && next[1] == 0) {
      *to++ = 0xFF;
      next += 2;
    } else {
      ended = found || next == end;
    }
  }
  last = to;
  memset(to, 0, kZeros);
  limit = ended ? last : last - 8;
  return bytes;
}

}  // namespace evqa
