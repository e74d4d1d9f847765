// The kernels of resample.cc for 32-bit ARM with NEON, in a file of their own as it is compiled for such processors
// alone.
#include "resample.h"

#include <arm_neon.h>
#include <string.h>

namespace evqa {
namespace {
#include "resample_rows.inc"
#include "resample_arm.inc"
}  // namespace

const RowKernels kRowsNeon32 = kNeon;

}  // namespace evqa
