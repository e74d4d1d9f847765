// Convolution and dense products with SDOT: 8 pixels x 8 channels.
//
// Packed: a tile is 8 channels: for each channel an int32 bound on any sum of products, then for every quad of inputs two
// vectors of 4 channels, each channel's four weights side by side. A pixel's quad is taken as a lane of its 16 inputs.
//
// Registers: 16 sums, 8 pixels of 16 inputs each, weights as they come. A quad is 16 SDOT, 256 MACs; Cortex-A76 issues two
// a cycle: 32 MACs a cycle.
#pragma once

#include "requant.h"

namespace evqa {
namespace {

constexpr int kQuadBytes = 4 * kTile;
constexpr int kBoundBytes = 4 * kTile;

EVQA_INLINE ptrdiff_t tile_bytes(ConvShape s) {
  return kBoundBytes + static_cast<ptrdiff_t>(s.segments) * s.segment_quads * kQuadBytes;
}

size_t conv_packed_bytes(ConvShape s, int channels) { return static_cast<size_t>(tiles(channels)) * tile_bytes(s); }

void conv_pack(ConvShape s, int channels, const int8_t* weights, void* packed) {
  const int quads = s.segments * s.segment_quads;
  int8_t* p = static_cast<int8_t*>(packed);
  for (int first = 0; first < channels; first += kTile) {
    int32_t bound[kTile] = {};
    int8_t* w = p + kBoundBytes;
    for (int quad = 0; quad < quads; ++quad)
      for (int i = 0; i < kQuadBytes; ++i, ++w) {
        const int channel = first + i / 4;
        *w = channel < channels ? weights[(static_cast<ptrdiff_t>(channel) * quads + quad) * 4 + i % 4] : 0;
        bound[i / 4] += 128 * (*w < 0 ? -*w : *w);
      }
    memcpy(p, bound, kBoundBytes);
    p = w;
  }
}

// `packed` is shaped as conv_pack leaves it: flags for channels first .. last - 1.
EVQA_INLINE void check_magic(const ConvArgs& a, int first, int last, bool* magic) {
  const int8_t* w = static_cast<const int8_t*>(a.packed) + first / kTile * tile_bytes(a.shape);
  const float residual_scale = a.residual ? a.residual_scale : 0.0f;
  for (int c = first; c < last; c += kTile, w += tile_bytes(a.shape))
    *magic++ = magic_holds(reinterpret_cast<const int32_t*>(w), a.bias + c, a.scale + c, residual_scale);
}

template <int kRows, int kQuad>
EVQA_INLINE void quad_8x8(int32x4_t (&acc)[kRows][2], const int8x16_t (&in)[kRows], const int8_t* w) {
  EVQA_UNROLL for (int v = 0; v < 2; ++v) {
    const int8x16_t weights = vld1q_s8(w + 16 * v);
    EVQA_UNROLL for (int r = 0; r < kRows; ++r) acc[r][v] = vdotq_laneq_s32(acc[r][v], weights, in[r], kQuad);
  }
}

// Products of all segments; `w` is behind the bounds.
template <int kRows>
EVQA_INLINE void sums_8x8(int32x4_t (&acc)[kRows][2], ConvShape shape, const uint8_t* in, ptrdiff_t in_pixel,
                          ptrdiff_t in_segment, const int8_t* w) {
  for (int segment = 0; segment < shape.segments; ++segment) {
    const uint8_t* p[kRows];
    EVQA_UNROLL for (int r = 0; r < kRows; ++r) p[r] = in + r * in_pixel + segment * in_segment;
    int8x16_t a[kRows];
    int left = shape.segment_quads;
    for (; left >= 4; left -= 4, w += 4 * kQuadBytes) {
      EVQA_UNROLL for (int r = 0; r < kRows; ++r) a[r] = load16(p[r]), p[r] += 16;
      quad_8x8<kRows, 0>(acc, a, w);
      quad_8x8<kRows, 1>(acc, a, w + kQuadBytes);
      quad_8x8<kRows, 2>(acc, a, w + 2 * kQuadBytes);
      quad_8x8<kRows, 3>(acc, a, w + 3 * kQuadBytes);
    }
    for (; left; --left, w += kQuadBytes) {
      EVQA_UNROLL for (int r = 0; r < kRows; ++r) a[r] = load_quad(p[r]), p[r] += 4;
      quad_8x8<kRows, 0>(acc, a, w);
    }
  }
}

// Whatever block_8x8 does not: residuals, bounds, odd zero points, large sums, fewer than 8 channels.
template <int kRows>
__attribute__((noinline)) void tile_8x8_general(const ConvArgs& a, int pixel, int channel, const int8_t* w, bool magic) {
  int32x4_t acc[kRows][2];
  start_sums<kRows, 2>(acc, a.bias + channel, magic);
  sums_8x8<kRows>(acc, a.shape, a.in + pixel * a.in_pixel, a.in_pixel, a.in_segment, w + kBoundBytes);
  requant_tile<kRows>(acc, a, requant_of(a), pixel, channel, magic);
}

template <int kRows>
void block_8x8(const ConvArgs& a, int pixel, int groups, int first, int last, const bool* magic) {
  const ptrdiff_t step = tile_bytes(a.shape);
  const bool plain = is_plain(a) && !(a.out_zero & 1);
  const Requant q = requant_of(a);
  const int8_t* w = static_cast<const int8_t*>(a.packed) + first / kTile * step;
  for (int c = first; c < last; c += kTile, w += step, ++magic) {
    const bool simple = plain && *magic && c + kTile <= a.channels;
    for (int g = 0, p = pixel; g < groups; ++g, p += kRows) {
      if (!simple) {
        tile_8x8_general<kRows>(a, p, c, w, *magic);
        continue;
      }
      int32x4_t acc[kRows][2];
      start_sums<kRows, 2>(acc, a.bias + c, true);
      sums_8x8<kRows>(acc, a.shape, a.in + p * a.in_pixel, a.in_pixel, a.in_segment, w + kBoundBytes);
      requant_magic<kRows, 2, true>(acc, a.scale + c, q, nullptr, 0, a.out + p * a.out_pixel + c, a.out_pixel);
    }
  }
}

void conv_8x8(const ConvArgs& a) {
  static constexpr ConvBlock blocks[] = {block_8x8<1>, block_8x8<2>, block_8x8<3>, block_8x8<4>,
                                         block_8x8<5>, block_8x8<6>, block_8x8<7>, block_8x8<8>};
  walk_conv(a, a.pixels, blocks, 8, kTile, check_magic);
}

// One row: every lane of the inputs gets its own sums, so that no sum waits for the one before.
EVQA_INLINE void dense_row_8x8(int32x4_t (&acc)[1][2], const uint8_t* in, int quads, const int8_t* w) {
  int32x4_t sums[4][2] = {{acc[0][0], acc[0][1]}};
  EVQA_UNROLL for (int i = 1; i < 4; ++i) sums[i][0] = sums[i][1] = vdupq_n_s32(0);
  for (; quads >= 4; quads -= 4, in += 16, w += 4 * kQuadBytes) {
    const int8x16_t a = load16(in);
    EVQA_UNROLL for (int v = 0; v < 2; ++v) {
      sums[0][v] = vdotq_laneq_s32(sums[0][v], vld1q_s8(w + 16 * v), a, 0);
      sums[1][v] = vdotq_laneq_s32(sums[1][v], vld1q_s8(w + 16 * v + kQuadBytes), a, 1);
      sums[2][v] = vdotq_laneq_s32(sums[2][v], vld1q_s8(w + 16 * v + 2 * kQuadBytes), a, 2);
      sums[3][v] = vdotq_laneq_s32(sums[3][v], vld1q_s8(w + 16 * v + 3 * kQuadBytes), a, 3);
    }
  }
  EVQA_UNROLL for (int v = 0; v < 2; ++v)
    acc[0][v] = vaddq_s32(vaddq_s32(sums[0][v], sums[1][v]), vaddq_s32(sums[2][v], sums[3][v]));
  for (; quads; --quads, in += 4, w += kQuadBytes) {
    const int8x16_t a[1] = {load_quad(in)};
    quad_8x8<1, 0>(acc, a, w);
  }
}

template <int kRows>
void dense_rows_8x8(const DenseArgs& a, int row) {
  const ConvShape shape = {1, a.quads};
  const int8_t* w = static_cast<const int8_t*>(a.packed);
  const uint8_t* in = a.in + row * a.in_row;
  for (int j = 0; j < a.outputs; j += kTile, w += tile_bytes(shape)) {
    int32x4_t acc[kRows][2];
    start_sums<kRows, 2>(acc, a.correction + j, false);
    if (kRows == 1)
      dense_row_8x8(reinterpret_cast<int32x4_t(&)[1][2]>(acc), in, a.quads, w + kBoundBytes);
    else
      sums_8x8<kRows>(acc, shape, in, a.in_row, 0, w + kBoundBytes);
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
