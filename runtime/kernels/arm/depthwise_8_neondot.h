// 3x3 depthwise with SDOT: 8 channels, one or two rows of outputs.
//
// The four dot-product terms are one column of up to four input rows: interleaving the rows' bytes gives, for 8 channels,
// two vectors of [row 0, row 1, row 2, row 3] by channel. At stride 1 both output rows take the same vectors, the upper
// with weights (w0, w1, w2, 0), the lower with (0, w0, w1, w2), and each column serves three outputs. At stride 2 the
// lower output row has its own interleaving of rows 2..4.
//
// Two rows at stride 1: 4 interleavings, 12 SDOT and 10 for requantising exactly and storing 16 outputs; on Cortex-A76 13
// cycles, 11 MACs a cycle. At stride 2, 7 interleavings for each of two columns: 18 cycles.
//
// Packed: 8 channels: their head, which ends in a zero, then three columns of two vectors of (w0, w1, w2, 0) by channel;
// read from one byte before, they are (0, w0, w1, w2).
#pragma once

#include "depthwise_pair_neondot.h"

namespace evqa {
namespace {

constexpr int kDepthwiseBytes = sizeof(DepthwiseHead) + 3 * 4 * kTile;

size_t depthwise_packed_bytes(int channels) { return static_cast<size_t>(tiles(channels)) * kDepthwiseBytes; }

void depthwise_pack(int channels, const int8_t* weights, void* packed) {
  int8_t* p = static_cast<int8_t*>(packed);
  for (int first = 0; first < channels; first += kTile, p += kDepthwiseBytes) {
    DepthwiseHead head = {};
    int8_t* to = p + sizeof head;
    memset(p, 0, kDepthwiseBytes);
    for (int c = first; c < least(first + kTile, channels); ++c)
      for (int tap = 0; tap < 9; ++tap) {
        const int w = weights[tap * channels + c];
        to[tap % 3 * 4 * kTile + (c - first) * 4 + tap / 3] = static_cast<int8_t>(w);
        head.start[c - first] += 128 * (w < 0 ? -w : w);
      }
    memcpy(p, &head, sizeof head);
  }
}

void depthwise_prepare(const DepthwiseArgs& a, void* packed) {
  int8_t* p = static_cast<int8_t*>(packed);
  for (int c = 0; c < a.channels; c += kTile, p += kDepthwiseBytes)
    prepare_head(reinterpret_cast<DepthwiseHead*>(p), a.bias + c, a.scale + c, a.out_zero);
}

// Eight channels, or the last `n` of a pixel, in the lower half.
template <bool kPart>
EVQA_INLINE int8x16_t load_channels(const uint8_t* p, int n) {
  if (!kPart) return load_eight(p);
  uint64_t v = 0;
  memcpy(&v, p, n);
  return vreinterpretq_s8_u64(vsetq_lane_u64(v, vdupq_n_u64(0), 0));
}

struct Column {
  int8x16_t v[2];
};

// Two rows of eight channels side by side, and two such pairs.
EVQA_INLINE int16x8_t pair(int8x16_t upper, int8x16_t lower) { return vreinterpretq_s16_s8(vzip1q_s8(upper, lower)); }
EVQA_INLINE Column column(int16x8_t upper, int16x8_t lower) {
  return {{vreinterpretq_s8_s16(vzip1q_s16(upper, lower)), vreinterpretq_s8_s16(vzip2q_s16(upper, lower))}};
}

struct DepthwiseStrip {
  const uint8_t* rows[5];
  ptrdiff_t pitch;
  const DepthwiseHead* head;
  Requant q;
  int n;  // channels
  int pixels;
  uint8_t* out[2];
};

// How a strip is requantised: by requant_exact, requant_room, requant_magic, requant_any; or, for fewer than eight
// channels, as can be.
enum class Finish { kExact, kRoom, kMagic, kAny, kPart };

template <int kStride, int kOutRows, Finish kFinish>
struct Depthwise8 {
  static constexpr int kSets = kStride == 2 ? kOutRows : 1;  // interleavings of a column
  static constexpr int kRead = kStride * (kOutRows - 1) + 3;
  static constexpr bool kShifted = kStride == 1 && kOutRows == 2;

  // Copies, as stores to `out` might change what is elsewhere.
  const uint8_t* rows[kRead];
  uint8_t* out;
  const DepthwiseHead* head;
  int8x16_t w[3][2], lower[3][2];
  Requant q;
  ptrdiff_t at, pitch, out_pitch;
  int n, pixels;

  EVQA_INLINE explicit Depthwise8(const DepthwiseStrip& s)
      : out(s.out[0]), head(s.head), q(s.q), at(0), pitch(s.pitch), out_pitch(kOutRows == 2 ? s.out[1] - s.out[0] : 0),
        n(s.n), pixels(s.pixels) {
    const int8_t* from = reinterpret_cast<const int8_t*>(s.head + 1);
    EVQA_UNROLL for (int r = 0; r < kRead; ++r) rows[r] = s.rows[r];
    EVQA_UNROLL for (int c = 0; c < 3; ++c) {
      EVQA_UNROLL for (int v = 0; v < 2; ++v) {
        w[c][v] = vld1q_s8(from + (2 * c + v) * 16);
        if (kShifted) lower[c][v] = vld1q_s8(from + (2 * c + v) * 16 - 1);
      }
    }
  }

