// The usual strip of depthwise_8_neondot.h in assembler: stride 1, two rows of outputs, 8 channels, requantised exactly.
//
// A column's rows are loaded, interleaved and used while the output before is requantised, so that nothing waits long for
// anything: 24 vector instructions for 16 outputs, 12 cycles on Cortex-A76.
//
// v0..v5 weights, v6..v11 the lower output row's; v12..v17 three columns, whose roles go round; v18, v19 the scale;
// v20..v23 sums, two an output row; v24..v27 rows of the next column; v28..v31 the output before.
// x0..x3 rows, at offset x4; x5, x6 rows of outputs, at offset x7; x8 pitch; x9 head; x10 shift; x11 outputs left.
#pragma once

#include "requant_exact.h"

namespace evqa {
namespace {

using DepthwiseHead = TileHead<1>;
static_assert(offsetof(DepthwiseHead, start) == 0 && offsetof(DepthwiseHead, scale) == 32 &&
              offsetof(DepthwiseHead, shift) == 64 && sizeof(DepthwiseHead) == 128);

// clang-format off
#define EVQA_LOAD_COLUMN \
  "ldr d24, [x0, x4]\nldr d25, [x1, x4]\nldr d26, [x2, x4]\nldr d27, [x3, x4]\nadd x4, x4, x8\n"
// a, b: the column's two vectors.
#define EVQA_INTERLEAVE(a, b) \
  "zip1 v24.16b, v24.16b, v25.16b\nzip1 v26.16b, v26.16b, v27.16b\n" \
  "zip1 v" #a ".8h, v24.8h, v26.8h\nzip2 v" #b ".8h, v24.8h, v26.8h\n"
#define EVQA_START_SUMS "ldp q20, q21, [x9]\nldp q22, q23, [x9]\n"
// u0, u1: the column's weights for the upper output row; l0, l1: for the lower.
#define EVQA_DOT_COLUMN(a, b, u0, u1, l0, l1) \
  "sdot v20.4s, v" #a ".16b, v" #u0 ".16b\nsdot v21.4s, v" #b ".16b, v" #u1 ".16b\n" \
  "sdot v22.4s, v" #a ".16b, v" #l0 ".16b\nsdot v23.4s, v" #b ".16b, v" #l1 ".16b\n"
#define EVQA_ROUND \
  "ldp q28, q29, [x10]\nldp q30, q31, [x10]\n" \
  "fmla v28.4s, v20.4s, v18.4s\nfmla v29.4s, v21.4s, v19.4s\nfmla v30.4s, v22.4s, v18.4s\nfmla v31.4s, v23.4s, v19.4s\n"
#define EVQA_NARROW \
  "uzp1 v28.8h, v28.8h, v29.8h\nuzp1 v30.8h, v30.8h, v31.8h\nsqxtn v28.8b, v28.8h\nsqxtn v30.8b, v30.8h\n" \
  "str d28, [x5, x7]\nstr d30, [x6, x7]\nadd x7, x7, x8\n"
// l0, l1, m0, m1, r0, r1: the left, the middle and the right column.
#define EVQA_SUM_OUTPUT(l0, l1, m0, m1, r0, r1) \
  EVQA_START_SUMS EVQA_DOT_COLUMN(l0, l1, 0, 1, 6, 7) EVQA_DOT_COLUMN(m0, m1, 2, 3, 8, 9) EVQA_INTERLEAVE(r0, r1)
#define EVQA_NEXT_OUTPUT(l0, l1, m0, m1, r0, r1) \
  EVQA_LOAD_COLUMN EVQA_ROUND EVQA_SUM_OUTPUT(l0, l1, m0, m1, r0, r1) EVQA_NARROW \
  EVQA_DOT_COLUMN(r0, r1, 4, 5, 10, 11) "subs x11, x11, #1\n"

EVQA_INLINE void depthwise_pair(const uint8_t* const* rows, ptrdiff_t pitch, const DepthwiseHead* head, int pixels,
                                uint8_t* const* out) {
  __asm__ volatile(
    "ldp x0, x1, [%[rows]]\nldp x2, x3, [%[rows], #16]\nldp x5, x6, [%[out]]\n"
    "mov x4, #0\nmov x7, #0\nmov x8, %[pitch]\nmov x9, %[head]\nadd x10, x9, #64\nmov x11, %[pixels]\n"
    EVQA_LOAD_COLUMN
    "ldp q0, q1, [x9, #128]\nldp q2, q3, [x9, #160]\nldp q4, q5, [x9, #192]\nldp q18, q19, [x9, #32]\n"
    "add x12, x9, #127\nldp q6, q7, [x12]\nldp q8, q9, [x12, #32]\nldp q10, q11, [x12, #64]\n"
    EVQA_INTERLEAVE(12, 13) EVQA_LOAD_COLUMN EVQA_INTERLEAVE(14, 15) EVQA_LOAD_COLUMN
    EVQA_SUM_OUTPUT(12, 13, 14, 15, 16, 17) EVQA_DOT_COLUMN(16, 17, 4, 5, 10, 11)
    "subs x11, x11, #1\nb.eq 2f\n"
    "1:\n"
    EVQA_NEXT_OUTPUT(14, 15, 16, 17, 12, 13) "b.eq 2f\n"
    EVQA_NEXT_OUTPUT(16, 17, 12, 13, 14, 15) "b.eq 2f\n"
    EVQA_NEXT_OUTPUT(12, 13, 14, 15, 16, 17) "b.ne 1b\n"
    "2:\n"
    EVQA_ROUND EVQA_NARROW
    :
    : [rows] "r"(rows), [out] "r"(out), [pitch] "r"(pitch), [head] "r"(head), [pixels] "r"(static_cast<int64_t>(pixels))
    : "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15", "v16", "v17",
      "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31", "x0", "x1", "x2",
      "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "cc", "memory");
}
// clang-format on

}  // namespace
}  // namespace evqa
