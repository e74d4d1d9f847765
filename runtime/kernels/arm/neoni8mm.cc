// The level of processors with SMMLA (int8 matrix products): ARMv8.6 on, Neoverse V1, N2, Cortex-X2, A710, Apple M2.
#include "../levels.h"
#include "conv_8x8_neoni8mm.h"
#include "depthwise_8_neondot.h"

namespace evqa {
namespace {
#include "../head/head.inc"
}  // namespace

const Kernels kKernelsNeoni8mm = {
    "neoni8mm", kStorageOffset,
    kTile, conv_packed_bytes, conv_pack, conv_8x8,
    kTile, depthwise_packed_bytes, depthwise_pack, depthwise_8,
    dense_8x8, head_lstm_cell, head_attend, head_affine, head_quantize, head_answer, head_place,
    &kFloatNeon, conv_prepare, depthwise_prepare,
};

}  // namespace evqa
