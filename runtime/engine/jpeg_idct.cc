#include "jpeg_idct.h"

#include <string.h>

#if defined(__x86_64__)
#include <emmintrin.h>
#endif

namespace evqa {
namespace {

constexpr int kFraction = 13, kExtra = 2;  // bits: of the constants; that intermediates keep

// Each transform is a matrix in 13-bit fractions (of a smaller size: with a bit or two more), here by the parity of the
// frequencies: what odd ones give is added in the first half of the samples, and subtracted in the mirrored second one.
//
// 8 samples: even[i] = x0 +- x4 and the turns of x2, x6; odd[i] = sum_j kOdd8[i][j] x(2j+1).
constexpr int32_t kOdd8[4][4] = {
    {11363, 9633, 6437, 2260}, {9633, -2259, -11362, -6436}, {6437, -11362, 2261, 9633}, {2260, -6436, 9633, -11363}};
constexpr int32_t kEven8[2][2] = {{10703, 4433}, {4433, -10704}};
// 4 samples of x0, x1, x2, x3, x5, x6, x7, in 14-bit fractions.
constexpr int32_t kOdd4[2][4] = {{20995, 7373, -4926, -4176}, {8697, -17799, 11893, -1730}};
constexpr int32_t kEven4[2] = {15137, -6270};
// 2 samples of x0, x1, x3, x5, x7, in 15-bit fractions.
constexpr int32_t kOdd2[4] = {29692, -10426, 6967, -5906};

template <int bits>
int32_t rounded(int32_t x) {
  return (x + (1 << (bits - 1))) >> bits;
}

int32_t odd_sum(const int32_t (&weights)[4], int32_t a, int32_t b, int32_t c, int32_t d) {
  return weights[0] * a + weights[1] * b + weights[2] * c + weights[3] * d;
}

constexpr int kDown = kFraction - kExtra, kAcross = kFraction + kExtra + 3;

constexpr Places2 places_2() {
  constexpr int kColumns[8] = {0, 1, -1, 2, -1, 3, -1, 4};
  Places2 places = {};
  for (int k = 0; k < 64; ++k) {
    const int row = kZigzag[k] / 8, column = kColumns[kZigzag[k] % 8];
    const bool used = column >= 0 && (row == 0 || row % 2);
    places.of[k] = {row ? kOdd2[row / 2] : 1 << (kFraction + 2), used ? 2 * column + row % 2 : Sums2::kSums - 1};
  }
  return places;
}

#if defined(__x86_64__)
#include "jpeg_idct_x86.inc"
#else
// x: eight frequencies, `step` apart. y: the samples, `step` apart, with `shift` fraction bits less.
template <int shift, class In>
inline void inverse_8(const In* x, int step, int32_t* y) {
  const int32_t a = (x[0] + x[4 * step]) * (1 << kFraction), b = (x[0] - x[4 * step]) * (1 << kFraction);
  const int32_t c = kEven8[0][0] * x[2 * step] + kEven8[0][1] * x[6 * step];
  const int32_t d = kEven8[1][0] * x[2 * step] + kEven8[1][1] * x[6 * step];
  const int32_t even[4] = {a + c, b + d, b - d, a - c};
  for (int i = 0; i < 4; ++i) {
    const int32_t odd = odd_sum(kOdd8[i], x[step], x[3 * step], x[5 * step], x[7 * step]);
    y[i * step] = rounded<shift>(even[i] + odd);
    y[(7 - i) * step] = rounded<shift>(even[i] - odd);
  }
}

template <int shift, class In>
inline void inverse_4(const In* x, int step, int32_t* y) {
  const int32_t a = x[0] * (1 << (kFraction + 1)), c = kEven4[0] * x[2 * step] + kEven4[1] * x[6 * step];
  const int32_t even[2] = {a + c, a - c};
  for (int i = 0; i < 2; ++i) {
    const int32_t odd = odd_sum(kOdd4[i], x[step], x[3 * step], x[5 * step], x[7 * step]);
    y[i * step] = rounded<shift + 1>(even[i] + odd);
    y[(3 - i) * step] = rounded<shift + 1>(even[i] - odd);
  }
}

// Clamps a block of samples, column by column; tells wide ones.
template <int size>
inline uint32_t finish(const int32_t (&samples)[8][8], uint8_t* out, ptrdiff_t stride) {
  uint32_t wide = 0;
  for (int y = 0; y < size; ++y)
    for (int x = 0; x < size; ++x) {
      wide |= magnitude(samples[x][y]);
      out[y * stride + x] = clamp_sample(samples[x][y]);
    }
  return wide & kWideSample;
}
#endif

}  // namespace

#if defined(__x86_64__)

uint32_t idct_8(const int16_t* block, uint8_t* out, ptrdiff_t stride) {
  __m128i x[8];
  load_rows(block, x);
  inverse_8<kDown>(x);
  if (const uint32_t wide = beyond<8>(x, kCoefficients)) return wide;
  transpose(x);
  inverse_8<kAcross>(x);
  if (const uint32_t wide = beyond<8>(x, kSamples)) return wide;
  transpose(x);
  for (int y = 0; y < 8; y += 2) {
    const __m128i rows = bytes_of(x[y], x[y + 1]);
    _mm_storel_epi64(reinterpret_cast<__m128i*>(out + y * stride), rows);
    _mm_storel_epi64(reinterpret_cast<__m128i*>(out + (y + 1) * stride), _mm_unpackhi_epi64(rows, rows));
  }
  return 0;
}

uint32_t idct_4(const int16_t* block, uint8_t* out, ptrdiff_t stride) {
  __m128i x[8];
  load_rows(block, x);
  inverse_4<kDown>(x);
  if (const uint32_t wide = beyond<4>(x, kCoefficients)) return wide;
  for (int y = 4; y < 8; ++y) x[y] = _mm_setzero_si128();
  transpose(x);
  inverse_4<kAcross>(x);
  if (const uint32_t wide = beyond<4>(x, kSamples)) return wide;
  const __m128i front = _mm_unpacklo_epi16(x[0], x[1]), back = _mm_unpacklo_epi16(x[2], x[3]);
  alignas(16) uint8_t rows[16];
  const __m128i bytes = bytes_of(_mm_unpacklo_epi32(front, back), _mm_unpackhi_epi32(front, back));
  _mm_store_si128(reinterpret_cast<__m128i*>(rows), bytes);
  for (int y = 0; y < 4; ++y) memcpy(out + y * stride, rows + 4 * y, 4);
  return 0;
}

#else

uint32_t idct_8(const int16_t* block, uint8_t* out, ptrdiff_t stride) {
  int32_t down[8][8], turned[8][8], samples[8][8];
  uint32_t wide = 0;
  for (int x = 0; x < 8; ++x) inverse_8<kDown>(block + x, 8, down[0] + x);
  for (int x = 0; x < 8; ++x)
    for (int y = 0; y < 8; ++y) wide |= magnitude(turned[x][y] = down[y][x]);
  if (wide & kWideCoefficient) return wide;
  for (int y = 0; y < 8; ++y) inverse_8<kAcross>(turned[0] + y, 8, samples[0] + y);
  return finish<8>(samples, out, stride);
}

uint32_t idct_4(const int16_t* block, uint8_t* out, ptrdiff_t stride) {
  int32_t down[4][8], turned[8][8], samples[8][8];
  uint32_t wide = 0;
  for (int x = 0; x < 8; ++x) inverse_4<kDown>(block + x, 8, down[0] + x);
  for (int x = 0; x < 8; ++x)
    for (int y = 0; y < 4; ++y) wide |= magnitude(turned[x][y] = down[y][x]);
  if (wide & kWideCoefficient) return wide;
  for (int y = 0; y < 4; ++y) inverse_4<kAcross>(turned[0] + y, 8, samples[0] + y);
  return finish<4>(samples, out, stride);
}

#endif

constexpr Places2 kPlaces2 = places_2();

uint32_t Sums2::finish(uint8_t* out, ptrdiff_t stride) const {
  static constexpr int kColumns = 5;  // 0, 1, 3, 5, 7
  int32_t x[2][kColumns];
  uint32_t wide = 0;
  for (int i = 0; i < kColumns; ++i) {
    x[0][i] = rounded<kDown + 2>(sums[2 * i] + sums[2 * i + 1]);
    x[1][i] = rounded<kDown + 2>(sums[2 * i] - sums[2 * i + 1]);
    wide |= magnitude(x[0][i]) | magnitude(x[1][i]);
  }
  if (wide & kWideCoefficient) return wide;
  wide = 0;
  for (int y = 0; y < 2; ++y) {
    const int32_t even = x[y][0] * (1 << (kFraction + 2)), odd = odd_sum(kOdd2, x[y][1], x[y][2], x[y][3], x[y][4]);
    const int32_t left = rounded<kAcross + 2>(even + odd), right = rounded<kAcross + 2>(even - odd);
    wide |= magnitude(left) | magnitude(right);
    out[y * stride] = clamp_sample(left);
    out[y * stride + 1] = clamp_sample(right);
  }
  return wide & kWideSample;
}

}  // namespace evqa
