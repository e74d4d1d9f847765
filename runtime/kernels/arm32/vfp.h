// The float arithmetic of 32-bit ARM's levels that store q - 128. ARMv7's NEON takes numbers below 2^-126 for 0, VFP
// does not, so this is compiled without NEON: the bits are those that docs/evqa-format.md fixes.
#pragma once

#include "../kernels.h"

namespace evqa {

void vfp_lstm_cell(const LstmCellArgs& a);
void vfp_attend(const AttendArgs& a);
void vfp_affine(int n, const int32_t* acc, const float* scale, float back, const float* bias, float floor, float* out);
float vfp_quantize(int n, const float* in, uint8_t* out);
void vfp_answer(int joint, int outputs, const float* v, const float* u, const float* w, const float* bias, float* out);
void vfp_place(int n, const uint8_t* p, int zero, float scale, const float* place, int out_zero, int low, int high,
               uint8_t* out);

extern const FloatKernels kFloatVfp;

}  // namespace evqa
