// 3x3 depthwise for ARMv8.0: 4 pixels x 8 channels.
//
// Packed: a tile is 8 channels: its head, then 9 taps. 9 multiplies, 10 additions and, where results are exact, 2 FMLA and 3
// narrowings for 8 outputs: 13 cycles on both pipes of Cortex-A72. See filter_4x8_neon.h.
#pragma once

#include "filter_4x8_neon.h"

namespace evqa {
namespace {

struct FilterTile {
  TileHead<kTile> head;
  int8_t taps[9 * kTile];
  int8_t unused[8];
};
static_assert(sizeof(FilterTile) % 16 == 0);

size_t depthwise_packed_bytes(int channels) { return static_cast<size_t>(tiles(channels)) * sizeof(FilterTile); }

void depthwise_pack(int channels, const int8_t* weights, void* packed) {
  FilterTile* tile = static_cast<FilterTile*>(packed);
  for (int first = 0; first < channels; first += kTile, ++tile) {
    *tile = {};
    for (int i = 0; i < 9 * kTile; ++i) {
      const int c = i % kTile, tap = i / kTile;
      if (first + c >= channels) continue;
      const int w = weights[tap * channels + first + c];
      tile->taps[i] = static_cast<int8_t>(w);
      tile->head.start[c] += 128 * (w < 0 ? -w : w);
    }
  }
}

void depthwise_prepare(const DepthwiseArgs& a, void* packed) {
  FilterTile* tile = static_cast<FilterTile*>(packed);
  for (int c = 0; c < a.channels; c += kTile, ++tile) prepare_head(&tile->head, a.bias + c, a.scale + c, a.out_zero);
}

// One pixel of the last channels, or between bounds.
EVQA_INLINE void depthwise_pixel(const DepthwiseArgs& a, const FilterTile& tile, const uint8_t* const (&rows)[3],
                                 int channel, uint8_t* out) {
  const int n = least(kTile, a.channels - channel);
  int32x4_t acc[1][2] = {{vld1q_s32(a.bias + channel), vld1q_s32(a.bias + channel + 4)}};
  for (int tap = 0; tap < 9; ++tap) {
    uint64_t x = 0;
    memcpy(&x, rows[tap / 3] + tap % 3 * a.pitch, n);
    const int16x8_t t = vmull_s8(vreinterpret_s8_u64(vcreate_u64(x)), vld1_s8(tile.taps + tap * kTile));
    acc[0][0] = vaddw_s16(acc[0][0], vget_low_s16(t));
    acc[0][1] = vaddw_high_s16(acc[0][1], t);
  }
  Edge<1, kTile> edge;
  requant_any<1, 2, false>(acc, a.scale + channel, requant_of(a), nullptr, 0, edge.out, kTile);
  edge.give(out, a.pitch, 1, n);
}

template <int kStride>
void depthwise_pixels(const DepthwiseArgs& a, const FilterTile& tile, FilterRow row, int channel, int pixels) {
  for (; pixels; --pixels, row.out += a.pitch) {
    depthwise_pixel(a, tile, row.in, channel, row.out);
    for (int i = 0; i < 3; ++i) row.in[i] += kStride * a.pitch;
  }
}

template <int kStride>
void depthwise_rows_neon(const DepthwiseArgs& a, int pixel, int pixels) {
  using Filter = void (*)(const FilterRows&);
  static constexpr Filter filters[2][4] = {
      {filter_any<kStride, 1>, filter_any<kStride, 2>, filter_any<kStride, 3>, filter_any<kStride, 4>},
      {filter_exact<kStride, 1>, filter_exact<kStride, 2>, filter_exact<kStride, 3>, filter_exact<kStride, 4>}};
  const FilterTile* tile = static_cast<const FilterTile*>(a.packed);
  const Groups g = divide(pixels, 4);
  const bool clamps = requant_of(a).clamps(), even = !(a.out_zero & 1);
  FilterRows f = {{}, a.out_rows, a.pitch, nullptr, nullptr, a.scale, nullptr, g.count - g.short_count, g.short_count,
                  a.out_zero};
  for (int r = 0; r < a.out_rows; ++r) {
    for (int i = 0; i < 3; ++i) f.rows[r].in[i] = a.rows[r * kStride + i] + pixel * kStride * f.pitch;
    f.rows[r].out = a.out[r] + pixel * f.pitch;
  }
  for (int c = 0; c < a.channels; c += kTile, ++tile) {
    if (clamps || c + kTile > a.channels) {
      for (int r = 0; r < a.out_rows; ++r) depthwise_pixels<kStride>(a, *tile, f.rows[r], c, pixels);
    } else {
      const bool exact = tile->head.exact && even;
      f.taps = tile->taps, f.start = exact ? tile->head.start : a.bias + c, f.shift = tile->head.shift;
      filters[exact][g.size - 1](f);
    }
    f.scale += kTile;
    for (FilterRow& row : f.rows) {
      for (const uint8_t*& in : row.in) in += kTile;
      row.out += kTile;
    }
  }
}

template <int kStride>
void depthwise_all_neon(const DepthwiseArgs& a) {
  // A strip of pixels stays in the first cache while its channels are gone through.
  int strip = 16384 / (5 * kStride * a.channels) / 4 * 4;
  if (strip < 8) strip = 8;
  for (int pixel = 0; pixel < a.pixels; pixel += strip)
    depthwise_rows_neon<kStride>(a, pixel, least(strip, a.pixels - pixel));
}

void depthwise_4x8_neon(const DepthwiseArgs& a) {
  if (a.stride == 1)
    depthwise_all_neon<1>(a);
  else
    depthwise_all_neon<2>(a);
}

}  // namespace
}  // namespace evqa
