// Convolution and dense products for ARMv7 with NEON: 4 pixels x 8 channels, as many sums as leave room in 16
// registers.
//
// Packed: a tile is 8 channels; for every quad of inputs k0..k3 two vectors of 4 channels, each
//     [c0: k0 k1 | c1: k0 k1 | c2 | c3 | c0: k2 k3 | c1: k2 k3 | c2 | c3]
// A pixel's k0 k1 and k2 k3 are broadcast as 16-bit lanes; then for each vector
//     t = vmull(low half, k0 k1);  t = vmlal(t, high half, k2 k3);  acc = vpadal(acc, t)
// leaves channels in lanes: no sums across at the end. Two products fit 16 bits, as weights are not -128.
//
// 32 x 4 MACs take 24 instructions of arithmetic and 5 loads.
#pragma once

#include "requant_neon32.h"
#include "sums_4x8_neon32.h"

namespace evqa {
namespace {

constexpr int kQuadBytes = 4 * kTile;

size_t conv_packed_bytes(ConvShape s, int channels) {
  return static_cast<size_t>(tiles(channels)) * static_cast<size_t>(s.segments * s.segment_quads * kQuadBytes);
}

void conv_pack(ConvShape s, int channels, const int8_t* weights, void* packed) {
  const int quads = s.segments * s.segment_quads;
  int8_t* p = static_cast<int8_t*>(packed);
  for (int first = 0; first < channels; first += kTile)
    for (int quad = 0; quad < quads; ++quad)
      for (int i = 0; i < kQuadBytes; ++i) {
        const int channel = first + i / 16 * 4 + i % 8 / 2, k = i % 16 / 8 * 2 + i % 2;
        *p++ = channel < channels ? weights[(channel * quads + quad) * 4 + k] : 0;
      }
}

// Whatever tile_4x8 does not: residuals, bounds, fewer than 8 channels.
template <int kRows>
__attribute__((noinline)) void tile_4x8_general(const ConvArgs& a, const Sums& s, int pixel, int channel) {
  int32x4_t acc[kRows][2];
  run_sums<kRows>(acc, s);
  const Requant q = requant_of(a);
  const int n = a.channels - channel;
  const ptrdiff_t at = pixel * a.out_pixel + channel;
  const uint8_t* residual = a.residual ? a.residual + at : nullptr;
  if (n >= kTile) return requant_rows<kRows>(acc, a.scale + channel, q, residual, a.out + at, a.out_pixel);
  Edge<kRows> edge;
  if (residual) edge.take(residual, a.out_pixel, n), residual = edge.residual;
  requant_rows<kRows>(acc, a.scale + channel, q, residual, edge.out, kTile);
  edge.give(a.out + at, a.out_pixel, n);
}

// `groups` times kRows pixels from `pixel` on, channels first .. last - 1.
template <int kRows>
void block_4x8(const ConvArgs& a, int pixel, int groups, int first, int last) {
  const ptrdiff_t step = static_cast<ptrdiff_t>(a.shape.segments) * a.shape.segment_quads * kQuadBytes;
  const bool plain = is_plain(a);
  const Plain constants(a.out_zero);
  for (int g = 0; g < groups; ++g, pixel += kRows) {
    Sums s = {a.in + pixel * a.in_pixel, a.in_pixel, a.in_segment - 4 * a.shape.segment_quads, a.shape.segments,
              a.shape.segment_quads, static_cast<const int8_t*>(a.packed) + first / kTile * step, a.bias + first};
    for (int c = first; c < last; c += kTile, s.w += step, s.start += kTile) {
      if (plain && c + kTile <= a.channels) {
        run_plain<kRows>(s, a.scale + c, constants, a.out + pixel * a.out_pixel + c, a.out_pixel);
      } else {
        tile_4x8_general<kRows>(a, s, pixel, c);
      }
    }
  }
}

void conv_4x8_neon32(const ConvArgs& a) {
  static constexpr void (*kBlocks[])(const ConvArgs&, int, int, int, int) = {block_4x8<1>, block_4x8<2>, block_4x8<3>,
                                                                             block_4x8<4>};
  // Weights go from the caches to every group of pixels anew; but where they are many and pixels are few, they are gone
  // through once, and the pixels for each tile of them.
  constexpr int kManyWeights = 24576;
  const int weights = a.channels * a.shape.segments * a.shape.segment_quads * 4;
  const bool weights_once = weights > kManyWeights && a.channels > a.pixels;
  const int part = weights_once ? kTile : a.channels;
  const Groups g = divide(a.pixels, 4);
  const int full = g.count - g.short_count;
  for (int c = 0; c < a.channels; c += part) {
    const int last = least(c + part, a.channels);
    kBlocks[g.size - 1](a, 0, full, c, last);
    if (g.short_count) kBlocks[g.size - 2](a, full * g.size, g.short_count, c, last);
  }
}

template <int kRows>
void dense_rows(const DenseArgs& a, int row) {
  Sums s = {a.in + row * a.in_row, a.in_row, 0, 1, a.quads, static_cast<const int8_t*>(a.packed), a.correction};
  int32_t* out = a.out + row * a.out_row;
  for (int j = 0; j < a.outputs; j += kTile, s.w += a.quads * kQuadBytes, s.start += kTile) {
    int32x4_t acc[kRows][2];
    run_sums<kRows>(acc, s);
    EVQA_UNROLL for (int r = 0; r < kRows; ++r) {
      vst1q_s32(out + r * a.out_row + j, acc[r][0]);
      vst1q_s32(out + r * a.out_row + j + 4, acc[r][1]);
    }
  }
}

void dense_4x8_neon32(const DenseArgs& a) {
  static constexpr void (*kRows[])(const DenseArgs&, int) = {dense_rows<1>, dense_rows<2>, dense_rows<3>,
                                                             dense_rows<4>};
  const Groups g = divide(a.rows, 4);
  for (int i = 0, row = 0; i < g.count; ++i) {
    const int size = i < g.count - g.short_count ? g.size : g.size - 1;
    kRows[size - 1](a, row);
    row += size;
  }
}

}  // namespace
}  // namespace evqa
