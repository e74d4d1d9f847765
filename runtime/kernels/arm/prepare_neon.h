// Heads of packed tiles of the neon level.
#pragma once

#include "requant_exact.h"

namespace evqa {
namespace {

// As prepare_head, but a channel of no weights, as dead ones are, gets a scale of 1 and its result before the zero
// point as bias, which is always exact.
EVQA_INLINE void prepare_tile(TileHead<1>* head, const int32_t* bias, const float* scale, int zero) {
  int32_t biases[kTile];
  float scales[kTile];
  for (int c = 0; c < kTile; ++c) {
    biases[c] = bias[c], scales[c] = scale[c];
    if (head->start[c]) continue;
    const float y = vgetq_lane_f32(vrndnq_f32(vdupq_n_f32(static_cast<float>(bias[c]) * scale[c])), 0);
    biases[c] = y < -512.0f ? -512 : y > 512.0f ? 512 : static_cast<int32_t>(y);
    scales[c] = 1.0f;
  }
  prepare_head(head, biases, scales, zero);
}

}  // namespace
}  // namespace evqa
