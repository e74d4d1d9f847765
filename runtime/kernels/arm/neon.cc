// The level of every 64-bit ARM processor: ARMv8.0, as in Raspberry Pi 3 and 4 (Cortex-A53, A72).
#include "../levels.h"
#include "conv_4x16_neon.h"
#include "depthwise_4x8_neon.h"

namespace evqa {
namespace {
#include "../head/head.inc"
constexpr int kFloatLanes = 4, kFloatVectors = 4, kFloatPixels = 4;
#include "../float/float.inc"
}  // namespace

const FloatKernels kFloatNeon = {kFloatTile, float_conv, float_depthwise};

const Kernels kKernelsNeon = {
    "neon", kStorageOffset,
    kTile, conv_packed_bytes, conv_pack, conv_4x16,
    kTile, depthwise_packed_bytes, depthwise_pack, depthwise_4x8_neon,
    dense_4x16, head_lstm_cell, head_attend, head_affine, head_quantize, head_answer, head_place,
    &kFloatNeon, conv_prepare, depthwise_prepare,
};

}  // namespace evqa
