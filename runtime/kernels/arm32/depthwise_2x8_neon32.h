// 3x3 depthwise for ARMv7 with NEON: 2 pixels x 8 channels.
//
// Packed: 9 taps of 8 channels each. Taps are multiplied in pairs, t = vmull(tap); t = vmlal(t, next tap), which fits 16
// bits as weights are not -128, then added to two vectors of sums; the ninth alone. Two pixels at once give an in-order
// core something to do while products arrive.
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

EVQA_INLINE void add_products(int32x4_t (&acc)[2], int16x8_t t) {
  acc[0] = vaddw_s16(acc[0], vget_low_s16(t));
  acc[1] = vaddw_s16(acc[1], vget_high_s16(t));
}

// One tile of channels of one output row.
struct Filter {
  const uint8_t* rows[3];
  ptrdiff_t pitch;
  const int32_t* bias;
  const float* scale;
  Requant q;
  int n;  // channels
  int8x8_t w[9];
};

template <int kStride, int kPixels, bool kPart, bool kPlain>
EVQA_INLINE void filter_pixels(const Filter& f, uint8_t* out) {
  constexpr int kColumns = (kPixels - 1) * kStride + 3;
  int32x4_t acc[kPixels][2];
  int16x8_t odd[kPixels];  // a row's third product, waiting for the next row's first
  EVQA_UNROLL for (int i = 0; i < kPixels; ++i) {
    acc[i][0] = vld1q_s32(f.bias);
    acc[i][1] = vld1q_s32(f.bias + 4);
  }
  EVQA_UNROLL for (int row = 0; row < 3; ++row) {
    int8x8_t x[kColumns];
    EVQA_UNROLL for (int c = 0; c < kColumns; ++c) x[c] = load_channels<kPart>(f.rows[row] + c * f.pitch, f.n);
    EVQA_UNROLL for (int i = 0; i < kPixels; ++i) {
      const int8x8_t *a = x + i * kStride, *k = f.w + 3 * row;
      if (row == 1) {
        add_products(acc[i], vmlal_s8(odd[i], a[0], k[0]));
        add_products(acc[i], vmlal_s8(vmull_s8(a[1], k[1]), a[2], k[2]));
      } else {
        add_products(acc[i], vmlal_s8(vmull_s8(a[0], k[0]), a[1], k[1]));
        odd[i] = vmull_s8(a[2], k[2]);
        if (row == 2) add_products(acc[i], odd[i]);
      }
    }
  }
  if (kPart) {
    Edge<kPixels> edge;
    requant_rows<kPixels, kPlain>(acc, f.scale, f.q, nullptr, edge.out, kTile);
    edge.give(out, f.pitch, f.n);
  } else {
    requant_rows<kPixels, kPlain>(acc, f.scale, f.q, nullptr, out, f.pitch);
  }
}

template <int kStride, bool kPart, bool kPlain>
void filter_row(const DepthwiseArgs& a, int out_row, int channel, int pixel, int pixels) {
  const ptrdiff_t pitch = a.pitch;
  Filter f = {{}, pitch, a.bias + channel, a.scale + channel, requant_of(a), least(kTile, a.channels - channel), {}};
  const int8_t* packed = static_cast<const int8_t*>(a.packed) + channel * 9;
  EVQA_UNROLL for (int tap = 0; tap < 9; ++tap) f.w[tap] = vld1_s8(packed + tap * kTile);
  for (int r = 0; r < 3; ++r) f.rows[r] = a.rows[out_row * kStride + r] + pixel * kStride * pitch + channel;
  uint8_t* out = a.out[out_row] + pixel * pitch + channel;
  for (; pixels >= 2; pixels -= 2, out += 2 * pitch) {
    filter_pixels<kStride, 2, kPart, kPlain>(f, out);
    for (int r = 0; r < 3; ++r) f.rows[r] += 2 * kStride * pitch;
  }
  if (pixels) filter_pixels<kStride, 1, kPart, kPlain>(f, out);
}

template <int kStride>
void depthwise_all(const DepthwiseArgs& a) {
  // A strip of pixels stays in the first cache while its channels are gone through.
  int strip = 16384 / (5 * kStride * a.channels) / 2 * 2;
  if (strip < 8) strip = 8;
  const bool plain = !requant_of(a).clamps();
  for (int pixel = 0; pixel < a.pixels; pixel += strip) {
    const int pixels = least(strip, a.pixels - pixel);
    for (int c = 0; c < a.channels; c += kTile)
      for (int r = 0; r < a.out_rows; ++r)
        if (c + kTile > a.channels)
          filter_row<kStride, true, false>(a, r, c, pixel, pixels);
        else if (plain)
          filter_row<kStride, false, true>(a, r, c, pixel, pixels);
        else
          filter_row<kStride, false, false>(a, r, c, pixel, pixels);
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
