// Requantisation in one instruction a vector, for scales that are multiples of 2^-16, and the head of a packed tile, which
// holds what it needs.
//
// Sums begin at bias + the bits of kMagic = 1.5 * 2^23 (see requant_magic), so that as floats they are kMagic + sum. With
//     shift = (kMagic + even zero point) - kMagic * scale
// fma(kMagic + sum, scale, shift) is sum * scale + zero point + kMagic, rounded once, to a whole number, ties to even: its
// low 16 bits are the output before the clamp. That is rint(fl(sum * scale)) + zero point of docs/evqa-format.md wherever
// the clamp leaves it, if
//   scale is a multiple of 2^-16 and |scale| <= 1: then kMagic * scale is a multiple of 2^6 of at most 24 bits and the shift
//     exact; and where |sum * scale| < 2^8, the product has at most 24 bits, so that fl() rounds nothing;
//   the tile is kAllMagic: |sum| < 2^22 and |sum * scale| < 2^15.
// An odd zero point has its one added to the 16 bits.
#pragma once

#include "requant.h"

namespace evqa {
namespace {

// Eight activations into the lower half, as load_quad.
EVQA_INLINE int8x16_t load_eight(const uint8_t* p) {
  int8x16_t v;
  __asm__("ldr %d0, %1" : "=w"(v) : "m"(*reinterpret_cast<const uint8_t(*)[8]>(p)));
  return v;
}

constexpr float kScaleUnit = 1.0f / 65536;

EVQA_INLINE bool exact_scale(float scale) {
  const float units = scale / kScaleUnit;
  return units >= -65536.0f && units <= 65536.0f && static_cast<float>(static_cast<int32_t>(units)) == units;
}

// For eight channels; kCopies: as often as a level wants each, in the order that suits its sums.
template <int kCopies>
struct TileHead {
  alignas(16) int32_t start[kCopies * kTile];  // what sums begin with; between packing and preparing: 128 * sum |w|
  float scale[kCopies * kTile], shift[kCopies * kTile];
  Magic magic;
  int32_t exact;  // so many tiles from this one on may use requant_exact
  int32_t unused[6];
};

// Counts the exact ones among tiles `step` bytes apart, from the last on.
template <int kCopies>
EVQA_INLINE void count_exact(void* packed, ptrdiff_t step, int count) {
  for (int t = count - 1, run = 0; t >= 0; --t) {
    auto* head = reinterpret_cast<TileHead<kCopies>*>(static_cast<int8_t*>(packed) + t * step);
    head->exact = run = head->exact ? run + 1 : 0;
  }
}

// Replaces the bounds in a packed tile's head; bias, scale: the tile's own, eight of them; zero: stored form. Channel c is
// left in start[c], scale[c] and shift[c].
template <int kCopies>
EVQA_INLINE void prepare_head(TileHead<kCopies>* head, const int32_t* bias, const float* scale, int zero) {
  head->magic = magic_of(magic_doubt(head->start, bias, scale));
  head->exact = head->magic == kAllMagic;
  const float back = kMagic + static_cast<float>(zero - (zero & 1));
  for (int c = 0; c < kTile; ++c) {
    head->start[c] = bias[c] + (head->magic != kNoMagic ? kMagicBits : 0);
    head->scale[c] = scale[c];
    head->exact &= exact_scale(scale[c]);
    head->shift[c] = back - kMagic * scale[c];
  }
}

// Eight channels of kRows pixels, from 16 bits to stored bytes; an odd zero point's one is still to be added.
template <int kRows>
EVQA_INLINE void store_words(int16x8_t (&n)[kRows], int zero, uint8_t* out, ptrdiff_t out_pitch) {
  if (zero & 1) {
    const int16x8_t one = vdupq_n_s16(1);
    EVQA_UNROLL for (int r = 0; r < kRows; ++r)
      vst1_u8(out + r * out_pitch, vreinterpret_u8_s8(vqmovn_s16(vaddq_s16(n[r], one))));
  } else {
    EVQA_UNROLL for (int r = 0; r < kRows; ++r) vst1_u8(out + r * out_pitch, vreinterpret_u8_s8(vqmovn_s16(n[r])));
  }
}

// The shift is loaded for every row, as the instruction overwrites it.
template <int kRows>
EVQA_INLINE void requant_exact(const int32x4_t (&acc)[kRows][2], const float* scale, const float* shift, int zero,
                               uint8_t* out, ptrdiff_t out_pitch) {
  const float32x4_t s[2] = {vld1q_f32(scale), vld1q_f32(scale + 4)};
  int16x8_t n[kRows];
  EVQA_UNROLL for (int r = 0; r < kRows; ++r) {
    const float* from = opaque(shift);
    const float32x4_t y0 = vfmaq_f32(vld1q_f32(from), vreinterpretq_f32_s32(acc[r][0]), s[0]);
    const float32x4_t y1 = vfmaq_f32(vld1q_f32(from + 4), vreinterpretq_f32_s32(acc[r][1]), s[1]);
    n[r] = vuzp1q_s16(vreinterpretq_s16_f32(y0), vreinterpretq_s16_f32(y1));
  }
  store_words<kRows>(n, zero, out, out_pitch);
}

// Whether requant_room may be used for tiles that are kAllMagic: no bounds, and room for the largest residual.
EVQA_INLINE bool has_room(const ConvArgs& a) {
  return a.low <= -128 && a.high >= 127 && (!a.residual || (a.residual_scale >= -2.0f && a.residual_scale <= 2.0f));
}

// requant_magic without bounds: scales of any bits, and a residual or none. That becomes a float without a conversion:
// 2^23 + x has x in its low bits, and residual - residual_zero + 256 is never negative.
template <int kRows, bool kAdd>
EVQA_INLINE void requant_room(const int32x4_t (&acc)[kRows][2], const float* scale, const Requant& q,
                              const uint8_t* residual, uint8_t* out, ptrdiff_t pitch) {
  const float32x4_t s[2] = {vld1q_f32(scale), vld1q_f32(scale + 4)}, magic = vdupq_n_f32(kMagic);
  const float32x4_t back = vdupq_n_f32(kMagic + static_cast<float>(q.zero - (q.zero & 1)));
  const int16x8_t lift = vdupq_n_s16(static_cast<int16_t>(256 - q.residual_zero)), high = vdupq_n_s16(0x4B00);
  const float32x4_t lifted = vdupq_n_f32(8388608.0f + 256.0f);
  int16x8_t n[kRows];
  EVQA_UNROLL for (int r = 0; r < kRows; ++r) {
    float32x4_t y[2];
    EVQA_UNROLL for (int v = 0; v < 2; ++v)
      y[v] = vmulq_f32(vsubq_f32(vreinterpretq_f32_s32(acc[r][v]), magic), s[v]);
    if (kAdd) {
      const int16x8_t x = vaddw_s8(lift, vreinterpret_s8_u8(vld1_u8(residual + r * pitch)));
      const int16x8_t x01[2] = {vzip1q_s16(x, high), vzip2q_s16(x, high)};
      EVQA_UNROLL for (int v = 0; v < 2; ++v)
        y[v] = vaddq_f32(y[v], vmulq_n_f32(vsubq_f32(vreinterpretq_f32_s16(x01[v]), lifted), q.residual_scale));
    }
    EVQA_UNROLL for (int v = 0; v < 2; ++v) y[v] = vaddq_f32(y[v], back);
    n[r] = vuzp1q_s16(vreinterpretq_s16_f32(y[0]), vreinterpretq_s16_f32(y[1]));
  }
  store_words<kRows>(n, q.zero, out, pitch);
}

// One block of a convolution: `groups` times a block's rows of pixels from `pixel` on, each by channels first .. last - 1.
using TileBlock = void (*)(const ConvArgs&, int pixel, int groups, int first, int last);

// blocks[n - 1] takes n pixels, n <= most, and `width` channels at a time. Weights go from the caches to every group of
// pixels anew, but where they are many and pixels are few, they are gone through once, and the pixels for all of them.
// `pixels`: or what else blocks count.
EVQA_INLINE void walk_tiles(const ConvArgs& a, int pixels, const TileBlock* blocks, int most, int width = kTile) {
  constexpr int kManyWeights = 24576;
  const Groups g = divide(pixels, most);
  const int full = g.count - g.short_count;
  const int weights = a.channels * a.shape.segments * a.shape.segment_quads * 4;
  const bool weights_once = weights > kManyWeights && a.channels > a.pixels && g.count > 1;
  const int part = weights_once ? width : a.channels;
  for (int c = 0; c < a.channels; c += part) {
    const int end = least(c + part, a.channels);
    if (full) blocks[g.size - 1](a, 0, full, c, end);
    if (g.short_count) blocks[g.size - 2](a, full * g.size, g.short_count, c, end);
  }
}

}  // namespace
}  // namespace evqa
