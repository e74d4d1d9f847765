// The level of 32-bit ARM processors with NEON: ARMv7 (Cortex-A7) and 32-bit systems on ARMv8 (Cortex-A53, A72).
#include "../levels.h"
#include "conv_4x8_neon32.h"
#include "depthwise_2x8_neon32.h"
#include "vfp.h"

namespace evqa {

const Kernels kKernelsNeon32 = {
    "neon32", kStorageOffset,
    kTile, conv_packed_bytes, conv_pack, conv_4x8_neon32,
    kTile, depthwise_packed_bytes, depthwise_pack, depthwise_2x8_neon32,
    dense_4x8_neon32, vfp_lstm_cell, vfp_attend, vfp_affine, vfp_quantize, vfp_answer, vfp_place,
    &kFloatVfp,
};

}  // namespace evqa
