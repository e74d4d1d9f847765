// Convolution and dense products with SMMLA: 4 pairs of pixels x 4 pairs of channels.
//
// SMMLA multiplies two rows of 8 inputs by two rows of 8 weights into a 2 x 2 matrix of sums.
//
// Packed: a tile is 8 channels: its head, then for every 8 inputs four vectors of two channels. A run of an odd number of
// quads is filled up with zero weights.
//
// Registers: 16 sums, 4 pairs of pixels, 4 of weights. 8 inputs are 16 SMMLA, 512 MACs; two a cycle (Neoverse N2 and V1,
// Cortex-A710 and X2): 64 MACs a cycle. Pairs of pixels are interleaved into a buffer beforehand where more than one tile
// of channels reads them; interleaving costs a vector slot per 16 bytes.
#pragma once

#include "exact_8x8_neoni8mm.h"

namespace evqa {
namespace {

constexpr int kStepBytes = 8 * kTile;  // weights of 8 inputs
using Head = TileHead<2>;

EVQA_INLINE int steps(ConvShape s) { return s.segments * ((s.segment_quads + 1) / 2); }
EVQA_INLINE ptrdiff_t tile_bytes(ConvShape s) { return static_cast<ptrdiff_t>(sizeof(Head)) + steps(s) * kStepBytes; }

size_t conv_packed_bytes(ConvShape s, int channels) { return static_cast<size_t>(tiles(channels)) * tile_bytes(s); }

// One channel's run to every kStepBytes bytes; returns sum |w|. Opening a model is mostly this: 16 weights at a time.
int32_t pack_run(const int8_t* weights, int quads, int8_t* to) {
  const int8x16_t ones = vdupq_n_s8(1);
  int32x4_t sum = vdupq_n_s32(0);
  for (; quads >= 4; quads -= 4, weights += 16, to += 2 * kStepBytes) {
    const int8x16_t w = vld1q_s8(weights);
    sum = vdotq_s32(sum, vabsq_s8(w), ones);
    vst1_s8(to, vget_low_s8(w));
    vst1q_lane_s64(reinterpret_cast<int64_t*>(to + kStepBytes), vreinterpretq_s64_s8(w), 1);
  }
  if (quads) {
    int8_t rest[16] = {};
    memcpy(rest, weights, quads * 4);
    sum = vdotq_s32(sum, vabsq_s8(vld1q_s8(rest)), ones);
    memcpy(to, rest, 8);
    if (quads > 2) memcpy(to + kStepBytes, rest + 8, 8);
  }
  return vaddvq_s32(sum);
}

void conv_pack(ConvShape s, int channels, const int8_t* weights, void* packed) {
  const int run_steps = (s.segment_quads + 1) / 2;
  int8_t* p = static_cast<int8_t*>(packed);
  for (int first = 0; first < channels; first += kTile, p += tile_bytes(s)) {
    const int n = least(kTile, channels - first);
    Head head = {};
    if (n < kTile) memset(p, 0, tile_bytes(s));
    for (int c = 0; c < n; ++c) {
      int8_t* to = p + sizeof head + 8 * c;
      for (int segment = 0; segment < s.segments; ++segment, weights += s.segment_quads * 4, to += run_steps * kStepBytes)
        head.start[c] += 128 * pack_run(weights, s.segment_quads, to);
    }
    memcpy(p, &head, sizeof head);
  }
}

// What eight channels have, as matrices want it: of two channels for one pixel and for the other. In place or not.
EVQA_INLINE void spread_pairs(void* to, const void* from) {
  int64x2_t pairs[2];
  memcpy(pairs, from, sizeof pairs);
  EVQA_UNROLL for (int v = 0; v < 2; ++v) {
    const int64x2_t both[2] = {vzip1q_s64(pairs[v], pairs[v]), vzip2q_s64(pairs[v], pairs[v])};
    memcpy(static_cast<int8_t*>(to) + v * sizeof both, both, sizeof both);
  }
}

void conv_prepare(const ConvArgs& a, void* packed) {
  int8_t* p = static_cast<int8_t*>(packed);
  for (int c = 0; c < a.channels; c += kTile, p += tile_bytes(a.shape)) {
    Head* head = reinterpret_cast<Head*>(p);
    prepare_head(head, a.bias + c, a.scale + c, a.out_zero);
    spread_pairs(head->start, head->start);
    spread_pairs(head->scale, head->scale);
    spread_pairs(head->shift, head->shift);
  }
  count_exact<2>(packed, tile_bytes(a.shape), tiles(a.channels));
}

// Two pixels' next 8 or (the rest of a run) 4 inputs.
EVQA_INLINE int8x16_t pair_of_8(const uint8_t* p0, const uint8_t* p1) {
  return vreinterpretq_s8_s64(vzip1q_s64(vreinterpretq_s64_s8(load_eight(p0)), vreinterpretq_s64_s8(load_eight(p1))));
}
EVQA_INLINE int8x16_t pair_of_4(const uint8_t* p0, const uint8_t* p1) {
  return vreinterpretq_s8_s64(
      vzip1q_s64(vreinterpretq_s64_s8(load_quad(p0)), vreinterpretq_s64_s8(load_quad(p1))));
}

// Interleaves the pixels of `pairs` pairs, as a block of so many reads them: 8 inputs of all its pairs after another.
// A last pair without a second pixel has the first twice.
void interleave_pairs(const ConvArgs& a, int first_pair, int pairs, int8_t* to) {
  for (int i = 0; i < pairs; ++i) {
    const int pixel = 2 * (first_pair + i);
    const uint8_t* run0 = a.in + pixel * a.in_pixel;
    const uint8_t* run1 = pixel + 1 < a.pixels ? run0 + a.in_pixel : run0;
    int8_t* out = to + 16 * i;
    const ptrdiff_t step = 16 * pairs;
    for (int segment = 0; segment < a.shape.segments; ++segment, run0 += a.in_segment, run1 += a.in_segment) {
      const uint8_t *p0 = run0, *p1 = run1;
      int left = a.shape.segment_quads;
      for (; left >= 4; left -= 4, p0 += 16, p1 += 16, out += 2 * step) {
        const int64x2_t x0 = vreinterpretq_s64_s8(load16(p0)), x1 = vreinterpretq_s64_s8(load16(p1));
        vst1q_s8(out, vreinterpretq_s8_s64(vzip1q_s64(x0, x1)));
        vst1q_s8(out + step, vreinterpretq_s8_s64(vzip2q_s64(x0, x1)));
      }
      if (left >= 2) {
        vst1q_s8(out, pair_of_8(p0, p1));
        left -= 2, p0 += 8, p1 += 8, out += step;
      }
      if (left) vst1q_s8(out, pair_of_4(p0, p1)), out += step;
    }
  }
}

template <int kPairs>
EVQA_INLINE void step_8x8(int32x4_t (&acc)[kPairs][4], const int8x16_t (&in)[kPairs], const int8_t* w) {
  EVQA_UNROLL for (int j = 0; j < 4; ++j) {
    const int8x16_t weights = vld1q_s8(w + 16 * j);
    EVQA_UNROLL for (int i = 0; i < kPairs; ++i) acc[i][j] = vmmlaq_s32(acc[i][j], in[i], weights);
  }
}

template <int kPairs>
EVQA_INLINE void sums_interleaved(int32x4_t (&acc)[kPairs][4], int steps, const int8_t* in, const int8_t* w) {
  for (; steps; --steps, w += kStepBytes) {
    int8x16_t a[kPairs];
    EVQA_UNROLL for (int i = 0; i < kPairs; ++i, in += 16) a[i] = vld1q_s8(in);
    step_8x8<kPairs>(acc, a, w);
  }
}

// The same from pixels as they are: `rows` of them, at most 2 kPairs.
template <int kPairs>
EVQA_INLINE void sums_pixels(int32x4_t (&acc)[kPairs][4], int rows, ConvShape shape, const uint8_t* in,
                             ptrdiff_t in_pixel, ptrdiff_t in_segment, const int8_t* w) {
  const uint8_t* p[2 * kPairs];
  for (int segment = 0; segment < shape.segments; ++segment, in += in_segment) {
    EVQA_UNROLL for (int r = 0; r < 2 * kPairs; ++r) p[r] = in + least(r, rows - 1) * in_pixel;
    int8x16_t a[kPairs];
    int left = shape.segment_quads;
    for (; left >= 2; left -= 2, w += kStepBytes) {
      EVQA_UNROLL for (int i = 0; i < kPairs; ++i) {
        a[i] = pair_of_8(p[2 * i], p[2 * i + 1]);
        p[2 * i] += 8, p[2 * i + 1] += 8;
      }
      step_8x8<kPairs>(acc, a, w);
    }
    if (left) {
      EVQA_UNROLL for (int i = 0; i < kPairs; ++i) a[i] = pair_of_4(p[2 * i], p[2 * i + 1]);
      step_8x8<kPairs>(acc, a, w);
      w += kStepBytes;
    }
  }
}

template <int kPairs>
EVQA_INLINE void load_start(int32x4_t (&acc)[kPairs][4], const int32_t* start) {
  EVQA_UNROLL for (int i = 0; i < kPairs; ++i) {
    const int32_t* s = opaque(start);
    EVQA_UNROLL for (int j = 0; j < 4; ++j) acc[i][j] = vld1q_s32(s + 4 * j);
  }
}

// 2 x 2 matrices to rows of 8 channels.
template <int kPairs>
EVQA_INLINE void rows_of(const int32x4_t (&acc)[kPairs][4], int32x4_t (&rows)[2 * kPairs][2]) {
  EVQA_UNROLL for (int i = 0; i < kPairs; ++i) {
    EVQA_UNROLL for (int v = 0; v < 2; ++v) {
      const int64x2_t x = vreinterpretq_s64_s32(acc[i][2 * v]), y = vreinterpretq_s64_s32(acc[i][2 * v + 1]);
      rows[2 * i][v] = vreinterpretq_s32_s64(vzip1q_s64(x, y));
      rows[2 * i + 1][v] = vreinterpretq_s32_s64(vzip2q_s64(x, y));
    }
  }
}

template <int kPairs, bool kInterleaved>
EVQA_INLINE void pair_sums(int32x4_t (&rows)[2 * kPairs][2], const ConvArgs& a, int pair, const Head* head) {
  const int8_t* w = reinterpret_cast<const int8_t*>(head + 1);
  int32x4_t acc[kPairs][4];
  load_start<kPairs>(acc, head->start);
  if (kInterleaved)
    sums_interleaved<kPairs>(acc, steps(a.shape), reinterpret_cast<const int8_t*>(a.in) + pair * a.in_pixel, w);
  else
    sums_pixels<kPairs>(acc, least(2 * kPairs, a.pixels - 2 * pair), a.shape, a.in + 2 * pair * a.in_pixel, a.in_pixel,
                        a.in_segment, w);
  rows_of<kPairs>(acc, rows);
}

// Whatever tile_8x8 does not: bounds, large sums and residuals, fewer than 8 channels, odd pixels.
template <int kPairs, bool kInterleaved>
__attribute__((noinline)) void tile_8x8_general(const ConvArgs& a, int pair, int channel, const Head* head) {
  int32x4_t rows[2 * kPairs][2];
  pair_sums<kPairs, kInterleaved>(rows, a, pair, head);
  requant_tile<2 * kPairs>(rows, a, requant_of(a), 2 * pair, channel, head->magic);
}

// One tile of `groups` groups of pairs.
template <int kPairs, bool kInterleaved>
EVQA_INLINE void tile_8x8(const ConvArgs& a, int pair, int groups, int channel, const Head* head) {
  const Requant q = requant_of(a);
  const float* scale = a.scale + channel;
  const bool inlined = channel + kTile <= a.channels && has_room(a) && head->magic == kAllMagic;
  ptrdiff_t at = 2 * pair * a.out_pixel + channel;
  for (; groups; --groups, pair += kPairs, at += 2 * kPairs * a.out_pixel) {
    if (!inlined || 2 * (pair + kPairs) > a.pixels) {
      tile_8x8_general<kPairs, kInterleaved>(a, pair, channel, head);
      continue;
    }
    int32x4_t rows[2 * kPairs][2];
    pair_sums<kPairs, kInterleaved>(rows, a, pair, head);
    if (a.residual)
      requant_room<2 * kPairs, true>(rows, scale, q, a.residual + at, a.out + at, a.out_pixel);
    else
      requant_room<2 * kPairs, false>(rows, scale, q, nullptr, a.out + at, a.out_pixel);
  }
}

// Counts in pairs of pixels; kInterleaved: a.in is as interleave_pairs leaves it.
template <int kPairs, bool kInterleaved>
void block_8x8(const ConvArgs& a, int pair, int groups, int first, int last) {
  const ptrdiff_t step = tile_bytes(a.shape), pixels = 2 * kPairs;
  const bool exact = kInterleaved && is_plain(a) && !(a.out_zero & 1);
  const int8_t* packed = static_cast<const int8_t*>(a.packed) + first / kTile * step;
  uint8_t nobody[kTile];
  for (int c = first; c < last;) {
    const Head* head = reinterpret_cast<const Head*>(packed);
    const int run = exact ? least(head->exact, (last - c) / kTile) : 0, count = run ? run : 1;
    if (run) {
      ExactRun t = {reinterpret_cast<const int8_t*>(a.in) + pair * a.in_pixel, head, steps(a.shape), run,
                    a.out + 2 * pair * a.out_pixel + c, a.out_pixel, nullptr, kTile};
      for (int g = 0, end = 2 * pair + static_cast<int>(pixels); g < groups; ++g, end += pixels) {
        t.last = t.out + (pixels - 1) * a.out_pixel;
        if (end > a.pixels) t.last = nobody, t.last_step = 0;
        exact_pairs<kPairs>(t);
        t.in += kPairs * a.in_pixel;
        t.out += pixels * a.out_pixel;
      }
    } else {
      tile_8x8<kPairs, kInterleaved>(a, pair, groups, c, head);
    }
    c += count * kTile;
    packed += count * step;
  }
}

// Some pixels at a time, interleaved in a buffer of the first cache's size.
void conv_interleaved(const ConvArgs& a, int most_pairs, int8_t* buffer) {
  static constexpr TileBlock blocks[] = {block_8x8<1, true>, block_8x8<2, true>, block_8x8<3, true>,
                                         block_8x8<4, true>};
  const ptrdiff_t pair_bytes = 16 * steps(a.shape);
  ConvArgs part = a;
  part.in = reinterpret_cast<const uint8_t*>(buffer);
  part.in_pixel = pair_bytes;
  for (int pixel = 0; pixel < a.pixels; pixel += 2 * most_pairs) {
    part.pixels = least(2 * most_pairs, a.pixels - pixel);
    part.out = a.out + pixel * a.out_pixel;
    part.residual = a.residual ? a.residual + pixel * a.out_pixel : nullptr;
    ConvArgs from = a;
    from.in = a.in + pixel * a.in_pixel;
    from.pixels = part.pixels;
    const Groups g = divide((part.pixels + 1) / 2, 4);
    for (int i = 0, pair = 0; i < g.count; ++i) {
      const int pairs = i < g.count - g.short_count ? g.size : g.size - 1;
      interleave_pairs(from, pair, pairs, buffer + pair * pair_bytes);
      pair += pairs;
    }
    walk_tiles(part, (part.pixels + 1) / 2, blocks, 4);
  }
}

void conv_8x8(const ConvArgs& a) {
  static constexpr TileBlock blocks[] = {block_8x8<1, false>, block_8x8<2, false>, block_8x8<3, false>,
                                         block_8x8<4, false>};
  constexpr int kBuffer = 32768;
  const int pairs = kBuffer / (16 * steps(a.shape)) / 4 * 4;
  if (a.channels <= kTile || pairs == 0) return walk_tiles(a, (a.pixels + 1) / 2, blocks, 4);
  alignas(64) int8_t buffer[kBuffer];
  conv_interleaved(a, pairs, buffer);
}

// One row by SDOT: the row's 8 inputs twice, so that a vector of two channels' weights is used as it is.
EVQA_INLINE void dense_row(int32x4_t (&acc)[2], const uint8_t* in, int quads, const int8_t* w) {
  int32x4_t sums[4];
  EVQA_UNROLL for (int j = 0; j < 4; ++j) sums[j] = vdupq_n_s32(0);
  for (; quads > 0; quads -= 2, in += 8, w += kStepBytes) {
    const int8x16_t a = quads > 1 ? pair_of_8(in, in) : pair_of_4(in, in);
    EVQA_UNROLL for (int j = 0; j < 4; ++j) sums[j] = vdotq_s32(sums[j], vld1q_s8(w + 16 * j), a);
  }
  EVQA_UNROLL for (int v = 0; v < 2; ++v) acc[v] = vaddq_s32(acc[v], vpaddq_s32(sums[2 * v], sums[2 * v + 1]));
}

template <int kRows>
void dense_rows_8x8(const DenseArgs& a, int row) {
  constexpr int kPairs = (kRows + 1) / 2;
  const ConvShape shape = {1, a.quads};
  const int8_t* w = static_cast<const int8_t*>(a.packed);
  const uint8_t* in = a.in + row * a.in_row;
  for (int j = 0; j < a.outputs; j += kTile, w += tile_bytes(shape)) {
    int32x4_t rows[2 * kPairs][2];
    if (kRows == 1) {
      EVQA_UNROLL for (int v = 0; v < 2; ++v) rows[0][v] = vld1q_s32(a.correction + j + 4 * v);
      dense_row(rows[0], in, a.quads, w + sizeof(Head));
    } else {
      int32x4_t acc[kPairs][4];
      int32_t start[2 * kTile];
      spread_pairs(start, a.correction + j);
      load_start<kPairs>(acc, start);
      sums_pixels<kPairs>(acc, kRows, shape, in, a.in_row, 0, w + sizeof(Head));
      rows_of<kPairs>(acc, rows);
    }
    int32_t* out = a.out + row * a.out_row + j;
    EVQA_UNROLL for (int r = 0; r < kRows; ++r)
      EVQA_UNROLL for (int v = 0; v < 2; ++v) vst1q_s32(out + r * a.out_row + 4 * v, rows[r][v]);
  }
}

void dense_8x8(const DenseArgs& a) {
  static constexpr DenseBlock blocks[] = {dense_rows_8x8<1>, dense_rows_8x8<2>, dense_rows_8x8<3>, dense_rows_8x8<4>,
                                          dense_rows_8x8<5>, dense_rows_8x8<6>, dense_rows_8x8<7>, dense_rows_8x8<8>};
  walk_dense(a, blocks, 8);
}

}  // namespace
}  // namespace evqa
