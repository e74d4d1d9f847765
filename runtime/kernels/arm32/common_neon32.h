// Shared by the kernels of 32-bit ARM with NEON: tiles of channels, groups of pixels, and the edges of a tile.
//
// Only for inclusion in the level's file: everything is in an anonymous namespace, so that no function compiled for
// NEON can be linked into a level without it.
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

// Pixels in `count` groups of `size`, the last `short_count` of them one smaller.
struct Groups {
  int size, count, short_count;
};

// As equal as can be, at most `most` in a group.
EVQA_INLINE Groups divide(int pixels, int most) {
  const int count = (pixels + most - 1) / most, size = (pixels + count - 1) / count;
  return {size, count, count * size - pixels};
}

// A tile's bytes, and its residual's, where fewer than eight channels are ours.
template <int kRows>
struct Edge {
  uint8_t out[kRows * kTile];
  uint8_t residual[kRows * kTile];

  EVQA_INLINE void take(const uint8_t* from, ptrdiff_t pitch, int n) {
    for (int r = 0; r < kRows; ++r) memcpy(residual + r * kTile, from + r * pitch, static_cast<size_t>(n));
  }
  EVQA_INLINE void give(uint8_t* to, ptrdiff_t pitch, int n) const {
    for (int r = 0; r < kRows; ++r) memcpy(to + r * pitch, out + r * kTile, static_cast<size_t>(n));
  }
};

}  // namespace
}  // namespace evqa
