// From int32 sums to stored bytes, exactly as docs/evqa-format.md writes it: float(acc) * scale, plus the residual, each
// operation rounded on its own; rint; plus the zero point; clamp.
#pragma once

#include "common.h"

namespace evqa {
namespace {

struct Requant {
  int zero, low, high;
  float residual_scale;
  int residual_zero;

  EVQA_INLINE bool clamps() const { return low > -128 || high < 127; }
};

// The usual case, without residual and without bounds narrower than a byte's, has ways of its own.
EVQA_INLINE bool is_plain(const ConvArgs& a) { return !a.residual && a.low <= -128 && a.high >= 127; }

EVQA_INLINE Requant requant_of(const ConvArgs& a) {
  return {a.out_zero, a.low, a.high, a.residual_scale, a.residual_zero};
}
EVQA_INLINE Requant requant_of(const DepthwiseArgs& a) { return {a.out_zero, a.low, a.high, 0, 0}; }

// y += float(residual - residual_zero) * residual_scale, eight channels a pair of vectors.
template <int kRows, int kVectors>
EVQA_INLINE void add_residual(float32x4_t (&y)[kRows][kVectors], const Requant& q, const uint8_t* residual,
                              ptrdiff_t pitch) {
  const int8x8_t zero = vdup_n_s8(static_cast<int8_t>(q.residual_zero));
  EVQA_UNROLL for (int r = 0; r < kRows; ++r) {
    EVQA_UNROLL for (int v = 0; v < kVectors; v += 2) {
      int8x8_t s = vreinterpret_s8_u8(vld1_u8(residual + r * pitch + 4 * v));
      int16x8_t d = vsubl_s8(s, zero);
      float32x4_t f0 = vcvtq_f32_s32(vmovl_s16(vget_low_s16(d)));
      float32x4_t f1 = vcvtq_f32_s32(vmovl_high_s16(d));
      y[r][v] = vaddq_f32(y[r][v], vmulq_n_f32(f0, q.residual_scale));
      y[r][v + 1] = vaddq_f32(y[r][v + 1], vmulq_n_f32(f1, q.residual_scale));
    }
  }
}

template <int kRows, int kVectors>
EVQA_INLINE void clamp_store(int8x8_t (&b)[kRows][kVectors / 2], const Requant& q, uint8_t* out, ptrdiff_t pitch) {
  if (q.clamps()) {
    const int8x8_t low = vdup_n_s8(static_cast<int8_t>(q.low)), high = vdup_n_s8(static_cast<int8_t>(q.high));
    EVQA_UNROLL for (int r = 0; r < kRows; ++r)
      EVQA_UNROLL for (int v = 0; v < kVectors / 2; ++v) b[r][v] = vmin_s8(vmax_s8(b[r][v], low), high);
  }
  EVQA_UNROLL for (int r = 0; r < kRows; ++r)
    EVQA_UNROLL for (int v = 0; v < kVectors / 2; ++v) vst1_u8(out + r * pitch + 8 * v, vreinterpret_u8_s8(b[r][v]));
}

// For any sums. `residual` may be null. Saturating steps change nothing: the clamp's bounds lie within them.
template <int kRows, int kVectors>
EVQA_INLINE void requant_any(const int32x4_t (&acc)[kRows][kVectors], const float* scale, const Requant& q,
                             const uint8_t* residual, ptrdiff_t residual_pitch, uint8_t* out, ptrdiff_t out_pitch) {
  float32x4_t y[kRows][kVectors];
  int8x8_t b[kRows][kVectors / 2];
  EVQA_UNROLL for (int v = 0; v < kVectors; ++v) {
    const float32x4_t s = vld1q_f32(scale + 4 * v);
    EVQA_UNROLL for (int r = 0; r < kRows; ++r) y[r][v] = vmulq_f32(vcvtq_f32_s32(acc[r][v]), s);
  }
  if (residual) add_residual<kRows, kVectors>(y, q, residual, residual_pitch);
  const int16x8_t zero = vdupq_n_s16(static_cast<int16_t>(q.zero));
  EVQA_UNROLL for (int r = 0; r < kRows; ++r) {
    EVQA_UNROLL for (int v = 0; v < kVectors; v += 2) {
      int16x4_t n = vqmovn_s32(vcvtnq_s32_f32(y[r][v]));
      int16x8_t nn = vqmovn_high_s32(n, vcvtnq_s32_f32(y[r][v + 1]));
      b[r][v / 2] = vqmovn_s16(vqaddq_s16(nn, zero));
    }
  }
  clamp_store<kRows, kVectors>(b, q, out, out_pitch);
}

// Conversions take two slots of one of two pipes on Cortex-A76 and its successors, additions one of either. Where |acc| <
// 2^22 for certain, adding does both conversions:
//   sums start at bias + the bits of kMagic = 1.5 * 2^23, so that their bits are those of the float kMagic + acc;
//   y + kMagic has rint(y) in its low 16 bits (kMagic's unit is 1, and it is even); an even zero point goes along.
// The latter wants |y| < kMagicRoom, for certain or by clamping, which changes nothing as the result's bounds are nearer.
constexpr float kMagic = 12582912.0f;
constexpr int32_t kMagicBits = 0x4B400000;
constexpr float kMagicRoom = 32000.0f;

// What stands against it for eight channels, any bit that is set: bound[o] >= 128 * sum |w[o]|.
struct MagicDoubt {
  uint32x4_t sums, results;
};

EVQA_INLINE MagicDoubt magic_doubt(const int32_t* bound, const int32_t* bias, const float* scale) {
  MagicDoubt doubt = {vdupq_n_u32(0), vdupq_n_u32(0)};
  EVQA_UNROLL for (int v = 0; v < 2; ++v) {
    const uint32x4_t most = vqaddq_u32(vreinterpretq_u32_s32(vld1q_s32(bound + 4 * v)),
                                       vreinterpretq_u32_s32(vqabsq_s32(vld1q_s32(bias + 4 * v))));
    const float32x4_t y = vmulq_f32(vcvtq_f32_u32(most), vabsq_f32(vld1q_f32(scale + 4 * v)));
    doubt.sums = vorrq_u32(doubt.sums, vcgeq_u32(most, vdupq_n_u32(1u << 22)));
    doubt.results = vorrq_u32(doubt.results, vmvnq_u32(vcltq_f32(y, vdupq_n_f32(kMagicRoom))));
  }
  return doubt;
}

EVQA_INLINE Magic magic_of(const MagicDoubt& doubt) {
  if (vmaxvq_u32(doubt.sums)) return kNoMagic;
  return vmaxvq_u32(doubt.results) ? kMagicSums : kAllMagic;
}

// As requant_any, for sums that started at kMagicBits.
template <int kRows, int kVectors>
EVQA_INLINE void requant_magic(const int32x4_t (&acc)[kRows][kVectors], const float* scale, const Requant& q,
                               const uint8_t* residual, ptrdiff_t residual_pitch, uint8_t* out, ptrdiff_t out_pitch) {
  float32x4_t y[kRows][kVectors];
  int16x8_t n[kRows][kVectors / 2];
  int8x8_t b[kRows][kVectors / 2];
  const float32x4_t magic = vdupq_n_f32(kMagic);
  EVQA_UNROLL for (int v = 0; v < kVectors; ++v) {
    const float32x4_t s = vld1q_f32(scale + 4 * v);
    EVQA_UNROLL for (int r = 0; r < kRows; ++r)
      y[r][v] = vmulq_f32(vsubq_f32(vreinterpretq_f32_s32(acc[r][v]), magic), s);
  }
  if (residual) add_residual<kRows, kVectors>(y, q, residual, residual_pitch);
  const float32x4_t most = vdupq_n_f32(kMagicRoom), least = vdupq_n_f32(-kMagicRoom);
  EVQA_UNROLL for (int r = 0; r < kRows; ++r)
    EVQA_UNROLL for (int v = 0; v < kVectors; ++v) y[r][v] = vminq_f32(vmaxq_f32(y[r][v], least), most);
  const float32x4_t back = vdupq_n_f32(kMagic + static_cast<float>(q.zero - (q.zero & 1)));
  EVQA_UNROLL for (int r = 0; r < kRows; ++r)
    EVQA_UNROLL for (int v = 0; v < kVectors; v += 2)
      n[r][v / 2] = vuzp1q_s16(vreinterpretq_s16_f32(vaddq_f32(y[r][v], back)),
                               vreinterpretq_s16_f32(vaddq_f32(y[r][v + 1], back)));
  if (q.zero & 1) {
    const int16x8_t one = vdupq_n_s16(1);
    EVQA_UNROLL for (int r = 0; r < kRows; ++r)
      EVQA_UNROLL for (int v = 0; v < kVectors / 2; ++v) n[r][v] = vaddq_s16(n[r][v], one);
  }
  EVQA_UNROLL for (int r = 0; r < kRows; ++r)
    EVQA_UNROLL for (int v = 0; v < kVectors / 2; ++v) b[r][v] = vqmovn_s16(n[r][v]);
  clamp_store<kRows, kVectors>(b, q, out, out_pitch);
}

// Requantises kRows pixels from `pixel` on, of 8 channels from `channel` on, or as many of both as there are.
template <int kRows>
EVQA_INLINE void requant_tile(const int32x4_t (&acc)[kRows][2], const ConvArgs& a, const Requant& q, int pixel,
                              int channel, Magic magic) {
  const ptrdiff_t at = pixel * a.out_pixel + channel;
  const float* scale = a.scale + channel;
  const uint8_t* residual = a.residual ? a.residual + at : nullptr;
  const int n = least(kTile, a.channels - channel), rows = least(kRows, a.pixels - pixel);
  const bool whole = n == kTile && rows == kRows;
  Edge<kRows, kTile> edge;
  if (!whole && residual) edge.take(residual, a.out_pixel, rows, n), residual = edge.residual;
  uint8_t* out = whole ? a.out + at : edge.out;
  const ptrdiff_t pitch = whole ? a.out_pixel : kTile;
  if (magic != kNoMagic)
    requant_magic<kRows, 2>(acc, scale, q, residual, pitch, out, pitch);
  else
    requant_any<kRows, 2>(acc, scale, q, residual, pitch, out, pitch);
  if (!whole) edge.give(a.out + at, a.out_pixel, rows, n);
}

}  // namespace
}  // namespace evqa
