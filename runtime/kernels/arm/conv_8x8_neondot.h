// Convolution and dense products with SDOT: 8 pixels x 8 channels.
//
// Packed: a tile is 8 channels: its head, then for every quad of inputs two vectors of 4 channels, each channel's four
// weights side by side. A pixel's quad is taken as a lane of its 16 inputs.
//
// A quad is 16 SDOT, 256 MACs; Cortex-A76 issues two a cycle: 32 MACs a cycle. Requantising a tile of 64 outputs exactly
// takes 40 slots of the same two pipes (16 FMLA, 8 UZP1, 8 SQXTN, 8 stores). For registers see sums_8x8_neondot.h.
#pragma once

#include "exact_8x8_neondot.h"

namespace evqa {
namespace {

constexpr int kQuadBytes = 4 * kTile;
using Head = TileHead<1>;

EVQA_INLINE ptrdiff_t tile_bytes(ConvShape s) {
  return static_cast<ptrdiff_t>(sizeof(Head)) + static_cast<ptrdiff_t>(s.segments) * s.segment_quads * kQuadBytes;
}

size_t conv_packed_bytes(ConvShape s, int channels) { return static_cast<size_t>(tiles(channels)) * tile_bytes(s); }

// One channel's quads to every kQuadBytes bytes; returns sum |w|. Opening a model is mostly this: 16 weights at a time.
int32_t pack_channel(const int8_t* weights, int quads, int8_t* to) {
  int32x4_t sum = vdupq_n_s32(0);
  for (; quads >= 4; quads -= 4, weights += 16, to += 4 * kQuadBytes) {
    const int8x16_t w = vld1q_s8(weights);
    sum = vdotq_s32(sum, vabsq_s8(w), vdupq_n_s8(1));
    const int32x4_t words = vreinterpretq_s32_s8(w);
    vst1q_lane_s32(reinterpret_cast<int32_t*>(to), words, 0);
    vst1q_lane_s32(reinterpret_cast<int32_t*>(to + kQuadBytes), words, 1);
    vst1q_lane_s32(reinterpret_cast<int32_t*>(to + 2 * kQuadBytes), words, 2);
    vst1q_lane_s32(reinterpret_cast<int32_t*>(to + 3 * kQuadBytes), words, 3);
  }
  int32_t rest = 0;
  for (; quads; --quads, weights += 4, to += kQuadBytes) {
    memcpy(to, weights, 4);
    for (int i = 0; i < 4; ++i) rest += weights[i] < 0 ? -weights[i] : weights[i];
  }
  return rest + vaddvq_s32(sum);
}

void conv_pack(ConvShape s, int channels, const int8_t* weights, void* packed) {
  const int quads = s.segments * s.segment_quads;
  int8_t* p = static_cast<int8_t*>(packed);
  for (int first = 0; first < channels; first += kTile, p += tile_bytes(s)) {
    const int n = least(kTile, channels - first);
    Head head = {};
    if (n < kTile) memset(p, 0, tile_bytes(s));
    for (int c = 0; c < n; ++c, weights += quads * 4)
      head.start[c] = 128 * pack_channel(weights, quads, p + sizeof head + 4 * c);
    memcpy(p, &head, sizeof head);
  }
}

void conv_prepare(const ConvArgs& a, void* packed) {
  int8_t* p = static_cast<int8_t*>(packed);
  for (int c = 0; c < a.channels; c += kTile, p += tile_bytes(a.shape))
    prepare_head(reinterpret_cast<Head*>(p), a.bias + c, a.scale + c, a.out_zero);
  count_exact<1>(packed, tile_bytes(a.shape), tiles(a.channels));
}

// Whatever block_8x8 does not: bounds, large sums and residuals, fewer than 8 channels.
template <int kRows>
__attribute__((noinline)) void tile_8x8_general(const ConvArgs& a, const Sums& s, int pixel, int channel, Magic magic) {
  int32x4_t acc[kRows][2];
  run_sums<kRows>(acc, s);
  requant_tile<kRows>(acc, a, requant_of(a), pixel, channel, magic);
}

// One tile of `groups` groups of pixels.
template <int kRows>
EVQA_INLINE void tile_8x8(const ConvArgs& a, int pixel, int groups, int channel, const Head* head) {
  const Requant q = requant_of(a);
  const bool plain = is_plain(a);
  const bool inlined = channel + kTile <= a.channels && has_room(a) && head->magic == kAllMagic;
  Sums s = {a.in + pixel * a.in_pixel, a.in_pixel, a.in_segment, a.shape.segments, a.shape.segment_quads,
            reinterpret_cast<const int8_t*>(head + 1), head->start};
  ptrdiff_t at = pixel * a.out_pixel + channel;
  for (; groups; --groups, pixel += kRows, at += kRows * a.out_pixel, s.in += kRows * a.in_pixel) {
    if (!inlined) {
      tile_8x8_general<kRows>(a, s, pixel, channel, head->magic);
      continue;
    }
    int32x4_t acc[kRows][2];
    run_sums<kRows>(acc, s);
    if (!plain)
      requant_room<kRows, true>(acc, head->scale, q, a.residual + at, a.out + at, a.out_pixel);
    else if (head->exact)
      requant_exact<kRows>(acc, head->scale, head->shift, q.zero, a.out + at, a.out_pixel);
    else
      requant_room<kRows, false>(acc, head->scale, q, nullptr, a.out + at, a.out_pixel);
  }
}

template <int kRows>
void block_8x8(const ConvArgs& a, int pixel, int groups, int first, int last) {
  const ptrdiff_t step = tile_bytes(a.shape);
  const bool exact = is_plain(a) && exact_shape(a.shape) && !(a.out_zero & 1);
  const int8_t* packed = static_cast<const int8_t*>(a.packed) + first / kTile * step;
  for (int c = first; c < last;) {
    const Head* head = reinterpret_cast<const Head*>(packed);
    const int run = exact ? least(head->exact, (last - c) / kTile) : 0, count = run ? run : 1;
    if (run) {
      ExactRun t = {a.in + pixel * a.in_pixel, a.in_pixel, head, a.shape.segment_quads, a.out + pixel * a.out_pixel + c,
                    a.out_pixel, run, a.shape.segments, a.in_segment};
      for (int g = 0; g < groups; ++g, t.in += kRows * t.in_pixel, t.out += kRows * t.out_pixel) exact_tiles<kRows>(t);
    } else {
      tile_8x8<kRows>(a, pixel, groups, c, head);
    }
    c += count * kTile;
    packed += count * step;
  }
}

void conv_8x8(const ConvArgs& a) {
  static constexpr TileBlock blocks[] = {block_8x8<1>, block_8x8<2>, block_8x8<3>, block_8x8<4>,
                                         block_8x8<5>, block_8x8<6>, block_8x8<7>, block_8x8<8>};
  walk_tiles(a, a.pixels, blocks, 8);
}

// One row: every lane of the inputs gets its own sums, so that no sum waits for the one before.
EVQA_INLINE void dense_row(int32x4_t (&acc)[2], const uint8_t* in, int quads, const int8_t* w) {
  int32x4_t sums[4][2];
  EVQA_UNROLL for (int i = 0; i < 4; ++i) sums[i][0] = sums[i][1] = vdupq_n_s32(0);
  for (; quads >= 4; quads -= 4, in += 16, w += 4 * kQuadBytes) {
    const int8x16_t a = load16(in);
    EVQA_UNROLL for (int v = 0; v < 2; ++v) {
      sums[0][v] = vdotq_laneq_s32(sums[0][v], vld1q_s8(w + 16 * v), a, 0);
      sums[1][v] = vdotq_laneq_s32(sums[1][v], vld1q_s8(w + 16 * v + kQuadBytes), a, 1);
      sums[2][v] = vdotq_laneq_s32(sums[2][v], vld1q_s8(w + 16 * v + 2 * kQuadBytes), a, 2);
      sums[3][v] = vdotq_laneq_s32(sums[3][v], vld1q_s8(w + 16 * v + 3 * kQuadBytes), a, 3);
    }
  }
  for (; quads; --quads, in += 4, w += kQuadBytes) {
    const int8x16_t a = load_quad(in);
    EVQA_UNROLL for (int v = 0; v < 2; ++v) sums[0][v] = vdotq_laneq_s32(sums[0][v], vld1q_s8(w + 16 * v), a, 0);
  }
  EVQA_UNROLL for (int v = 0; v < 2; ++v)
    acc[v] = vaddq_s32(acc[v], vaddq_s32(vaddq_s32(sums[0][v], sums[1][v]), vaddq_s32(sums[2][v], sums[3][v])));
}

template <int kRows>
void dense_rows_8x8(const DenseArgs& a, int row) {
  const ConvShape shape = {1, a.quads};
  Sums s = {a.in + row * a.in_row, a.in_row, 0, 1, a.quads, static_cast<const int8_t*>(a.packed) + sizeof(Head), nullptr};
  for (int j = 0; j < a.outputs; j += kTile, s.w += tile_bytes(shape)) {
    int32x4_t acc[kRows][2];
    if (kRows == 1) {
      EVQA_UNROLL for (int v = 0; v < 2; ++v) acc[0][v] = vld1q_s32(a.correction + j + 4 * v);
      dense_row(acc[0], s.in, a.quads, s.w);
    } else {
      s.start = a.correction + j;
      run_sums<kRows>(acc, s);
    }
    int32_t* out = a.out + row * a.out_row + j;
    EVQA_UNROLL for (int r = 0; r < kRows; ++r)
      EVQA_UNROLL for (int v = 0; v < 2; ++v) vst1q_s32(out + r * a.out_row + 4 * v, acc[r][v]);
  }
}

void dense_8x8(const DenseArgs& a) {
  static constexpr DenseBlock blocks[] = {dense_rows_8x8<1>, dense_rows_8x8<2>, dense_rows_8x8<3>, dense_rows_8x8<4>,
                                          dense_rows_8x8<5>, dense_rows_8x8<6>, dense_rows_8x8<7>, dense_rows_8x8<8>};
  walk_dense(a, blocks, 8);
}

}  // namespace
}  // namespace evqa
