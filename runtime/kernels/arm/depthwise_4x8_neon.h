// 3x3 depthwise for ARMv8.0: 4 pixels x 8 channels.
//
// Packed: a tile is 8 channels: its head, then 9 taps. Rows are in an order that puts the smallest taps last. 9
// multiplies, 8 or 10 additions and, where results are exact, 2 FMLA and 3 narrowings for 8 outputs: 12 or 13 cycles
// on both pipes of Cortex-A72. See filter_4x8_neon.h.
#pragma once

#include "filter_4x8_neon.h"

namespace evqa {
namespace {

struct FilterTile {
  TileHead<1> head;
  FilterTaps filter;
};
static_assert(sizeof(FilterTile) % 16 == 0);

size_t depthwise_packed_bytes(int channels) { return static_cast<size_t>(tiles(channels)) * sizeof(FilterTile); }

// Eight channels, whose taps in order are [9][8].
EVQA_INLINE void pack_filter(const int8_t (&taps)[9 * kTile], FilterTile* tile) {
  int most[3] = {};  // of a row's three taps together
  for (int i = 0; i < 3 * kTile; ++i) {
    const int row = i / kTile, c = i % kTile;
    int sum = 0;
    for (int tap = 3 * row; tap < 3 * row + 3; ++tap) {
      const int w = taps[tap * kTile + c];
      sum += w < 0 ? -w : w;
    }
    tile->head.start[c] += 128 * sum;
    if (most[row] < sum) most[row] = sum;
  }
  FilterTaps* filter = &tile->filter;
  const int last = most[2] <= most[0] && most[2] <= most[1] ? 2 : most[0] <= most[1] ? 0 : 1;
  filter->triple = most[last] <= 255;
  for (int i = 0; i < 3; ++i) {
    const int row = i == 2 ? last : i < last ? i : i + 1;
    filter->rows[i] = static_cast<uint8_t>(8 * row);
    memcpy(filter->taps + 3 * i * kTile, taps + 3 * row * kTile, 3 * kTile);
  }
}

void depthwise_pack(int channels, const int8_t* weights, void* packed) {
  FilterTile* tile = static_cast<FilterTile*>(packed);
  for (int first = 0; first < channels; first += kTile, ++tile) {
    int8_t taps[9 * kTile] = {};
    for (int tap = 0; tap < 9; ++tap)
      memcpy(taps + tap * kTile, weights + tap * channels + first, least(kTile, channels - first));
    *tile = {};
    pack_filter(taps, tile);
  }
}

void depthwise_prepare(const DepthwiseArgs& a, void* packed) {
  FilterTile* tile = static_cast<FilterTile*>(packed);
  for (int c = 0; c < a.channels; c += kTile, ++tile) prepare_head(&tile->head, a.bias + c, a.scale + c, a.out_zero);
}

// One pixel of the last channels, or between bounds.
EVQA_INLINE void depthwise_pixel(const DepthwiseArgs& a, const FilterTaps& filter, const FilterRow& row,
                                 ptrdiff_t in_at, ptrdiff_t out_at, int channel) {
  const int n = least(kTile, a.channels - channel);
  int32x4_t acc[1][2] = {{vld1q_s32(a.bias + channel), vld1q_s32(a.bias + channel + 4)}};
  for (int tap = 0; tap < 9; ++tap) {
    uint64_t x = 0;
    memcpy(&x, row.in[filter.rows[tap / 3] / 8] + in_at + tap % 3 * a.pitch, n);
    const int16x8_t t = vmull_s8(vreinterpret_s8_u64(vcreate_u64(x)), vld1_s8(filter.taps + tap * kTile));
    acc[0][0] = vaddw_s16(acc[0][0], vget_low_s16(t));
    acc[0][1] = vaddw_high_s16(acc[0][1], t);
  }
  Edge<1, kTile> edge;
  requant_any<1, 2>(acc, a.scale + channel, requant_of(a), nullptr, 0, edge.out, kTile);
  edge.give(row.out + out_at, a.pitch, 1, n);
}

template <int kStride>
void depthwise_rows_neon(const DepthwiseArgs& a, int pixel, int pixels) {
  using Filter = void (*)(const FilterRows&);
  static constexpr Filter filters[3][4] = {
      {filter_any<kStride, 1>, filter_any<kStride, 2>, filter_any<kStride, 3>, filter_any<kStride, 4>},
      {filter_exact<kStride, 1>, filter_exact<kStride, 2>, filter_exact<kStride, 3>, filter_exact<kStride, 4>},
      {filter_triple<kStride, 1>, filter_triple<kStride, 2>, filter_triple<kStride, 3>, filter_triple<kStride, 4>}};
  const FilterTile* tile = static_cast<const FilterTile*>(a.packed);
  const Groups g = divide(pixels, 4);
  const bool clamps = requant_of(a).clamps(), even = !(a.out_zero & 1);
  FilterRows f = {{}, a.out_rows, a.pitch, nullptr, nullptr, nullptr, nullptr, g.count - g.short_count, g.short_count,
                  a.out_zero, 0};
  for (int r = 0; r < a.out_rows; ++r) {
    for (int i = 0; i < 3; ++i) f.rows[r].in[i] = a.rows[r * kStride + i] + pixel * kStride * f.pitch;
    f.rows[r].out = a.out[r] + pixel * f.pitch;
  }
  for (int c = 0; c < a.channels; c += kTile, ++tile) {
    if (clamps || c + kTile > a.channels) {
      for (int i = 0; i < pixels * a.out_rows; ++i) {
        const ptrdiff_t at = i % pixels * f.pitch;
        depthwise_pixel(a, tile->filter, f.rows[i / pixels], at * kStride + c, at + c, c);
      }
      continue;
    }
    const bool exact = tile->head.exact && even;
    f.taps = &tile->filter, f.at = c, f.start = exact ? tile->head.start : a.bias + c;
    f.scale = exact ? tile->head.scale : a.scale + c, f.shift = tile->head.shift;
    filters[exact ? 1 + tile->filter.triple : 0][g.size - 1](f);
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
