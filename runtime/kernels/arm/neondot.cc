// The level of processors with SDOT (ARMv8.2 dot product), as in Raspberry Pi 5 (Cortex-A76).
#include "../levels.h"
#include "conv_8x8_neondot.h"
#include "depthwise_8_neondot.h"

namespace evqa {
namespace {
#include "../head/head.inc"
}  // namespace

const Kernels kKernelsNeondot = {
    "neondot", kStorageOffset,
    kTile, conv_packed_bytes, conv_pack, conv_8x8,
    kTile, depthwise_packed_bytes, depthwise_pack, depthwise_8,
    dense_8x8, head_lstm_cell, head_attend, head_affine, head_quantize, head_answer, head_place,
    &kFloatNeon, conv_prepare, depthwise_prepare,
};

}  // namespace evqa
