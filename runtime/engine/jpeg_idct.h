// From the coefficients of a block to its samples at 1/8, 1/4, 1/2 or full size: the integer arithmetic of libjpeg's
// accurate method (Loeffler, Ligtenberg and Moschytz, ICASSP 1989, in 13-bit fractions), whose smaller sizes leave out the
// frequencies that they cannot show. Libraries differ in what they do with numbers beyond 16 bits: blocks with such, which
// no encoder makes, are told.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace evqa {

// Bits beyond these in a coefficient, an intermediate or an unclamped sample: what every library computes alike.
constexpr uint32_t kWideCoefficient = ~0x3FFFu, kWideSample = ~0x1FFu;

// The bits of a number's magnitude (of a negative one: of its complement).
inline uint32_t magnitude(int32_t x) { return static_cast<uint32_t>(x ^ (x >> 31)); }

inline uint8_t clamp_sample(int32_t x) {
  x += 128;
  return static_cast<uint8_t>(x < 0 ? 0 : x > 255 ? 255 : x);
}

// block: 8 x 8 coefficients times their quantisation, row by row. Writes size x size samples, `stride` bytes from row to
// row. Returns 0, or another number where libraries might differ.
using Idct = uint32_t (*)(const int16_t* block, uint8_t* out, ptrdiff_t stride);

uint32_t idct_2(const int16_t* block, uint8_t* out, ptrdiff_t stride);
uint32_t idct_4(const int16_t* block, uint8_t* out, ptrdiff_t stride);
uint32_t idct_8(const int16_t* block, uint8_t* out, ptrdiff_t stride);

// One sample of the first coefficient alone.
inline uint32_t idct_1(int32_t first, uint8_t* out) {
  const int32_t sample = (first + 4) >> 3;
  *out = clamp_sample(sample);
  return magnitude(sample) & kWideSample;
}

}  // namespace evqa