  // The next column.
  EVQA_INLINE void read(Column (&to)[kSets]) {
    int8x16_t x[kRead];
    EVQA_UNROLL for (int r = 0; r < kRead; ++r) x[r] = load_channels<kFinish == Finish::kPart>(rows[r] + at, n);
    at += pitch;
    const int16x8_t first = pair(x[0], x[1]), second = pair(x[2], x[kRead > 3 ? 3 : 2]);
    to[0] = column(first, second);
    if (kSets == 2) to[kSets - 1] = column(second, pair(x[kRead - 1], x[kRead - 1]));
  }

  // The next output; reads the columns that the output before did not.
  EVQA_INLINE void pixel(Column (&left)[kSets], Column (&middle)[kSets], Column (&right)[kSets]) {
    if (kStride == 2) read(middle);
    read(right);
    int32x4_t acc[kOutRows][2];
    EVQA_UNROLL for (int r = 0; r < kOutRows; ++r) {
      const int32_t* from = opaque(head->start);
      EVQA_UNROLL for (int v = 0; v < 2; ++v) {
        const int8x16_t(&k)[3][2] = kShifted && r == 1 ? lower : w;
        const int set = kSets == 2 ? r : 0;
        acc[r][v] = vdotq_s32(vld1q_s32(from + 4 * v), left[set].v[v], k[0][v]);
        acc[r][v] = vdotq_s32(acc[r][v], middle[set].v[v], k[1][v]);
        acc[r][v] = vdotq_s32(acc[r][v], right[set].v[v], k[2][v]);
      }
    }
    if (kFinish == Finish::kPart) {
      Edge<kOutRows, kTile> edge;
      if (head->magic == kNoMagic)
        requant_any<kOutRows, 2>(acc, head->scale, q, nullptr, 0, edge.out, kTile);
      else
        requant_magic<kOutRows, 2>(acc, head->scale, q, nullptr, 0, edge.out, kTile);
      edge.give(out, out_pitch, kOutRows, n);
    } else if (kFinish == Finish::kAny) {
      requant_any<kOutRows, 2>(acc, head->scale, q, nullptr, 0, out, out_pitch);
    } else if (kFinish == Finish::kMagic) {
      requant_magic<kOutRows, 2>(acc, head->scale, q, nullptr, 0, out, out_pitch);
    } else if (kFinish == Finish::kRoom) {
      requant_room<kOutRows, false>(acc, head->scale, q, nullptr, out, out_pitch);
    } else {
      requant_exact<kOutRows>(acc, head->scale, head->shift, 0, out, out_pitch);
    }
    out += pitch;
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

// The usual case by itself, in assembler.
template <>
void depthwise_strip_neondot<1, 2, Finish::kExact>(const DepthwiseStrip& s) {
  depthwise_pair(s.rows, s.pitch, s.head, s.pixels, s.out);
}

template <int kStride, int kOutRows>
void depthwise_all_neondot(const DepthwiseArgs& a) {
  constexpr int kRead = kStride * (kOutRows - 1) + 3;
  // A strip of pixels stays in the first cache while its channels are gone through.
  const int most = 40960 / (kRead * kStride * a.channels), strips = 1 + (a.pixels - 1) / (most > 12 ? most : 12);
  const int strip = (a.pixels + strips - 1) / strips;
  DepthwiseStrip s = {};
  s.pitch = a.pitch;
  s.q = requant_of(a);
  const bool plain = !s.q.clamps(), even = !(s.q.zero & 1);
  for (int p = 0; p < a.pixels; p += strip) {
    s.pixels = least(strip, a.pixels - p);
    s.head = static_cast<const DepthwiseHead*>(a.packed);
    for (int c = 0; c < a.channels; c += kTile) {
      for (int r = 0; r < kRead; ++r) s.rows[r] = a.rows[r] + p * kStride * s.pitch + c;
      for (int r = 0; r < kOutRows; ++r) s.out[r] = a.out[r] + p * s.pitch + c;
      s.n = a.channels - c;
      if (s.n < kTile)
        depthwise_strip_neondot<kStride, kOutRows, Finish::kPart>(s);
      else if (s.head->magic == kNoMagic)
        depthwise_strip_neondot<kStride, kOutRows, Finish::kAny>(s);
      else if (!plain || s.head->magic != kAllMagic)
        depthwise_strip_neondot<kStride, kOutRows, Finish::kMagic>(s);
      else if (even && s.head->exact)
        depthwise_strip_neondot<kStride, kOutRows, Finish::kExact>(s);
      else
        depthwise_strip_neondot<kStride, kOutRows, Finish::kRoom>(s);
      s.head = reinterpret_cast<const DepthwiseHead*>(reinterpret_cast<const int8_t*>(s.head) + kDepthwiseBytes);
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
