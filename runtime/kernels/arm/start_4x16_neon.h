// The head of a packed tile of 8 channels of conv_4x16_neon.h: what its sums begin with, and how they end.
//
// Its two vectors hold channels 0 2 4 6 and 1 3 5 7: narrowing then puts a pair of them in order with one TRN1, where
// channels 0 to 3 and 4 to 7 want UZP1, which takes Cortex-A72 three times as long.
#pragma once

#include "requant_exact.h"

namespace evqa {
namespace {

struct PairHead {
  // Of simple tiles, 8 channels for which requant_exact.h holds: what sums begin with, bias + kMagicBits, and so on.
  int32_t exact_sums[kTile];
  float exact_scale[kTile], shift[kTile];
  // Of all. Between packing and preparing `sums` are 128 * sum |w|, in order.
  int32_t sums[kTile];
  float scale[kTile];
  int64_t run, unused;  // so many tiles from this one on are simple
};
static_assert(sizeof(PairHead) == 176);

EVQA_INLINE void store_pairs(int32_t* to, const int32_t* from) {
  const int32x4x2_t pairs = vld2q_s32(from);
  vst1q_s32(to, pairs.val[0]);
  vst1q_s32(to + 4, pairs.val[1]);
}

EVQA_INLINE void store_pairs(float* to, const float* from) {
  const float32x4x2_t pairs = vld2q_f32(from);
  vst1q_f32(to, pairs.val[0]);
  vst1q_f32(to + 4, pairs.val[1]);
}

EVQA_INLINE void store_in_order(int32_t* to, int32x4_t even, int32x4_t odd) {
  const int32x4x2_t pairs = {{even, odd}};
  vst2q_s32(to, pairs);
}

// Fills the heads of packed tiles, `step` bytes apart.
EVQA_INLINE void prepare_pairs(const ConvArgs& a, void* packed, ptrdiff_t step) {
  int8_t* p = static_cast<int8_t*>(packed) + tiles(a.channels) * step;
  int64_t run = 0;
  for (int c = (tiles(a.channels) - 1) * kTile; c >= 0; c -= kTile) {
    PairHead* to = reinterpret_cast<PairHead*>(p -= step);
    TileHead<1> head = {};
    memcpy(head.start, to->sums, sizeof to->sums);
    prepare_head(&head, a.bias + c, a.scale + c, a.out_zero);
    store_pairs(to->exact_sums, head.start);
    store_pairs(to->sums, a.bias + c);
    store_pairs(to->exact_scale, head.scale);
    store_pairs(to->shift, head.shift);
    store_pairs(to->scale, a.scale + c);
    to->run = run = head.exact && c + kTile <= a.channels ? run + 1 : 0;
  }
}

// As requant_any, for sums in a PairHead's order. As |y| < 2^22, shifting to the upper half saturates to 16 bits.
template <int kRows, int kVectors, bool kAdd>
EVQA_INLINE void requant_pairs(const int32x4_t (&acc)[kRows][kVectors], const float* scale, const Requant& q,
                               const uint8_t* residual, ptrdiff_t residual_pitch, uint8_t* out, ptrdiff_t out_pitch) {
  int8x8_t b[kRows][kVectors / 2];
  const int16x8_t zero = vdupq_n_s16(static_cast<int16_t>(q.zero));
  const int8x8_t residual_zero = vdup_n_s8(static_cast<int8_t>(q.residual_zero));
  EVQA_UNROLL for (int v = 0; v < kVectors; v += 2) {
    const float32x4x2_t s = vld2q_f32(scale + 4 * v);
    EVQA_UNROLL for (int r = 0; r < kRows; ++r) {
      float32x4_t even = vmulq_f32(vcvtq_f32_s32(acc[r][v]), s.val[0]);
      float32x4_t odd = vmulq_f32(vcvtq_f32_s32(acc[r][v + 1]), s.val[1]);
      if (kAdd) {
        const int8x8_t stored = vreinterpret_s8_u8(vld1_u8(residual + r * residual_pitch + 4 * v));
        const int32x4_t d = vreinterpretq_s32_s16(vsubl_s8(stored, residual_zero));
        const int32x4_t d0 = vshrq_n_s32(vshlq_n_s32(d, 16), 16), d1 = vshrq_n_s32(d, 16);
        even = vaddq_f32(even, vmulq_n_f32(vcvtq_f32_s32(d0), q.residual_scale));
        odd = vaddq_f32(odd, vmulq_n_f32(vcvtq_f32_s32(d1), q.residual_scale));
      }
      const int32x4_t e = vqshlq_n_s32(vcvtnq_s32_f32(even), 16), o = vqshlq_n_s32(vcvtnq_s32_f32(odd), 16);
      b[r][v / 2] = vqmovn_s16(vqaddq_s16(vreinterpretq_s16_s32(vsriq_n_s32(o, e, 16)), zero));
    }
  }
  clamp_store<kRows, kVectors>(b, q, out, out_pitch);
}

}  // namespace
}  // namespace evqa
