// The coded blocks' bits, first bit first. A byte 0xFF is followed by a 0 that does not count; any other byte behind it
// makes it a marker, where the bits end. Beyond them come zeros, which are counted.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

namespace evqa {

struct BitReader {
  uint64_t bits;         // the next ones, from the top
  int count;             // how many of them are there
  int beyond;            // bytes of zeros that were added where the bits had ended
  const uint8_t *at;     // the next byte
  const uint8_t *plain;  // the next 0xFF, or the end
  const uint8_t *end;

  void start(const uint8_t* from) {
    bits = 0;
    count = beyond = 0;
    at = from;
    plain = next_ff(from, end);
  }

  // At least 56 bits are there afterwards.
  void refill() {
    if (plain - at >= 8) {
      uint64_t eight;
      memcpy(&eight, at, 8);
      // What lies below the counted bits is the beginning of the next byte, which will be the same when it is counted.
      bits |= __builtin_bswap64(eight) >> count;
      at += (63 - count) >> 3;
      count |= 56;
    } else {
      *this = refilled_by_bytes(*this);
    }
  }

  void drop(int n) {
    bits <<= n;
    count -= n;
  }

  // Whether more was read than is there.
  bool overrun() const { return beyond * 8 > count; }

  // Whether all bits but the padding of the last byte have been read, and a marker follows.
  bool at_marker() const {
    const int left = count - beyond * 8;
    return left >= 0 && left < 8 && end - at >= 2 && at == plain && at[1] != 0;
  }

  // Goes on behind the restart marker of this number, 0 to 7. False: it is not there.
  bool restart(int number) {
    if (!at_marker() || at[1] != 0xD0 + number) return false;
    start(at + 2);
    return true;
  }

  static const uint8_t* next_ff(const uint8_t* from, const uint8_t* end) {
    const void* found = from < end ? memchr(from, 0xFF, static_cast<size_t>(end - from)) : nullptr;
    return found ? static_cast<const uint8_t*>(found) : end;
  }

  // By value, so that the caller's reader may stay in registers.
  static BitReader refilled_by_bytes(BitReader reader);
};

}  // namespace evqa
