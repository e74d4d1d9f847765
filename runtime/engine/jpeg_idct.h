// From the coefficients of a block to its samples at 1/8, 1/4, 1/2 or full size: the integer arithmetic of libjpeg's
// accurate method (Loeffler, Ligtenberg and Moschytz, ICASSP 1989, in 13-bit fractions), whose smaller sizes leave out
// the frequencies that they cannot show. Libraries differ in what they do with numbers beyond 16 bits: blocks with
// such, which no encoder makes, are told.
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

// The place in a block, row by row, of each coefficient in the order of the file.
constexpr uint8_t kZigzag[64] = {0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,  12, 19, 26, 33, 40, 48,
                                 41, 34, 27, 20, 13, 6,  7,  14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23,
                                 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63};

// block: 8 x 8 coefficients times their quantisation, row by row, at a multiple of 16 bytes. Writes 4 x 4 or 8 x 8
// samples, `stride` bytes from row to row. Returns 0, or another number where libraries might differ.
uint32_t idct_4(const int16_t* block, uint8_t* out, ptrdiff_t stride);
uint32_t idct_8(const int16_t* block, uint8_t* out, ptrdiff_t stride);

// For 2 x 2 samples few coefficients count, so each is added, as it comes, to the sum that it belongs to.
struct Sums2 {
  static constexpr int kSums = 11;  // of each used column even and odd rows; and what is not used
  int32_t sums[kSums];

  // k: the coefficient's number in the file's order.
  void add(uint32_t k, int32_t value);
  uint32_t finish(uint8_t* out, ptrdiff_t stride) const;
};

struct Place2 {
  int32_t weight, sum;
};
extern const struct Places2 {
  Place2 of[64];
} kPlaces2;

inline void Sums2::add(uint32_t k, int32_t value) {
  const Place2 place = kPlaces2.of[k];
  const uint32_t product = static_cast<uint32_t>(value) * static_cast<uint32_t>(place.weight);
  sums[place.sum] = static_cast<int32_t>(static_cast<uint32_t>(sums[place.sum]) + product);
}

// One sample of the first coefficient alone.
inline uint32_t idct_1(int32_t first, uint8_t* out) {
  const int32_t sample = (first + 4) >> 3;
  *out = clamp_sample(sample);
  return magnitude(sample) & kWideSample;
}

}  // namespace evqa
