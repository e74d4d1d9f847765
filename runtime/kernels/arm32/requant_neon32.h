// From int32 sums to stored bytes, exactly as docs/evqa-format.md writes it: float(acc) * scale, plus the residual,
// each operation rounded on its own; rint; plus the zero point; clamp.
//
// ARMv7 cannot round to nearest when it converts to integers. The format bounds |y| by 2^22, so adding 1.5 * 2^23
// leaves rint(y) in the low bits of the sum.
//
// NEON computes with numbers below 2^-126 as if they were 0. That changes no byte: each of the two products and their
// sum is off by less than 2^-95 (a scale that counts as 0 is multiplied by at most 2^30), which moves no result of
// 2^-69 or more to another float, and of smaller ones rint is 0 either way.
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

// The usual case, without residual and without bounds narrower than a byte's, is in assembler: see below.
EVQA_INLINE bool is_plain(const ConvArgs& a) { return !a.residual && !requant_of(a).clamps(); }

// Eight channels. `residual` may be null. Saturating steps change nothing: the clamp's bounds lie within them.
EVQA_INLINE int8x8_t requant_eight(const int32x4_t (&acc)[2], const float* scale, const Requant& q,
                                   const uint8_t* residual) {
  float32x4_t y0 = vmulq_f32(vcvtq_f32_s32(acc[0]), vld1q_f32(scale));
  float32x4_t y1 = vmulq_f32(vcvtq_f32_s32(acc[1]), vld1q_f32(scale + 4));
  if (residual) {
    const int8x8_t zero = vdup_n_s8(static_cast<int8_t>(q.residual_zero));
    const int16x8_t d = vsubl_s8(vreinterpret_s8_u8(vld1_u8(residual)), zero);
    y0 = vaddq_f32(y0, vmulq_n_f32(vcvtq_f32_s32(vmovl_s16(vget_low_s16(d))), q.residual_scale));
    y1 = vaddq_f32(y1, vmulq_n_f32(vcvtq_f32_s32(vmovl_s16(vget_high_s16(d))), q.residual_scale));
  }
  const float32x4_t magic = vdupq_n_f32(kMagic);
  const int32x4_t back = vdupq_n_s32(kMagicBits - q.zero);
  const int16x4_t n0 = vqmovn_s32(vsubq_s32(vreinterpretq_s32_f32(vaddq_f32(y0, magic)), back));
  const int16x4_t n1 = vqmovn_s32(vsubq_s32(vreinterpretq_s32_f32(vaddq_f32(y1, magic)), back));
  const int8x8_t low = vdup_n_s8(static_cast<int8_t>(q.low)), high = vdup_n_s8(static_cast<int8_t>(q.high));
  return vmin_s8(vmax_s8(vqmovn_s16(vcombine_s16(n0, n1)), low), high);
}

// Rows are pixels, `pitch` bytes apart.
template <int kRows>
EVQA_INLINE void requant_rows(const int32x4_t (&acc)[kRows][2], const float* scale, const Requant& q,
                              const uint8_t* residual, uint8_t* out, ptrdiff_t pitch) {
  EVQA_UNROLL for (int r = 0; r < kRows; ++r) {
    vst1_u8(out, vreinterpret_u8_s8(requant_eight(acc[r], scale, q, residual)));
    out += pitch;
    if (residual) residual += pitch;
  }
}

// The same in assembler, for rows that need neither residual nor bounds: compilers copy halves of registers about. A
// row's sums are in q##a and q##b and end as bytes in d##d0, the lower half of q##a. Scales are in q0 q1, kMagic in q2
// and kMagicBits - zero in q3.
struct Plain {
  alignas(8) float magic[4];
  int32_t back[4];

  explicit EVQA_INLINE Plain(int zero) {
    vst1q_f32(magic, vdupq_n_f32(kMagic));
    vst1q_s32(back, vdupq_n_s32(kMagicBits - zero));
  }
};

// clang-format off
#define EVQA_Q_CONSTANTS "vld1.32 {d0-d3}, [%[scale]]\nvld1.32 {d4-d7}, [%[plain]]\n"
#define EVQA_Q_FLOAT(a, b, d0, d1) "vcvt.f32.s32 q" #a ", q" #a "\nvcvt.f32.s32 q" #b ", q" #b "\n"
#define EVQA_Q_SCALE(a, b, d0, d1) "vmul.f32 q" #a ", q" #a ", q0\nvmul.f32 q" #b ", q" #b ", q1\n"
#define EVQA_Q_ROUND(a, b, d0, d1) "vadd.f32 q" #a ", q" #a ", q2\nvadd.f32 q" #b ", q" #b ", q2\n"
#define EVQA_Q_SHIFT(a, b, d0, d1) "vsub.i32 q" #a ", q" #a ", q3\nvsub.i32 q" #b ", q" #b ", q3\n"
#define EVQA_Q_HALVE(a, b, d0, d1) "vqmovn.s32 d" #d0 ", q" #a "\nvqmovn.s32 d" #d1 ", q" #b "\n"
#define EVQA_Q_BYTES(a, b, d0, d1) "vqmovn.s16 d" #d0 ", q" #a "\n"
#define EVQA_Q_STORE(a, b, d0, d1) "vst1.8 {d" #d0 "}, [%[out]], %[pitch]\n"
// `rows` applies its argument to every row: an in-order core then never waits for the step before.
#define EVQA_Q_ROWS(rows) \
  rows(EVQA_Q_FLOAT) rows(EVQA_Q_SCALE) rows(EVQA_Q_ROUND) rows(EVQA_Q_SHIFT) rows(EVQA_Q_HALVE) rows(EVQA_Q_BYTES) \
  rows(EVQA_Q_STORE)
// clang-format on

}  // namespace
}  // namespace evqa
