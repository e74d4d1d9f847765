#include "crc32.h"

#include <string.h>

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace evqa {
namespace {

constexpr uint32_t kPolynomial = 0xedb88320;  // lowest bit first
constexpr int kSlices = 8;

// Eight bytes at a time: entry [s][b] is what byte b does to the sum when s bytes follow it (Kounavis and Berry 2005).
// The tables are made anew each time, which takes less than a hundredth of a model's bytes do.
uint32_t crc32_plain(uint32_t crc, const uint8_t* data, size_t size) {
  uint32_t table[kSlices][256];
  for (uint32_t b = 0; b < 256; ++b) {
    uint32_t sum = b;
    for (int bit = 0; bit < 8; ++bit) sum = sum >> 1 ^ (sum & 1 ? kPolynomial : 0);
    table[0][b] = sum;
  }
  for (int s = 1; s < kSlices; ++s)
    for (int b = 0; b < 256; ++b) table[s][b] = table[s - 1][b] >> 8 ^ table[0][table[s - 1][b] & 255];
  for (; size >= kSlices; size -= kSlices, data += kSlices) {
    const uint32_t low = crc ^ (data[0] | static_cast<uint32_t>(data[1]) << 8 | static_cast<uint32_t>(data[2]) << 16 |
                                static_cast<uint32_t>(data[3]) << 24);
    crc = table[7][low & 255] ^ table[6][low >> 8 & 255] ^ table[5][low >> 16 & 255] ^ table[4][low >> 24] ^
          table[3][data[4]] ^ table[2][data[5]] ^ table[1][data[6]] ^ table[0][data[7]];
  }
  for (; size; --size, ++data) crc = crc >> 8 ^ table[0][(crc ^ *data) & 255];
  return crc;
}

#if defined(__aarch64__)
uint32_t crc32_fast(uint32_t crc, const uint8_t* data, size_t size) {
  for (; size >= 8; size -= 8, data += 8) {
    uint64_t eight;
    memcpy(&eight, data, sizeof eight);
    __asm__(".arch_extension crc\ncrc32x %w0, %w0, %x1" : "+r"(crc) : "r"(eight));
  }
  for (; size; --size, ++data) __asm__(".arch_extension crc\ncrc32b %w0, %w0, %w1" : "+r"(crc) : "r"(*data));
  return crc;
}
#endif

}  // namespace

bool crc32_has_instructions() {
#if defined(__aarch64__) && defined(__linux__)
  constexpr unsigned long kHwcapCrc32 = 1ul << 7;
  return getauxval(AT_HWCAP) & kHwcapCrc32;
#elif defined(__aarch64__) && defined(__APPLE__)
  return true;
#else
  return false;
#endif
}

uint32_t crc32_with(bool plain, const uint8_t* data, size_t size) {
#if defined(__aarch64__)
  if (!plain && crc32_has_instructions()) return ~crc32_fast(~0u, data, size);
#else
  (void)plain;
#endif
  return ~crc32_plain(~0u, data, size);
}

uint32_t crc32(const uint8_t* data, size_t size) { return crc32_with(false, data, size); }

}  // namespace evqa
