// Convolution and dense products with SMMLA: 4 pairs of pixels x 4 pairs of channels.
//
// SMMLA multiplies two rows of 8 inputs by two rows of 8 weights into a 2 x 2 matrix of sums.
//
// Packed: a tile is 8 channels: for each channel an int32 bound on any sum of products, then for every 8 inputs four
// vectors of two channels. A run of an odd number of quads is filled up with zero weights.
//
// Registers: 16 sums, 4 pairs of pixels, 4 of weights. 8 inputs are 16 SMMLA, 512 MACs; two a cycle (Neoverse N2 and V1,
// Cortex-A710 and X2): 64 MACs a cycle. Pairs of pixels are interleaved into a buffer beforehand where more than one tile
// of channels reads them; interleaving costs a vector slot per 16 bytes.
#pragma once

#include "requant.h"

namespace evqa {
namespace {

constexpr int kStepBytes = 8 * kTile;  // weights of 8 inputs
constexpr int kBoundBytes = 4 * kTile;

EVQA_INLINE int steps(ConvShape s) { return s.segments * ((s.segment_quads + 1) / 2); }
EVQA_INLINE ptrdiff_t tile_bytes(ConvShape s) { return kBoundBytes + static_cast<ptrdiff_t>(steps(s)) * kStepBytes; }

size_t conv_packed_bytes(ConvShape s, int channels) { return static_cast<size_t>(tiles(channels)) * tile_bytes(s); }

void conv_pack(ConvShape s, int channels, const int8_t* weights, void* packed) {
  const int run = s.segment_quads * 4;
  int8_t* p = static_cast<int8_t*>(packed);
  for (int first = 0; first < channels; first += kTile) {
    int32_t bound[kTile] = {};
    int8_t* w = p + kBoundBytes;
    for (int segment = 0; segment < s.segments; ++segment)
      for (int k = 0; k < run; k += 8)
        for (int i = 0; i < kStepBytes; ++i, ++w) {
          const int channel = first + i / 8, in = k + i % 8;
          const bool there = channel < channels && in < run;
          *w = there ? weights[(static_cast<ptrdiff_t>(channel) * s.segments + segment) * run + in] : 0;
          bound[i / 8] += 128 * (*w < 0 ? -*w : *w);
        }
    memcpy(p, bound, kBoundBytes);
    p = w;
  }
}

// Sums begin with the bias (plus `add`) of two channels for one pixel and for the other.
EVQA_INLINE void start_pairs(int32_t* sums, const int32_t* bias, int32_t add) {
  EVQA_UNROLL for (int v = 0; v < 2; ++v) {
    const int64x2_t b = vreinterpretq_s64_s32(vaddq_s32(vld1q_s32(bias + 4 * v), vdupq_n_s32(add)));
    vst1q_s32(sums + 8 * v, vreinterpretq_s32_s64(vzip1q_s64(b, b)));
    vst1q_s32(sums + 8 * v + 4, vreinterpretq_s32_s64(vzip2q_s64(b, b)));
  }
}

void begin_tiles(const ConvArgs& a, int first, int last, TileStart* starts) {
  begin_magic(a, tile_bytes(a.shape), first, last, starts, start_pairs);
}

// Two pixels' next 8 or (the rest of a run) 4 inputs.
EVQA_INLINE int8x16_t pair_of_8(const uint8_t* p0, const uint8_t* p1) {
  return vreinterpretq_s8_u8(vcombine_u8(vld1_u8(p0), vld1_u8(p1)));
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
      for (; left >= 2; left -= 2, p0 += 8, p1 += 8, out += step) vst1q_s8(out, pair_of_8(p0, p1));
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
EVQA_INLINE void pair_sums(int32x4_t (&rows)[2 * kPairs][2], const ConvArgs& a, int pair, const int8_t* w,
                           const int32_t* start) {
  int32x4_t acc[kPairs][4];
  load_start<kPairs>(acc, start);
  if (kInterleaved)
    sums_interleaved<kPairs>(acc, steps(a.shape), reinterpret_cast<const int8_t*>(a.in) + pair * a.in_pixel,
                             w + kBoundBytes);
  else
    sums_pixels<kPairs>(acc, least(2 * kPairs, a.pixels - 2 * pair), a.shape, a.in + 2 * pair * a.in_pixel, a.in_pixel,
                        a.in_segment, w + kBoundBytes);
  rows_of<kPairs>(acc, rows);
}

// Whatever block_8x8 does not: residuals, bounds, odd zero points, large sums, fewer than 8 channels, odd pixels.
template <int kPairs, bool kInterleaved>
__attribute__((noinline)) void tile_8x8_general(const ConvArgs& a, int pair, int channel, const int8_t* w,
                                                const TileStart& start) {
  int32x4_t rows[2 * kPairs][2];
  pair_sums<kPairs, kInterleaved>(rows, a, pair, w, start.sums);
  requant_tile<2 * kPairs>(rows, a, requant_of(a), 2 * pair, channel, start.magic);
}

// Counts in pairs of pixels; kInterleaved: a.in is as interleave_pairs leaves it.
template <int kPairs, bool kInterleaved>
void block_8x8(const ConvArgs& a, int pair, int groups, int first, int last, const TileStart* starts) {
  const ptrdiff_t step = tile_bytes(a.shape), out_pixel = a.out_pixel;
  const Requant q = requant_of(a);
  const int8_t* packed = static_cast<const int8_t*>(a.packed) + first / kTile * step;
  const int count = tiles(last - first);
  for (int t = 0; t < count;) {
    const int run = least(starts[t].run, count - t), end = t + (run ? run : 1);
    for (int g = 0, i = pair; g < groups; ++g, i += kPairs) {
      const bool simple = run && 2 * (i + kPairs) <= a.pixels;
      const int8_t* w = packed + t * step;
      const int c = first + t * kTile;
      if (!simple) {
        for (int u = t; u < end; ++u, w += step)
          tile_8x8_general<kPairs, kInterleaved>(a, i, first + u * kTile, w, starts[u]);
        continue;
      }
      uint8_t* out = a.out + 2 * i * out_pixel + c;
      const float* scale = a.scale + c;
      for (int u = t; u < end; ++u, w += step, out += kTile, scale += kTile) {
        int32x4_t rows[2 * kPairs][2];
        pair_sums<kPairs, kInterleaved>(rows, a, i, w, starts[u].sums);
        requant_magic<2 * kPairs, 2, true>(rows, scale, q, nullptr, 0, out, out_pixel);
      }
    }
    t = end;
  }
}

// Some pixels at a time, interleaved in a buffer of the first cache's size.
void conv_interleaved(const ConvArgs& a, int most_pairs, int8_t* buffer) {
  static constexpr ConvBlock blocks[] = {block_8x8<1, true>, block_8x8<2, true>, block_8x8<3, true>,
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
    walk_conv(part, (part.pixels + 1) / 2, blocks, 4, kTile, begin_tiles);
  }
}

void conv_8x8(const ConvArgs& a) {
  static constexpr ConvBlock blocks[] = {block_8x8<1, false>, block_8x8<2, false>, block_8x8<3, false>,
                                         block_8x8<4, false>};
  constexpr int kBuffer = 32768;
  const int pairs = kBuffer / (16 * steps(a.shape)) / 4 * 4;
  if (a.channels <= kTile || pairs == 0) return walk_conv(a, (a.pixels + 1) / 2, blocks, 4, kTile, begin_tiles);
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
      dense_row(rows[0], in, a.quads, w + kBoundBytes);
    } else {
      int32x4_t acc[kPairs][4];
      int32_t start[2 * kTile];
      start_pairs(start, a.correction + j, 0);
      load_start<kPairs>(acc, start);
      sums_pixels<kPairs>(acc, kRows, shape, in, a.in_row, 0, w + kBoundBytes);
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
