// Every level's table. EVQA_HAS_<LEVEL> says that the build holds it.
#pragma once

#include "kernels.h"

namespace evqa {

extern const Kernels kKernelsScalar;
extern const Kernels kKernelsAvx2;
extern const Kernels kKernelsAvx512vnni;
extern const Kernels kKernelsNeon;
extern const Kernels kKernelsNeondot;
extern const Kernels kKernelsNeoni8mm;
extern const Kernels kKernelsNeon32;

extern const FloatKernels kFloatNeon;  // for all levels of 64-bit ARM

bool arm_has_dotprod();
bool arm_has_i8mm();
bool arm32_has_neon();

}  // namespace evqa
