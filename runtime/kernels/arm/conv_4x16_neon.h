// Convolution and dense products for ARMv8.0, which has no dot product: 4 pixels x 16 channels.
//
// Packed: a tile is 8 channels: its head, then for every quad of inputs k0..k3 two vectors of 4 channels, the even and the odd
// ones, each
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

void conv_pack(ConvShape s, int channels, const int8_t* weights, void* packed) {
  const int quads = s.segments * s.segment_quads;
  int8_t* p = static_cast<int8_t*>(packed);
  for (int first = 0; first < channels; first += kTile) {
    PairHead head = {};
    int8_t* w = p + kHeadBytes;
    for (int quad = 0; quad < quads; ++quad)
      for (int i = 0; i < kQuadBytes; ++i, ++w) {
        const int c = i % 8 / 2 * 2 + i / 16, channel = first + c, k = i % 16 / 8 * 2 + i % 2;
        *w = channel < channels ? weights[(static_cast<ptrdiff_t>(channel) * quads + quad) * 4 + k] : 0;
        head.sums[c] += 128 * (*w < 0 ? -*w : *w);
      }
    memcpy(p, &head, kHeadBytes);
    p = w;
  }
}

void conv_prepare(const ConvArgs& a, void* packed) { prepare_pairs(a, packed, tile_bytes(a.shape)); }

// Whatever run_tiles does not: residuals, bounds, fewer than 8 channels.
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

// Channels first .. last - 1 of a block's pixels, or as many of them as are alike; gives how many tiles that was.
template <int kRows>
EVQA_INLINE int some_tiles(const ConvArgs& a, Run& r, bool plain, int pixel, int first, int last) {
  const PairHead* head = reinterpret_cast<const PairHead*>(r.sums.w - kHeadBytes);
  const PairHead* next = reinterpret_cast<const PairHead*>(r.sums.w - kHeadBytes + r.sums.step);
  const int left = tiles(last - first), whole = (least(last, a.channels) - first) / kTile;
  const int exact = least(left, static_cast<int>(head->run));
  const bool is_exact = exact >= 2 || (exact && whole == 1);
  r.sums.start[0] = is_exact ? head->exact_sums : head->sums;
  r.sums.start[1] = is_exact ? next->exact_sums : next->sums;
  if (plain && whole) {
    r.out = a.out + pixel * a.out_pixel + first;
    const int pairs = is_exact ? exact / 2 : whole >= 2;
    run_tiles<kRows>(r, pairs, !is_exact ? kAny : a.out_zero & 1 ? kOdd : kEven);
    return pairs ? 2 * pairs : 1;
  }
  r.sums.start[0] = head->sums, r.sums.start[1] = next->sums;
  if (left == 1)
    tile_4x16_general<kRows, 1>(a, r.sums, pixel, first);
  else
    tile_4x16_general<kRows, 2>(a, r.sums, pixel, first);
  return left == 1 ? 1 : 2;
}

template <int kRows>
void block_4x16(const ConvArgs& a, int pixel, int groups, int first, int last, const TileStart*) {
  const ptrdiff_t step = tile_bytes(a.shape);
  const int8_t* packed = static_cast<const int8_t*>(a.packed) + first / kTile * step + kHeadBytes;
  const bool plain = is_plain(a);
  for (int g = 0; g < groups; ++g, pixel += kRows) {
    Run r = {{a.in + pixel * a.in_pixel, a.in_pixel, a.in_segment, a.shape.segments, a.shape.segment_quads, packed, step, {}},
             nullptr, a.out_pixel, 0, a.out_zero};
    for (int c = first; c < last;) {
      const int done = some_tiles<kRows>(a, r, plain, pixel, c, last);
      c += done * kTile, r.sums.w += done * step;
    }
  }
}

void conv_4x16(const ConvArgs& a) {
  static constexpr ConvBlock blocks[] = {block_4x16<1>, block_4x16<2>, block_4x16<3>, block_4x16<4>};
  walk_conv(a, a.pixels, blocks, 4, 2 * kTile, [](const ConvArgs&, int, int, TileStart*) {});
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
