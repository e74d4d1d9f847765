// The coded blocks' bits, first bit first. A byte 0xFF is followed by a 0 that does not count; any other byte behind it
// makes it a marker, where the bits end. Beyond them come zeros.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

namespace evqa {

// The bytes up to the next marker, a few thousand at a time, without the zeros behind 0xFF.
struct JpegBytes {
  static constexpr ptrdiff_t kRoom = 4096, kZeros = 16;
  const uint8_t *next, *end;  // in the file
  const uint8_t* limit;       // from here on, eight bytes cannot be read without fill
  const uint8_t* last;        // behind the bytes that are here
  bool ended;                 // `next` is a marker, or the end of the file
  uint8_t bytes[kRoom + kZeros];

  // Begins at a place in the file; returns where its bytes are.
  const uint8_t* start(const uint8_t* from);

  // Fetches more bytes, or zeros behind the last. at: how far they have been read; returns where that is now.
  const uint8_t* fill(const uint8_t* at);
};

struct BitReader {
  uint64_t bits;  // the next ones, from the top
  int count;      // how many of them are there
  const uint8_t *at, *limit;
  JpegBytes* source;

  void start(const uint8_t* from) {
    bits = 0;
    count = 0;
    at = source->start(from);
    limit = source->limit;
  }

  // 56 to 63 bits are there afterwards.
  void refill() {
    if (at > limit) {
      at = source->fill(at);
      limit = source->limit;
    }
    uint64_t eight;
    memcpy(&eight, at, 8);
    // What lies below the counted bits is the beginning of the next byte, which will be the same when it is counted.
    bits |= __builtin_bswap64(eight) >> count;
    at += (63 - count) >> 3;
    count |= 56;
  }

  void drop(int n) {
    bits <<= n;
    count -= n;
  }

  // Bits that are there and not read; negative: more were read than there are. Right where the marker is near.
  ptrdiff_t left() const { return count + (source->last - at) * 8; }

  bool overrun() const { return source->ended && left() < 0; }

  // Whether all bits but the padding of the last byte have been read, and this marker follows.
  bool at_marker(int marker) {
    if (!source->ended) {
      at = source->fill(at);
      limit = source->limit;
    }
    const uint8_t* const next = source->next;
    return source->ended && left() >= 0 && left() < 8 && source->end - next >= 2 && next[1] == marker;
  }
};

}  // namespace evqa
