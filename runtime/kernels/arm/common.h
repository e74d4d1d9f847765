// Shared by the aarch64 levels: loads, the edges of a tile, and how pixels are divided over tiles.
//
// Only for inclusion in a level's file: everything is in an anonymous namespace, so that no function compiled for a newer
// processor can be linked into an older one's level.
#pragma once

#include <arm_neon.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../kernels.h"

#define EVQA_INLINE inline __attribute__((always_inline))
#define EVQA_UNROLL _Pragma("GCC unroll 16")

namespace evqa {
namespace {

constexpr int kStorageOffset = 128;
constexpr int kTile = 8;  // output channels a packed tile holds

EVQA_INLINE int least(int a, int b) { return a < b ? a : b; }
EVQA_INLINE int tiles(int channels) { return (channels + kTile - 1) / kTile; }

// Four activations into the lowest lane; the other lanes are zero. (A broadcasting load would take a vector slot.)
EVQA_INLINE int8x16_t load_quad(const uint8_t* p) {
  int8x16_t v;
  __asm__("ldr %s0, %1" : "=w"(v) : "m"(*reinterpret_cast<const uint8_t(*)[4]>(p)));
  return v;
}

EVQA_INLINE int8x16_t load16(const uint8_t* p) { return vreinterpretq_s8_u8(vld1q_u8(p)); }

// Hides where a pointer comes from, so that what it points at is loaded again each time and not copied between
// registers: load slots are free where vector slots are not.
template <class T>
EVQA_INLINE T* opaque(T* p) {
  __asm__ volatile("" : "+r"(p));
  return p;
}

// Pixels in groups of `size`, the last `short_groups` of them one smaller.
struct Groups {
  int size, count, short_count;
};

// The largest size up to `most` that leaves no smaller groups, else groups as equal as can be.
EVQA_INLINE Groups divide(int pixels, int most) {
  for (int size = most; 2 * size > most; --size)
    if (pixels % size == 0) return {size, pixels / size, 0};
  int groups = (pixels + most - 1) / most;
  int size = (pixels + groups - 1) / groups;
  return {size, groups, groups * size - pixels};
}

// Whether requant_magic in requant.h may be used for a tile; kAllMagic: without clamping in between.
enum Magic { kNoMagic, kMagicSums, kAllMagic };

// So many rows of a dense product, from `row` on.
using DenseBlock = void (*)(const DenseArgs&, int row);

EVQA_INLINE void walk_dense(const DenseArgs& a, const DenseBlock* blocks, int most) {
  const Groups g = divide(a.rows, most);
  int row = 0;
  for (int i = 0; i < g.count; ++i) {
    const int size = i < g.count - g.short_count ? g.size : g.size - 1;
    blocks[size - 1](a, row);
    row += size;
  }
}

// Sends a tile's bytes (and its residual's) through a buffer where fewer than kRows pixels or kWidth channels are ours.
template <int kRows, int kWidth>
struct Edge {
  uint8_t out[kRows * kWidth];
  uint8_t residual[kRows * kWidth];

  EVQA_INLINE void take(const uint8_t* from, ptrdiff_t pitch, int rows, int n) {
    for (int r = 0; r < rows; ++r) memcpy(residual + r * kWidth, from + r * pitch, n);
  }
  EVQA_INLINE void give(uint8_t* to, ptrdiff_t pitch, int rows, int n) const {
    for (int r = 0; r < rows; ++r) memcpy(to + r * pitch, out + r * kWidth, n);
  }
};

}  // namespace
}  // namespace evqa
