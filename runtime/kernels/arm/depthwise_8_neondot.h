// 3x3 depthwise with SDOT: 8 channels, one or two rows of outputs.
//
// The four dot-product terms are one column of up to four input rows: interleaving the rows' bytes gives, for 8 channels,
// two vectors of [row 0, row 1, row 2, row 3] by channel. At stride 1 both output rows take the same vectors, the upper
// with weights (w0, w1, w2, 0), the lower with (0, w0, w1, w2), and each column serves three outputs. At stride 2 the
// lower output row has its own interleaving of rows 2..4.
//
// Two rows at stride 1: 4 interleavings and 12 SDOT for 16 outputs; on Cortex-A76 8 cycles, 18 MACs a cycle.
//
// Packed: 8 channels: an int32 bound on any sum of products each, then three columns of two vectors of
// (w0, w1, w2, 0) by channel.
#pragma once

#include "requant.h"

namespace evqa {
namespace {

constexpr int kDepthwiseBound = 4 * kTile;
constexpr int kDepthwiseBytes = kDepthwiseBound + 3 * 4 * kTile;

size_t depthwise_packed_bytes(int channels) { return static_cast<size_t>(tiles(channels)) * kDepthwiseBytes; }

void depthwise_pack(int channels, const int8_t* weights, void* packed) {
  int8_t* p = static_cast<int8_t*>(packed);
  for (int first = 0; first < channels; first += kTile, p += kDepthwiseBytes) {
    int32_t bound[kTile] = {};
    memset(p, 0, kDepthwiseBytes);
    for (int c = first; c < least(first + kTile, channels); ++c)
      for (int tap = 0; tap < 9; ++tap) {
        const int w = weights[tap * channels + c];
        p[kDepthwiseBound + tap % 3 * 4 * kTile + (c - first) * 4 + tap / 3] = static_cast<int8_t>(w);
        bound[c - first] += 128 * (w < 0 ? -w : w);
      }
    memcpy(p, bound, kDepthwiseBound);
  }
}

// Eight channels, or the last `n` of a pixel, in the lower half.
template <bool kPart>
EVQA_INLINE int8x16_t load_channels(const uint8_t* p, int n) {
  uint64_t v = 0;
  memcpy(&v, p, kPart ? n : kTile);
  return vreinterpretq_s8_u64(vsetq_lane_u64(v, vdupq_n_u64(0), 0));
}

struct Column {
  int8x16_t v[2];
};

// One column of eight channels, four rows side by side.
EVQA_INLINE Column interleave(int8x16_t r0, int8x16_t r1, int8x16_t r2, int8x16_t r3) {
  const int16x8_t upper = vreinterpretq_s16_s8(vzip1q_s8(r0, r1)), lower = vreinterpretq_s16_s8(vzip1q_s8(r2, r3));
  return {{vreinterpretq_s8_s16(vzip1q_s16(upper, lower)), vreinterpretq_s8_s16(vzip2q_s16(upper, lower))}};
}

struct DepthwiseStrip {
  const uint8_t* rows[5];
  ptrdiff_t pitch;
  const int8_t* w;
  int32_t start[kTile];
  const float* scale;
  Requant q;
  int n;  // channels
  int pixels;
  uint8_t* out[2];
};

// How a strip is requantised: by requant_magic, where it can be (kPlain too, or not); else by requant_any, for eight
// channels or for a part of them.
enum class Finish { kPlain, kMagic, kAny, kPart };

template <int kStride, int kOutRows, Finish kFinish>
struct Depthwise8 {
  static constexpr int kSets = kStride == 2 ? kOutRows : 1;  // interleavings of a column
  static constexpr int kRead = kStride * (kOutRows - 1) + 3;

  // Copies, as stores to `out` might change what is elsewhere.
  const uint8_t* rows[kRead];
  uint8_t* out;
  const int32_t* start;
  int8x16_t w[3][2], lower[3][2];
  float scale[kTile];
  Requant q;
  ptrdiff_t in_pitch, out_pitch;
  int n, pixels;

  EVQA_INLINE explicit Depthwise8(const DepthwiseStrip& s)
      : out(s.out[0]), start(s.start), q(s.q), in_pitch(s.pitch), out_pitch(kOutRows == 2 ? s.out[1] - s.out[0] : 0),
        n(s.n), pixels(s.pixels) {
    memcpy(scale, s.scale, sizeof scale);
    EVQA_UNROLL for (int r = 0; r < kRead; ++r) rows[r] = s.rows[r];
    EVQA_UNROLL for (int c = 0; c < 3; ++c) {
      EVQA_UNROLL for (int v = 0; v < 2; ++v) {
        w[c][v] = vld1q_s8(s.w + (2 * c + v) * 16);
        lower[c][v] = vreinterpretq_s8_u32(vshlq_n_u32(vreinterpretq_u32_s8(w[c][v]), 8));
      }
    }
  }

