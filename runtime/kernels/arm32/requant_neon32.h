// From int32 sums to stored bytes, exactly as docs/evqa-format.md writes it: float(acc) * scale, plus the residual, each
// operation rounded on its own; rint; plus the zero point; clamp.
//
// ARMv7 cannot round to nearest when it converts to integers. The format bounds |y| by 2^22, so adding 1.5 * 2^23 leaves
// rint(y) in the low bits of the sum.
//
// NEON computes with numbers below 2^-126 as if they were 0. That changes no byte: each of the two products and their sum
// is off by less than 2^-95 (a scale that counts as 0 is multiplied by at most 2^30), which moves no result of 2^-69 or
// more to another float, and of smaller ones rint is 0 either way.
#pragma once

#include "common_neon32.h"

namespace evqa {
namespace {

constexpr float kMagic = 12582912.0f;  // 1.5 * 2^23
constexpr int32_t kMagicBits = 0x4B400000;

struct Requant {
  int zero, low, high;  // stored form
  float residual_scale;
  int residual_zero;

  EVQA_INLINE bool clamps() const { return low > -128 || high < 127; }
};

EVQA_INLINE Requant requant_of(const ConvArgs& a) {
  return {a.out_zero, a.low, a.high, a.residual_scale, a.residual_zero};
}
EVQA_INLINE Requant requant_of(const DepthwiseArgs& a) { return {a.out_zero, a.low, a.high, 0, 0}; }

// The usual case, without residual and without bounds narrower than a byte's, has functions of its own, as every branch
// in the middle costs: kPlain.
EVQA_INLINE bool is_plain(const ConvArgs& a) { return !a.residual && !requant_of(a).clamps(); }

// Eight channels. `residual` may be null. Saturating steps change nothing: the clamp's bounds lie within them.
template <bool kPlain>
EVQA_INLINE int8x8_t requant_eight(const int32x4_t (&acc)[2], float32x4_t scale0, float32x4_t scale1, const Requant& q,
                                   const uint8_t* residual) {
  float32x4_t y0 = vmulq_f32(vcvtq_f32_s32(acc[0]), scale0), y1 = vmulq_f32(vcvtq_f32_s32(acc[1]), scale1);
  if (!kPlain && residual) {
    const int16x8_t d = vsubl_s8(vreinterpret_s8_u8(vld1_u8(residual)), vdup_n_s8(static_cast<int8_t>(q.residual_zero)));
    y0 = vaddq_f32(y0, vmulq_n_f32(vcvtq_f32_s32(vmovl_s16(vget_low_s16(d))), q.residual_scale));
    y1 = vaddq_f32(y1, vmulq_n_f32(vcvtq_f32_s32(vmovl_s16(vget_high_s16(d))), q.residual_scale));
  }
  const float32x4_t magic = vdupq_n_f32(kMagic);
  const int32x4_t back = vdupq_n_s32(kMagicBits - q.zero);
  const int16x4_t n0 = vqmovn_s32(vsubq_s32(vreinterpretq_s32_f32(vaddq_f32(y0, magic)), back));
  const int16x4_t n1 = vqmovn_s32(vsubq_s32(vreinterpretq_s32_f32(vaddq_f32(y1, magic)), back));
  int8x8_t bytes = vqmovn_s16(vcombine_s16(n0, n1));
  if (!kPlain)
    bytes = vmin_s8(vmax_s8(bytes, vdup_n_s8(static_cast<int8_t>(q.low))), vdup_n_s8(static_cast<int8_t>(q.high)));
  return bytes;
}

// Rows are pixels, `pitch` bytes apart.
template <int kRows, bool kPlain>
EVQA_INLINE void requant_rows(const int32x4_t (&acc)[kRows][2], const float* scale, const Requant& q,
                              const uint8_t* residual, uint8_t* out, ptrdiff_t pitch) {
  const float32x4_t scale0 = vld1q_f32(scale), scale1 = vld1q_f32(scale + 4);
  EVQA_UNROLL for (int r = 0; r < kRows; ++r) {
    vst1_u8(out, vreinterpret_u8_s8(requant_eight<kPlain>(acc[r], scale0, scale1, q, residual)));
    out += pitch;
    if (!kPlain && residual) residual += pitch;
  }
}

}  // namespace
}  // namespace evqa
