// Convolution and dense products for ARMv8.0, which has no dot product: 4 pixels x 16 channels.
//
// Packed: a tile is 8 channels: its head, then for every quad of inputs k0..k3 two vectors of 4 channels, the even
// and the odd ones, each
//     [c0: k0 k1 | c2: k0 k1 | c4 | c6 | c0: k2 k3 | c2: k2 k3 | c4 | c6]
// A pixel's k0 k1 and k2 k3 are broadcast as 16-bit lanes; then for each vector
//     t = smull(low half, k0 k1);  t = smlal2(t, high half, k2 k3);  acc = sadalp(acc, t)
// leaves channels in lanes: no sums across at the end. Two products fit 16 bits, as weights are not -128.
//
// 64 x 4 MACs take 32 multiplies, which Cortex-A72 issues one a cycle: 8 MACs a cycle; sadalp and broadcasts go to its
// other pipe. Cortex-A53 issues one vector instruction a cycle: 256 / 48 = 5.3. For registers see sums_4x16_neon.h.
#pragma once

#include "tile_4x16_neon.h"

namespace evqa {
namespace {

constexpr int kQuadBytes = 4 * kTile;
constexpr int kHeadBytes = sizeof(PairHead);

EVQA_INLINE ptrdiff_t tile_bytes(ConvShape s) {
  return kHeadBytes + static_cast<ptrdiff_t>(s.segments) * s.segment_quads * kQuadBytes;
}

size_t conv_packed_bytes(ConvShape s, int channels) { return static_cast<size_t>(tiles(channels)) * tile_bytes(s); }

// A channel's place in a tile: words of four weights, apart in halves.
EVQA_INLINE void pack_channel(int channel, int quads, const int8_t* weights, int8_t* tile) {
  int8_t* to = tile + channel % 2 * 16 + channel / 2 * 2;
  for (int quad = 0; quad < quads; ++quad, weights += 4, to += kQuadBytes) {
    memcpy(to, weights, 2);
    memcpy(to + 8, weights + 2, 2);
  }
}

EVQA_INLINE int32_t sum_of_sizes(int n, const int8_t* weights) {
  uint32x4_t sums = vdupq_n_u32(0);
  int i = 0;
  for (; i + 16 <= n; i += 16)
    sums = vpadalq_u16(sums, vpaddlq_u8(vreinterpretq_u8_s8(vabsq_s8(vld1q_s8(weights + i)))));
  int32_t sum = static_cast<int32_t>(vaddvq_u32(sums));
  for (; i < n; ++i) sum += weights[i] < 0 ? -weights[i] : weights[i];
  return sum;
}

void conv_pack(ConvShape s, int channels, const int8_t* weights, void* packed) {
  const int quads = s.segments * s.segment_quads;
  int8_t* p = static_cast<int8_t*>(packed);
  memset(p, 0, conv_packed_bytes(s, channels));
  for (int c = 0; c < channels; ++c, weights += 4 * quads) {
    if (c && c % kTile == 0) p += tile_bytes(s);
    pack_channel(c % kTile, quads, weights, p + kHeadBytes);
    reinterpret_cast<PairHead*>(p)->sums[c % kTile] = 128 * sum_of_sizes(4 * quads, weights);
  }
}

void conv_prepare(const ConvArgs& a, void* packed) { prepare_pairs(a, packed, tile_bytes(a.shape)); }

// Whatever run_tiles does not: bounds, fewer than 8 channels.
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
  if (residual)
    requant_pairs<kRows, 2 * kTiles, true>(acc, a.scale + channel, q, residual, pitch, out, pitch);
  else
    requant_pairs<kRows, 2 * kTiles, false>(acc, a.scale + channel, q, residual, pitch, out, pitch);
  if (n < kWidth) edge.give(a.out + at, a.out_pixel, kRows, n);
}

// Tiles that are alike, and how they end.
struct Alike {
  int tiles;
  bool general;
  Ending ending;
};

// From the tile with `head` on, of `left` tiles, `whole` of them with 8 channels; of those at the end one may be alone.
EVQA_INLINE Alike alike(const ConvArgs& a, const PairHead* head, ptrdiff_t step, int left, int whole) {
  if (requant_of(a).clamps() || !whole) return {left, true, kAny};
  if (a.residual) return {whole >= 2 ? whole & ~1 : 1, false, kAdd};
  const int run = least(left, static_cast<int>(head->run));
  if (run >= 2 || whole == 1) return {run >= 2 ? run & ~1 : 1, false, !run ? kAny : a.out_zero & 1 ? kOdd : kEven};
  int n = 2;
  for (; n + 2 <= whole; n += 2)
    if (reinterpret_cast<const PairHead*>(reinterpret_cast<const int8_t*>(head) + n * step)->run >= 2) break;
  return {n, false, kAny};
}

template <int kRows>
EVQA_INLINE void general_tiles(const ConvArgs& a, Sums s, int pixel, int channel, int count) {
  for (; count >= 2; count -= 2, channel += 2 * kTile, s.w += 2 * s.step) {
    tile_4x16_general<kRows, 2>(a, s, pixel, channel);
    s.start[0] += 2 * s.step / 4, s.start[1] += 2 * s.step / 4;
  }
  if (count) tile_4x16_general<kRows, 1>(a, s, pixel, channel);
}

template <int kRows>
void block_4x16(const ConvArgs& a, int pixel, int groups, int first, int last) {
  const ptrdiff_t step = tile_bytes(a.shape);
  const int8_t* packed = static_cast<const int8_t*>(a.packed) + first / kTile * step;
  const ptrdiff_t in_step = kRows * a.in_pixel, out_step = kRows * a.out_pixel;
  const ptrdiff_t residual = reinterpret_cast<intptr_t>(a.residual) - reinterpret_cast<intptr_t>(a.out);
  Alike part;
  for (int c = first; c < last; c += part.tiles * kTile, packed += part.tiles * step) {
    const PairHead* head = reinterpret_cast<const PairHead*>(packed);
    part = alike(a, head, step, tiles(last - c), (least(last, a.channels) - c) / kTile);
    const int32_t* start = part.general || part.ending >= kAny ? head->sums : head->exact_sums;
    Run r = {{a.in + pixel * a.in_pixel, a.in_pixel, a.in_segment, a.shape.segments, a.shape.segment_quads,
              packed + kHeadBytes, step, {start, start + step / 4}},
             a.out + pixel * a.out_pixel + c, a.out_pixel, part.tiles >= 2 ? part.tiles / 2 : 1, a.out_zero, residual,
             a.residual_zero, a.residual_scale};
    for (int g = 0; g < groups; ++g, r.sums.in += in_step, r.out += out_step) {
      if (part.general)
        general_tiles<kRows>(a, r.sums, pixel + g * kRows, c, part.tiles);
      else
        run_tiles<kRows>(r, part.tiles >= 2, part.ending);
    }
  }
}

void conv_4x16(const ConvArgs& a) {
  static constexpr TileBlock blocks[] = {block_4x16<1>, block_4x16<2>, block_4x16<3>, block_4x16<4>};
  walk_tiles(a, a.pixels, blocks, 4, 2 * kTile);
}

template <int kRows, int kTiles>
EVQA_INLINE void dense_tile_4x16(const DenseArgs& a, const uint8_t* in, const int8_t* w, ptrdiff_t step, int output,
                                 int32_t* out) {
  int32_t start[2][kTile];
  for (int t = 0; t < kTiles; ++t) store_pairs(start[t], a.correction + output + t * kTile);
  int32x4_t acc[kRows][2 * kTiles];
  run_sums<kRows, kTiles>(acc, {in, a.in_row, 0, 1, a.quads, w, step, {start[0], start[1]}});
  EVQA_UNROLL for (int r = 0; r < kRows; ++r)
    EVQA_UNROLL for (int t = 0; t < kTiles; ++t)
      store_in_order(out + r * a.out_row + output + t * kTile, acc[r][2 * t], acc[r][2 * t + 1]);
}

template <int kRows>
void dense_rows_4x16(const DenseArgs& a, int row) {
  const ptrdiff_t step = tile_bytes({1, a.quads});
  const int8_t* w = static_cast<const int8_t*>(a.packed) + kHeadBytes;
  const uint8_t* in = a.in + row * a.in_row;
  int32_t* out = a.out + row * a.out_row;
  int j = 0;
  for (; j + kTile < a.outputs; j += 2 * kTile, w += 2 * step) dense_tile_4x16<kRows, 2>(a, in, w, step, j, out);
  if (j < a.outputs) dense_tile_4x16<kRows, 1>(a, in, w, step, j, out);
}

void dense_4x16(const DenseArgs& a) {
  static constexpr DenseBlock blocks[] = {dense_rows_4x16<1>, dense_rows_4x16<2>, dense_rows_4x16<3>,
                                          dense_rows_4x16<4>};
  walk_dense(a, blocks, 4);
}

}  // namespace
}  // namespace evqa