  // The next column.
  EVQA_INLINE void read(Column (&to)[kSets]) {
    int8x16_t x[kRead];
    EVQA_UNROLL for (int r = 0; r < kRead; ++r) {
      x[r] = load_channels<kFinish == Finish::kPart>(rows[r], n);
      rows[r] += in_pitch;
    }
    if (kStride == 1) {
      to[0] = interleave(x[0], x[1], x[2], x[kRead - 1]);
    } else {
      EVQA_UNROLL for (int r = 0; r < kOutRows; ++r)
        to[r] = interleave(x[2 * r], x[2 * r + 1], x[2 * r + 2], x[2 * r + 2]);
    }
  }

  // The next output; reads the columns that the output before did not.
  EVQA_INLINE void pixel(Column (&left)[kSets], Column (&middle)[kSets], Column (&right)[kSets]) {
    if (kStride == 2) read(middle);
    read(right);
    int32x4_t acc[kOutRows][2];
    EVQA_UNROLL for (int r = 0; r < kOutRows; ++r) {
      const int32_t* from = opaque(start);
      EVQA_UNROLL for (int v = 0; v < 2; ++v) {
        const int8x16_t* k = kStride == 1 && r == 1 ? &lower[0][v] : &w[0][v];
        const int set = kSets == 2 ? r : 0;
        acc[r][v] = vdotq_s32(vld1q_s32(from + 4 * v), left[set].v[v], k[0]);
        acc[r][v] = vdotq_s32(acc[r][v], middle[set].v[v], k[2]);
        acc[r][v] = vdotq_s32(acc[r][v], right[set].v[v], k[4]);
      }
    }
    if (kFinish == Finish::kPart) {
      Edge<kOutRows, kTile> edge;
      requant_any<kOutRows, 2, false>(acc, scale, q, nullptr, 0, edge.out, kTile);
      edge.give(out, out_pitch, kOutRows, n);
    } else if (kFinish == Finish::kAny) {
      requant_any<kOutRows, 2, false>(acc, scale, q, nullptr, 0, out, out_pitch);
    } else {
      requant_magic<kOutRows, 2, kFinish == Finish::kPlain>(acc, scale, q, nullptr, 0, out, out_pitch);
    }
    out += in_pitch;
  }

  EVQA_INLINE void run() {
    Column a[kSets], b[kSets], c[kSets];
    int left = pixels;
    read(a);
    if (kStride == 1) {
      read(b);
      for (;;) {  // columns change roles, not registers
        pixel(a, b, c);
        if (--left == 0) return;
        pixel(b, c, a);
        if (--left == 0) return;
        pixel(c, a, b);
        if (--left == 0) return;
      }
    }
    for (;;) {
      pixel(a, b, c);
      if (--left == 0) return;
      pixel(c, b, a);
      if (--left == 0) return;
    }
  }
};

template <int kStride, int kOutRows, Finish kFinish>
void depthwise_strip_neondot(const DepthwiseStrip& s) {
  Depthwise8<kStride, kOutRows, kFinish> d(s);
  d.run();
}

template <int kStride, int kOutRows>
void depthwise_all_neondot(const DepthwiseArgs& a) {
  constexpr int kRead = kStride * (kOutRows - 1) + 3;
  // A strip of pixels stays in the first cache while its channels are gone through.
  int strip = 24576 / (kRead * kStride * a.channels) / 6 * 6;
  if (strip < 12) strip = 12;
  DepthwiseStrip s = {};
  s.pitch = a.pitch;
  s.q = requant_of(a);
  for (int p = 0; p < a.pixels; p += strip) {
    s.pixels = least(strip, a.pixels - p);
    const int8_t* packed = static_cast<const int8_t*>(a.packed);
    for (int c = 0; c < a.channels; c += kTile, packed += kDepthwiseBytes) {
      for (int r = 0; r < kRead; ++r) s.rows[r] = a.rows[r] + p * kStride * s.pitch + c;
      for (int r = 0; r < kOutRows; ++r) s.out[r] = a.out[r] + p * s.pitch + c;
      s.w = packed + kDepthwiseBound;
      s.scale = a.scale + c;
      s.n = a.channels - c;
      Magic magic = kNoMagic;
      if (s.n >= kTile) magic = magic_of(magic_doubt(reinterpret_cast<const int32_t*>(packed), a.bias + c, s.scale));
      for (int v = 0; v < kTile; v += 4)
        vst1q_s32(s.start + v, vaddq_s32(vld1q_s32(a.bias + c + v), vdupq_n_s32(magic != kNoMagic ? kMagicBits : 0)));
      if (s.n < kTile)
        depthwise_strip_neondot<kStride, kOutRows, Finish::kPart>(s);
      else if (magic == kNoMagic)
        depthwise_strip_neondot<kStride, kOutRows, Finish::kAny>(s);
      else if (magic != kAllMagic || s.q.clamps() || (s.q.zero & 1))
        depthwise_strip_neondot<kStride, kOutRows, Finish::kMagic>(s);
      else
        depthwise_strip_neondot<kStride, kOutRows, Finish::kPlain>(s);
    }
  }
}

void depthwise_8(const DepthwiseArgs& a) {
  if (a.stride == 1)
    a.out_rows == 1 ? depthwise_all_neondot<1, 1>(a) : depthwise_all_neondot<1, 2>(a);
  else
    a.out_rows == 1 ? depthwise_all_neondot<2, 1>(a) : depthwise_all_neondot<2, 2>(a);
}

}  // namespace
}  // namespace evqa
