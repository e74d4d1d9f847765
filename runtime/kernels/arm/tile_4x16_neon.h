// A run of simple tiles (start_4x16_neon.h) in assembler, from inputs to bytes: the sums of sums_4x16_neon.h, then as
// requant_exact.h has it
//     fmla: y = sum * scale + shift;  trn1: the low 16 bits of a pair of vectors, in order;  sqxtn: bytes
// for two rows at a time. The next tile's sums are loaded behind that, where Cortex-A72 has slots to spare.
//
// v8..v11 scales, v0..v3 and v4..v7 an even and an odd row's y, v13 one, for odd zero points. x10 and x15 heads of the tiles,
// x24..x27 the rows' outputs, x23 tiles to come, x28 segments.
#pragma once

#include "sums_4x16_neon.h"

namespace evqa {
namespace {

struct Run {
  Sums sums;
  uint8_t* out;
  ptrdiff_t out_pixel;
  int64_t count;  // of kTiles tiles
};
static_assert(offsetof(Run, out) == 72 && offsetof(PairHead, exact_sums) == 0 && offsetof(PairHead, scale) == 32 &&
              offsetof(PairHead, shift) == 64);

// clang-format off
#define EVQA_ENDS2(a, b, c, d, at0, at1) EVQA_ENDS1(a, b, c, d, at0, at1) \
  "ldr q" #c ", [x15, #" #at0 "]\nldr q" #d ", [x15, #" #at1 "]\n"
#define EVQA_ENDS1(a, b, c, d, at0, at1) "ldr q" #a ", [x10, #" #at0 "]\nldr q" #b ", [x10, #" #at1 "]\n"
#define EVQA_SCALES(T) EVQA_ENDS##T(8, 9, 10, 11, 32, 48)
#define EVQA_SHIFT_A(T) EVQA_ENDS##T(0, 1, 2, 3, 64, 80)
#define EVQA_SHIFT_B(T) EVQA_ENDS##T(4, 5, 6, 7, 64, 80)

#define EVQA_FMA(y, acc, scale) "fmla v" #y ".4s, v" #acc ".4s, v" #scale ".4s\n"
#define EVQA_FMA2(y0, y1, y2, y3, a0, a1, a2, a3) \
  EVQA_FMA(y0, a0, 8) EVQA_FMA(y1, a1, 9) EVQA_FMA(y2, a2, 10) EVQA_FMA(y3, a3, 11)
#define EVQA_FMA1(y0, y1, y2, y3, a0, a1, a2, a3) EVQA_FMA(y0, a0, 8) EVQA_FMA(y1, a1, 9)
#define EVQA_SCALE(T, row, y) EVQA_CALL(EVQA_FMA##T, y, EVQA_ROW##row)

#define EVQA_TRN(a, b) "trn1 v" #a ".8h, v" #a ".8h, v" #b ".8h\n"
#define EVQA_TRN2(y0, y1, y2, y3) EVQA_TRN(y0, y1) EVQA_TRN(y2, y3)
#define EVQA_TRN1(y0, y1, y2, y3) EVQA_TRN(y0, y1)
#define EVQA_ONE(y) "add v" #y ".8h, v" #y ".8h, v13.8h\n"
#define EVQA_ODD2(y0, y1, y2, y3) EVQA_ONE(y0) EVQA_ONE(y2)
#define EVQA_ODD1(y0, y1, y2, y3) EVQA_ONE(y0)
#define EVQA_EVEN2(y0, y1, y2, y3)
#define EVQA_EVEN1(y0, y1, y2, y3)
#define EVQA_NARROW(y) "sqxtn v" #y ".8b, v" #y ".8h\n"
#define EVQA_NARROW2(y0, y1, y2, y3) EVQA_NARROW(y0) EVQA_NARROW(y2)
#define EVQA_NARROW1(y0, y1, y2, y3) EVQA_NARROW(y0)
#define EVQA_STORE2(x, y0, y1, y2, y3) "stp d" #y0 ", d" #y2 ", [x" #x "]\nadd x" #x ", x" #x ", #16\n"
#define EVQA_STORE1(x, y0, y1, y2, y3) "str d" #y0 ", [x" #x "]\nadd x" #x ", x" #x ", #8\n"

// One row, and two.
#define EVQA_END_ROW(T, row, zero) EVQA_SHIFT_A(T) EVQA_SCALE(T, row, EVQA_A) \
  EVQA_CALL(EVQA_TRN##T, EVQA_A) EVQA_CALL(EVQA_##zero##T, EVQA_A) EVQA_CALL(EVQA_NARROW##T, EVQA_A)
#define EVQA_END_ROWS(T, row0, row1, zero) EVQA_SHIFT_A(T) EVQA_SHIFT_B(T) \
  EVQA_SCALE(T, row0, EVQA_A) EVQA_SCALE(T, row1, EVQA_B) \
  EVQA_CALL(EVQA_TRN##T, EVQA_A) EVQA_CALL(EVQA_TRN##T, EVQA_B) \
  EVQA_CALL(EVQA_##zero##T, EVQA_A) EVQA_CALL(EVQA_##zero##T, EVQA_B) \
  EVQA_CALL(EVQA_NARROW##T, EVQA_A) EVQA_CALL(EVQA_NARROW##T, EVQA_B)
#define EVQA_OUT(T, x, y) EVQA_CALL(EVQA_STORE##T, x, y)
#define EVQA_END1(T, zero) EVQA_END_ROW(T, 0, zero) EVQA_OUT(T, 24, EVQA_A)
#define EVQA_END2(T, zero) EVQA_END_ROWS(T, 0, 1, zero) EVQA_OUT(T, 24, EVQA_A) EVQA_OUT(T, 25, EVQA_B)
#define EVQA_END3(T, zero) EVQA_END2(T, zero) EVQA_END_ROW(T, 2, zero) EVQA_OUT(T, 26, EVQA_A)
#define EVQA_END4(T, zero) \
  EVQA_END2(T, zero) EVQA_END_ROWS(T, 2, 3, zero) EVQA_OUT(T, 26, EVQA_A) EVQA_OUT(T, 27, EVQA_B)

// After the last tile its own sums are loaded once more.
#define EVQA_NEXT2 "add x8, x8, x11\nadd x8, x8, #128\nadd x16, x10, x9, lsl #1\n"
#define EVQA_NEXT1 "add x8, x8, #144\nadd x16, x10, x9\n"
#define EVQA_RUN(T, R, products, zero) EVQA_ENTER \
  "ldp x24, x27, [%[s], #72]\nldr x23, [%[s], #88]\nmov x28, x6\n" \
  "add x25, x24, x27\nadd x26, x25, x27\nadd x27, x26, x27\n" EVQA_STARTS##R(T) \
  "3:\n" EVQA_QUADS(T, R, products) \
  "add x15, x10, x9\nmovi v13.8h, #1\n" EVQA_SCALES(T) EVQA_END##R(T, zero) \
  EVQA_NEXT##T "subs x23, x23, #1\ncsel x10, x16, x10, ne\nadd x15, x10, x9\nmov x22, #0\nmov x6, x28\n" \
  EVQA_STARTS##R(T) \
  "b.ne 3b\n"
#define EVQA_RUN_TILES(T, R, products, zero) \
  __asm__ volatile(EVQA_RUN(T, R, products, zero) : : [s] "r"(&run) \
    : "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31", \
      "x23", "x24", "x25", "x26", "x27", "x28", EVQA_CLOBBERS)
#define EVQA_RUN_ROWS(T, zero) \
  switch (kRows) { \
    case 1: EVQA_RUN_TILES(T, 1, A, zero); break; \
    case 2: EVQA_RUN_TILES(T, 2, B, zero); break; \
    case 3: EVQA_RUN_TILES(T, 3, A, zero); break; \
    default: EVQA_RUN_TILES(T, 4, B, zero); break; \
  }
// clang-format on

template <int kRows>
EVQA_INLINE void run_tiles(const Run& run) {
  EVQA_RUN_ROWS(2, EVEN)
}

// The rare cases: an odd zero point, one tile at the end.
template <int kRows>
__attribute__((noinline)) void run_tiles_odd(const Run& run) {
  EVQA_RUN_ROWS(2, ODD)
}
template <int kRows>
__attribute__((noinline)) void run_tile(const Run& run, bool odd) {
  if (odd) {
    EVQA_RUN_ROWS(1, ODD)
  } else {
    EVQA_RUN_ROWS(1, EVEN)
  }
}

}  // namespace
}  // namespace evqa
