// Convolution and dense products for ARMv8.0, which has no dot product: 4 pixels x 16 channels.
//
// Packed: a tile is 8 channels; for every quad of inputs k0..k3 two vectors of 4 channels, each
//     [c0: k0 k1 | c1: k0 k1 | c2 | c3 | c0: k2 k3 | c1: k2 k3 | c2 | c3]
// A pixel's k0 k1 and k2 k3 are broadcast as 16-bit lanes; then for each vector
//     t = smull(low half, k0 k1);  t = smlal2(t, high half, k2 k3);  acc = sadalp(acc, t)
// leaves channels in lanes: no sums across at the end. Two products fit 16 bits, as weights are not -128.
//
// 64 x 4 MACs take 32 multiplies, which Cortex-A72 issues one a cycle: 8 MACs a cycle; sadalp and broadcasts go to its
// other pipe. Cortex-A53 issues one vector instruction a cycle: 256 / 48 = 5.3. For registers see sums_4x16_neon.h.
#pragma once

#include "requant.h"
#include "sums_4x16_neon.h"

namespace evqa {
namespace {

constexpr int kQuadBytes = 4 * kTile;

size_t conv_packed_bytes(ConvShape s, int channels) {
  return static_cast<size_t>(tiles(channels)) * s.segments * s.segment_quads * kQuadBytes;
}

void conv_pack(ConvShape s, int channels, const int8_t* weights, void* packed) {
  const int quads = s.segments * s.segment_quads;
  int8_t* p = static_cast<int8_t*>(packed);
  for (int first = 0; first < channels; first += kTile)
    for (int quad = 0; quad < quads; ++quad)
      for (int i = 0; i < kQuadBytes; ++i) {
        const int channel = first + i / 16 * 4 + i % 8 / 2, k = i % 16 / 8 * 2 + i % 2;
        *p++ = channel < channels ? weights[(static_cast<ptrdiff_t>(channel) * quads + quad) * 4 + k] : 0;
      }
}

// Whatever tile_4x16 does not: residuals, bounds, fewer than 16 or 8 channels.
template <int kRows, int kTiles>
__attribute__((noinline)) void tile_4x16_general(const ConvArgs& a, const Sums& s, int pixel, int channel) {
  constexpr int kWidth = kTile * kTiles;
  const Requant q = requant_of(a);
  const int n = least(kWidth, a.channels - channel);
  int32x4_t acc[kRows][2 * kTiles];
  run_sums<kRows, kTiles>(acc, s);
  const ptrdiff_t at = pixel * a.out_pixel + channel;
  const uint8_t* residual = a.residual ? a.residual + at : nullptr;
  Edge<kRows, kWidth> edge;
  if (n < kWidth && residual) edge.take(residual, a.out_pixel, kRows, n), residual = edge.residual;
  uint8_t* out = n < kWidth ? edge.out : a.out + at;
  const ptrdiff_t pitch = n < kWidth ? kWidth : a.out_pixel;
  requant_any<kRows, 2 * kTiles, false>(acc, a.scale + channel, q, residual, pitch, out, pitch);
  if (n < kWidth) edge.give(a.out + at, a.out_pixel, kRows, n);
}

template <int kRows, int kTiles>
EVQA_INLINE void tile_4x16(const ConvArgs& a, const Sums& s, const Requant& q, bool plain, int pixel, int channel) {
  if (plain && channel + kTile * kTiles <= a.channels) {
    int32x4_t acc[kRows][2 * kTiles];
    run_sums<kRows, kTiles>(acc, s);
    requant_any<kRows, 2 * kTiles, true>(acc, a.scale + channel, q, nullptr, 0, a.out + pixel * a.out_pixel + channel,
                                         a.out_pixel);
  } else {
    tile_4x16_general<kRows, kTiles>(a, s, pixel, channel);
  }
}

template <int kRows>
void block_4x16(const ConvArgs& a, int pixel, int groups, int first, int last, const TileStart*) {
  const ptrdiff_t step = static_cast<ptrdiff_t>(a.shape.segments) * a.shape.segment_quads * kQuadBytes;
  const bool plain = is_plain(a);
  const Requant q = requant_of(a);
  const int8_t* w = static_cast<const int8_t*>(a.packed) + first / kTile * step;
  for (int g = 0; g < groups; ++g, pixel += kRows) {
    Sums s = {a.in + pixel * a.in_pixel, a.in_pixel, a.in_segment, a.shape.segments, a.shape.segment_quads, w, step,
              a.bias + first};
    int c = first;
    for (; c + kTile < last; c += 2 * kTile, s.w += 2 * step, s.start += 2 * kTile)
      tile_4x16<kRows, 2>(a, s, q, plain, pixel, c);
    if (c < last) tile_4x16<kRows, 1>(a, s, q, plain, pixel, c);
  }
}

void conv_4x16(const ConvArgs& a) {
  static constexpr ConvBlock blocks[] = {block_4x16<1>, block_4x16<2>, block_4x16<3>, block_4x16<4>};
  walk_conv(a, a.pixels, blocks, 4, 2 * kTile, [](const ConvArgs&, int, int, TileStart*) {});
}

template <int kRows>
void dense_rows_4x16(const DenseArgs& a, int row) {
  const ptrdiff_t step = static_cast<ptrdiff_t>(a.quads) * kQuadBytes;
  const int8_t* w = static_cast<const int8_t*>(a.packed);
  const uint8_t* in = a.in + row * a.in_row;
  int32_t* out = a.out + row * a.out_row;
  int j = 0;
  for (; j + kTile < a.outputs; j += 2 * kTile, w += 2 * step) {
    int32x4_t acc[kRows][4];
    run_sums<kRows, 2>(acc, {in, a.in_row, 0, 1, a.quads, w, step, a.correction + j});
    EVQA_UNROLL for (int r = 0; r < kRows; ++r)
      EVQA_UNROLL for (int v = 0; v < 4; ++v) vst1q_s32(out + r * a.out_row + j + 4 * v, acc[r][v]);
  }
  if (j < a.outputs) {
    int32x4_t acc[kRows][2];
    run_sums<kRows, 1>(acc, {in, a.in_row, 0, 1, a.quads, w, step, a.correction + j});
    EVQA_UNROLL for (int r = 0; r < kRows; ++r)
      EVQA_UNROLL for (int v = 0; v < 2; ++v) vst1q_s32(out + r * a.out_row + j + 4 * v, acc[r][v]);
  }
}

void dense_4x16(const DenseArgs& a) {
  static constexpr DenseBlock blocks[] = {dense_rows_4x16<1>, dense_rows_4x16<2>, dense_rows_4x16<3>,
                                          dense_rows_4x16<4>};
  walk_dense(a, blocks, 4);
}

}  // namespace
}  // namespace evqa
