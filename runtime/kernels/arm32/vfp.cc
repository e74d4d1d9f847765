#include "vfp.h"

#ifdef __ARM_NEON
#error "compilers may compute float vectors with NEON, which rounds numbers below 2^-126 to 0"
#endif

namespace evqa {
namespace {
constexpr int kStorageOffset = 128;
#include "../head/head.inc"
constexpr int kFloatLanes = 4, kFloatVectors = 1, kFloatPixels = 2;  // eight chains of additions
#include "../float/float.inc"
}  // namespace

void vfp_lstm_cell(const LstmCellArgs& a) { head_lstm_cell(a); }

void vfp_attend(const AttendArgs& a) { head_attend(a); }

void vfp_affine(int n, const int32_t* acc, const float* scale, float back, const float* bias, float floor, float* out) {
  head_affine(n, acc, scale, back, bias, floor, out);
}

float vfp_quantize(int n, const float* in, uint8_t* out) { return head_quantize(n, in, out); }

void vfp_answer(int joint, int outputs, const float* v, const float* u, const float* w, const float* bias, float* out) {
  head_answer(joint, outputs, v, u, w, bias, out);
}

void vfp_place(int n, const uint8_t* p, int zero, float scale, const float* place, int out_zero, int low, int high,
               uint8_t* out) {
  head_place(n, p, zero, scale, place, out_zero, low, high, out);
}

const FloatKernels kFloatVfp = {kFloatTile, float_conv, float_depthwise};

}  // namespace evqa
