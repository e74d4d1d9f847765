// Sums over int8 weights: loading a model adds up every weight twice, so 16 are added at a time.
#pragma once

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

namespace evqa {

typedef int8_t SumBytes __attribute__((vector_size(16)));
typedef uint16_t SumWords __attribute__((vector_size(16)));

// Of w, or of |w|; weights are -127 to 127.
template <bool Sizes>
inline int32_t sum_of_weights(const int8_t* w, int count) {
  constexpr int kLanes = 16, kRounds = 128;  // 128 * 2 * 254 fits uint16
  int32_t sum = 0;
  while (count >= kLanes) {
    const int rounds = count / kLanes < kRounds ? count / kLanes : kRounds;
    SumWords lanes = {};
    for (int r = 0; r < rounds; ++r, w += kLanes) {
      SumBytes v;
      memcpy(&v, w, sizeof v);
      const SumBytes below = v < 0;
      v = Sizes ? (v ^ below) - below : v + 127;  // now 0 to 254
      SumWords pairs;
      memcpy(&pairs, &v, sizeof v);
      lanes += (pairs & 0xFF) + (pairs >> 8);
    }
    for (int i = 0; i < kLanes / 2; ++i) sum += lanes[i];
    if (!Sizes) sum -= 127 * kLanes * rounds;
    count -= rounds * kLanes;
  }
  for (int i = 0; i < count; ++i) sum += Sizes && w[i] < 0 ? -w[i] : w[i];
  return sum;
}

// A channel without weights has the same output everywhere. It is given as a sum of that size, where it may have been a
// huge one: kernels have shorter ways where they know sums to be small. Not for layers with a residual, which is added
// before rounding. A channel's weights lie `column` apart, a channel's first one from the next one's `row`.
inline void plain_constants(int outputs, const int8_t* w, int columns, ptrdiff_t row, ptrdiff_t column, int32_t* bias,
                            float* scale) {
  for (int c = 0; c < outputs; ++c) {
    int i = 0;
    while (i < columns && !w[c * row + i * column]) ++i;
    if (i < columns) continue;
    bias[c] = (int32_t)rintf((float)bias[c] * scale[c]);
    scale[c] = 1;
  }
}

}  // namespace evqa
