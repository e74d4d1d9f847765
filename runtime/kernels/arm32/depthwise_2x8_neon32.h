// 3x3 depthwise for ARMv7 with NEON: 2 pixels x 8 channels.
//
// Packed: 9 taps of 8 channels each. Taps are multiplied in pairs, t = vmull(tap); t = vmlal(t, next tap), which fits
// 16 bits as weights are not -128, then added to two vectors of sums; the ninth alone. Two pixels at once give an
// in-order core something to do while products arrive.
#pragma once

#include "requant_neon32.h"

namespace evqa {
namespace {

constexpr int kTapBytes = 9 * kTile;

size_t depthwise_packed_bytes(int channels) { return static_cast<size_t>(tiles(channels)) * kTapBytes; }

void depthwise_pack(int channels, const int8_t* weights, void* packed) {
  int8_t* p = static_cast<int8_t*>(packed);
  for (int first = 0; first < channels; first += kTile)
    for (int tap = 0; tap < 9; ++tap)
      for (int c = first; c < first + kTile; ++c) *p++ = c < channels ? weights[tap * channels + c] : 0;
}

// Eight channels, or the last `n` of a pixel.
template <bool kPart>
EVQA_INLINE int8x8_t load_channels(const uint8_t* p, int n) {
  if (!kPart) return vreinterpret_s8_u8(vld1_u8(p));
  uint8_t some[kTile] = {};
  memcpy(some, p, static_cast<size_t>(n));
  return vreinterpret_s8_u8(vld1_u8(some));
}

EVQA_INLINE void add_products(int32x4_t (&acc)[1][2], int16x8_t t) {
  acc[0][0] = vaddw_s16(acc[0][0], vget_low_s16(t));
  acc[0][1] = vaddw_s16(acc[0][1], vget_high_s16(t));
}

// One tile of channels of one output row.
struct Filter {
  const uint8_t* rows[3];
  ptrdiff_t pitch;
  const int8_t* packed;
  const int32_t* bias;
  const float* scale;
  Requant q;
  int n;  // channels
};

// Whatever filter_pairs does not: bounds, fewer than 8 channels, the last pixel of an odd number.
template <bool kPart>
EVQA_INLINE void filter_pixel(const Filter& f, uint8_t* out) {
  int32x4_t acc[1][2] = {{vld1q_s32(f.bias), vld1q_s32(f.bias + 4)}};
  int16x8_t t = vdupq_n_s16(0);
  EVQA_UNROLL for (int tap = 0; tap < 9; ++tap) {
    const int8x8_t x = load_channels<kPart>(f.rows[tap / 3] + tap % 3 * f.pitch, f.n);
    const int8x8_t w = vld1_s8(f.packed + tap * kTile);
    t = tap % 2 ? vmlal_s8(t, x, w) : vmull_s8(x, w);
    if (tap % 2 || tap == 8) add_products(acc, t);
  }
  Edge<1> edge;
  requant_rows<1>(acc, f.scale, f.q, nullptr, kPart ? edge.out : out, 0);
  if (kPart) edge.give(out, 0, f.n);
}

// Two pixels at a time, in assembler, as compilers keep a dozen pointers in memory. Pixels' columns are in d0..d4 (with
// stride 1 to d3), of which the first pixel takes d0 d1 d2 and the second `b0 b1 b2`; products in q3 q4 and, of a row's
// third tap with the next row's first, q5 q6; weights in d14..d22; sums in q12..q15, two a pixel.
// clang-format off
#define EVQA_D_MUL(t0, t1, w, x0, x1) "vmull.s8 q" #t0 ", d" #x0 ", d" #w "\nvmull.s8 q" #t1 ", d" #x1 ", d" #w "\n"
#define EVQA_D_MLA(t0, t1, w, x0, x1) "vmlal.s8 q" #t0 ", d" #x0 ", d" #w "\nvmlal.s8 q" #t1 ", d" #x1 ", d" #w "\n"
#define EVQA_D_ADD(low0, high0, low1, high1) \
  "vaddw.s16 q12, q12, d" #low0 "\nvaddw.s16 q13, q13, d" #high0 "\n" \
  "vaddw.s16 q14, q14, d" #low1 "\nvaddw.s16 q15, q15, d" #high1 "\n"
#define EVQA_D_ADD_T EVQA_D_ADD(6, 7, 8, 9)
#define EVQA_D_ADD_ODD EVQA_D_ADD(10, 11, 12, 13)
#define EVQA_D_NEXT(d, row) "vld1.8 {d" #d "}, [%[p" #row "]], %[pitch]\n"
// Both leave the pointer at the column where the next two pixels begin.
#define EVQA_D_LOAD1(row) \
  EVQA_D_NEXT(0, row) EVQA_D_NEXT(1, row) EVQA_D_NEXT(2, row) "vld1.8 {d3}, [%[p" #row "]], %[back]\n"
#define EVQA_D_LOAD2(row) \
  EVQA_D_NEXT(0, row) EVQA_D_NEXT(1, row) EVQA_D_NEXT(2, row) EVQA_D_NEXT(3, row) "vld1.8 {d4}, [%[p" #row "]]\n"
#define EVQA_D_ROWS(step) step(12, 13, 24, 25) step(14, 15, 28, 29)

#define EVQA_FILTER_PAIRS(load, b0, b1, b2) \
  __asm__ volatile( \
      "1:\n" load(0) "vld1.32 {d24-d27}, [%[k]]!\nvmov q14, q12\nvmov q15, q13\n" \
      EVQA_D_MUL(3, 4, 14, 0, b0) EVQA_D_MUL(5, 6, 16, 2, b2) EVQA_D_MLA(3, 4, 15, 1, b1) \
      load(1) EVQA_D_ADD_T \
      EVQA_D_MLA(5, 6, 17, 0, b0) EVQA_D_MUL(3, 4, 18, 1, b1) EVQA_D_ADD_ODD EVQA_D_MLA(3, 4, 19, 2, b2) \
      load(2) \
      EVQA_D_MUL(5, 6, 20, 0, b0) EVQA_D_ADD_T EVQA_D_MUL(3, 4, 22, 2, b2) EVQA_D_MLA(5, 6, 21, 1, b1) \
      EVQA_D_ADD_T EVQA_D_ADD_ODD \
      "vld1.32 {d0-d3}, [%[k]]!\nvld1.32 {d4-d7}, [%[k]]\nsub %[k], %[k], #64\nsubs %[pairs], %[pairs], #1\n" \
      EVQA_Q_ROWS(EVQA_D_ROWS) \
      "bne 1b\n" \
      : [p0] "+r"(p0), [p1] "+r"(p1), [p2] "+r"(p2), [out] "+r"(out), [pairs] "+r"(pairs), [k] "+r"(k) \
      : "w"(q7), "w"(q8), "w"(q9), "w"(q10), "w"(d22), [pitch] "r"(f.pitch), [back] "r"(-f.pitch) \
      : "q0", "q1", "q2", "q3", "q4", "q5", "q6", "q12", "q13", "q14", "q15", "cc", "memory")
#define EVQA_D_WEIGHTS(n, at) register int8x16_t q##n __asm__("q" #n) = vld1q_s8(f.packed + at)
// clang-format on

template <int kStride>
EVQA_INLINE void filter_pairs(const Filter& f, int pairs, uint8_t* out) {
  struct {
    int32_t bias[kTile];
    float scale[kTile];
    Plain plain;
  } constants = {{}, {}, Plain(f.q.zero)};
  memcpy(constants.bias, f.bias, sizeof constants.bias);
  memcpy(constants.scale, f.scale, sizeof constants.scale);
  static_assert(sizeof constants == 96);
  const void* k = &constants;
  const uint8_t *p0 = f.rows[0], *p1 = f.rows[1], *p2 = f.rows[2];
  EVQA_D_WEIGHTS(7, 0);
  EVQA_D_WEIGHTS(8, 16);
  EVQA_D_WEIGHTS(9, 32);
  EVQA_D_WEIGHTS(10, 48);
  register int8x8_t d22 __asm__("d22") = vld1_s8(f.packed + 64);
  if (kStride == 1)
    EVQA_FILTER_PAIRS(EVQA_D_LOAD1, 1, 2, 3);
  else
    EVQA_FILTER_PAIRS(EVQA_D_LOAD2, 2, 3, 4);
}

template <int kStride>
void filter_row(const DepthwiseArgs& a, int out_row, int channel, int pixel, int pixels) {
  const ptrdiff_t pitch = a.pitch;
  const int n = a.channels - channel;
  Filter f = {{}, pitch, static_cast<const int8_t*>(a.packed) + channel * 9, a.bias + channel, a.scale + channel,
              requant_of(a), n};
  for (int r = 0; r < 3; ++r) f.rows[r] = a.rows[out_row * kStride + r] + pixel * kStride * pitch + channel;
  uint8_t* out = a.out[out_row] + pixel * pitch + channel;
  const int pairs = n < kTile || f.q.clamps() ? 0 : pixels / 2;
  if (pairs) filter_pairs<kStride>(f, pairs, out);
  for (int r = 0; r < 3; ++r) f.rows[r] += 2 * pairs * kStride * pitch;
  out += 2 * pairs * pitch;
  for (int i = 2 * pairs; i < pixels; ++i, out += pitch) {
    if (n < kTile)
      filter_pixel<true>(f, out);
    else
      filter_pixel<false>(f, out);
    for (int r = 0; r < 3; ++r) f.rows[r] += kStride * pitch;
  }
}

template <int kStride>
void depthwise_all(const DepthwiseArgs& a) {
  // A strip of pixels stays in the first cache while its channels are gone through.
  int strip = 16384 / (5 * kStride * a.channels) / 2 * 2;
  if (strip < 8) strip = 8;
  for (int pixel = 0; pixel < a.pixels; pixel += strip) {
    const int pixels = least(strip, a.pixels - pixel);
    for (int c = 0; c < a.channels; c += kTile)
      for (int r = 0; r < a.out_rows; ++r) filter_row<kStride>(a, r, c, pixel, pixels);
  }
}

void depthwise_2x8_neon32(const DepthwiseArgs& a) {
  if (a.stride == 1)
    depthwise_all<1>(a);
  else
    depthwise_all<2>(a);
}

}  // namespace
}  // namespace evqa
