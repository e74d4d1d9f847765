// How much of a block's widened map is made at a time, so that it lies in a near cache until it is filtered.
#pragma once

#include "caches.h"

namespace evqa {

// A convolution that widens, a depthwise one that filters, and a 1x1 that narrows.
struct Block {
  int channels;        // of the widened and the filtered map
  int side, out_side;  // of the widened and the filtered map
  int stride;
  int element;         // bytes of an activation
};

// Rows of the widened map that so many filtered rows are made of.
constexpr int widened_rows(int rows, int stride) { return (rows - 1) * stride + 3; }

// Filtered rows of all channels at a time, even: as many as the nearest cache holds with what they are made of, or, where
// it does not even hold two, the second.
int rows_of(const Block& block, const Caches& caches);

// Channels of the whole maps at a time: a part of all and a multiple of `tile`, or all where there is no such part.
int chunk_of(const Block& block, int tile, size_t cache);

}  // namespace evqa
