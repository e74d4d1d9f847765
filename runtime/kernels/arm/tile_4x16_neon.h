// A run of simple tiles (start_4x16_neon.h) in assembler, from inputs to bytes: the sums of sums_4x16_neon.h, then as
// requant_exact.h has it
//     fmla: y = sum * scale + shift;  trn1: the low 16 bits of a pair of vectors, in order;  sqxtn: bytes
// for two rows at a time; or, for tiles that are not exact or have a residual, as requant_any.
//
// v8..v11 scales, v0..v3 and v4..v7 an even and an odd row's y, v12 an odd zero point's one, or the zero point, v13 and v14 a
// residual's zero point and scale. x10
// and x20 starts of the sums, behind which scales and shifts stand in PairHead; x24..x27 the rows' outputs, x23 tiles
// to come, x28 segments, x17 from an output to its residual; x19 and x21 from the end of a pair's first tile, and
// from its start, to the next pair's.
#pragma once

#include "sums_4x16_neon.h"

namespace evqa {
namespace {

struct Run {
  Sums sums;
  uint8_t* out;
  ptrdiff_t out_pixel;
  int64_t count;  // of kTiles tiles
  int64_t zero;
  ptrdiff_t residual;  // from `out` to it
  int64_t residual_zero;
  float residual_scale;
};
static_assert(offsetof(Run, out) == 72 && offsetof(Run, residual_scale) == 120);
static_assert(offsetof(PairHead, exact_scale) == 32 && offsetof(PairHead, shift) == 64);
static_assert(offsetof(PairHead, scale) == offsetof(PairHead, sums) + 32);

// clang-format off
#define EVQA_ENDS2(a, b, c, d, at0, at1) EVQA_ENDS1(a, b, c, d, at0, at1) \
  "ldr q" #c ", [x20, #" #at0 "]\nldr q" #d ", [x20, #" #at1 "]\n"
#define EVQA_ENDS1(a, b, c, d, at0, at1) "ldr q" #a ", [x10, #" #at0 "]\nldr q" #b ", [x10, #" #at1 "]\n"
#define EVQA_SHIFTS_A(T) EVQA_ENDS##T(0, 1, 2, 3, 64, 80)
#define EVQA_SHIFTS_B(T) EVQA_ENDS##T(4, 5, 6, 7, 64, 80)

#define EVQA_FMA(y, acc, scale) "fmla v" #y ".4s, v" #acc ".4s, v" #scale ".4s\n"
#define EVQA_FMA2(y0, y1, y2, y3, a0, a1, a2, a3) \
  EVQA_FMA(y0, a0, 8) EVQA_FMA(y1, a1, 9) EVQA_FMA(y2, a2, 10) EVQA_FMA(y3, a3, 11)
#define EVQA_FMA1(y0, y1, y2, y3, a0, a1, a2, a3) EVQA_FMA(y0, a0, 8) EVQA_FMA(y1, a1, 9)
#define EVQA_SCALE(T, row, y) EVQA_CALL(EVQA_FMA##T, y, EVQA_ROW##row)

#define EVQA_TRN(a, b) "trn1 v" #a ".8h, v" #a ".8h, v" #b ".8h\n"
#define EVQA_TRN2(y0, y1, y2, y3) EVQA_TRN(y0, y1) EVQA_TRN(y2, y3)
#define EVQA_TRN1(y0, y1, y2, y3) EVQA_TRN(y0, y1)
#define EVQA_ONE(y) "add v" #y ".8h, v" #y ".8h, v12.8h\n"
#define EVQA_ODD2(y0, y1, y2, y3) EVQA_ONE(y0) EVQA_ONE(y2)
#define EVQA_ODD1(y0, y1, y2, y3) EVQA_ONE(y0)
#define EVQA_EVEN2(y0, y1, y2, y3)
#define EVQA_EVEN1(y0, y1, y2, y3)

// As |y| < 2^22, shifting to the upper half saturates to 16 bits.
#define EVQA_INT(y, acc) "scvtf v" #y ".4s, v" #acc ".4s\n"
#define EVQA_MULTIPLE(y, scale) "fmul v" #y ".4s, v" #y ".4s, v" #scale ".4s\n"
#define EVQA_ROUND(y) "fcvtns v" #y ".4s, v" #y ".4s\n"
#define EVQA_UPPER(y) "sqshl v" #y ".4s, v" #y ".4s, #16\n"
#define EVQA_PAIR(a, b) "sri v" #b ".4s, v" #a ".4s, #16\n"
#define EVQA_ZERO(a, b) "sqadd v" #a ".8h, v" #b ".8h, v12.8h\n"
#define EVQA_Y2(y0, y1, y2, y3, a0, a1, a2, a3) \
  EVQA_INT(y0, a0) EVQA_INT(y1, a1) EVQA_INT(y2, a2) EVQA_INT(y3, a3) \
  EVQA_MULTIPLE(y0, 8) EVQA_MULTIPLE(y1, 9) EVQA_MULTIPLE(y2, 10) EVQA_MULTIPLE(y3, 11)
#define EVQA_Y1(y0, y1, y2, y3, a0, a1, a2, a3) \
  EVQA_INT(y0, a0) EVQA_INT(y1, a1) EVQA_MULTIPLE(y0, 8) EVQA_MULTIPLE(y1, 9)
#define EVQA_WORDS2(y0, y1, y2, y3) \
  EVQA_ROUND(y0) EVQA_ROUND(y1) EVQA_ROUND(y2) EVQA_ROUND(y3) \
  EVQA_UPPER(y0) EVQA_UPPER(y1) EVQA_UPPER(y2) EVQA_UPPER(y3) \
  EVQA_PAIR(y0, y1) EVQA_PAIR(y2, y3) EVQA_ZERO(y0, y1) EVQA_ZERO(y2, y3)
#define EVQA_WORDS1(y0, y1, y2, y3) \
  EVQA_ROUND(y0) EVQA_ROUND(y1) EVQA_UPPER(y0) EVQA_UPPER(y1) EVQA_PAIR(y0, y1) EVQA_ZERO(y0, y1)

// y of the even row += (residual - v13) * v14, in v4..v7.
#define EVQA_LESS(d) "ssubl v" #d ".8h, v" #d ".8b, v13.8b\n"
#define EVQA_HALVES(even, odd) "sshr v" #odd ".4s, v" #even ".4s, #16\nshl v" #even ".4s, v" #even ".4s, #16\n" \
  "sshr v" #even ".4s, v" #even ".4s, #16\n"
#define EVQA_PLUS(y, d) "fadd v" #y ".4s, v" #y ".4s, v" #d ".4s\n"
#define EVQA_RESIDUAL2(x) "add x16, x" #x ", x17\nldp d4, d6, [x16]\n" EVQA_LESS(4) EVQA_LESS(6) \
  EVQA_HALVES(4, 5) EVQA_HALVES(6, 7) EVQA_INT(4, 4) EVQA_INT(5, 5) EVQA_INT(6, 6) EVQA_INT(7, 7) \
  EVQA_MULTIPLE(4, 14) EVQA_MULTIPLE(5, 14) EVQA_MULTIPLE(6, 14) EVQA_MULTIPLE(7, 14) \
  EVQA_PLUS(0, 4) EVQA_PLUS(1, 5) EVQA_PLUS(2, 6) EVQA_PLUS(3, 7)
#define EVQA_RESIDUAL1(x) "ldr d4, [x" #x ", x17]\n" EVQA_LESS(4) EVQA_HALVES(4, 5) EVQA_INT(4, 4) EVQA_INT(5, 5) \
  EVQA_MULTIPLE(4, 14) EVQA_MULTIPLE(5, 14) EVQA_PLUS(0, 4) EVQA_PLUS(1, 5)

#define EVQA_NARROW(y) "sqxtn v" #y ".8b, v" #y ".8h\n"
#define EVQA_NARROW2(y0, y1, y2, y3) EVQA_NARROW(y0) EVQA_NARROW(y2)
#define EVQA_NARROW1(y0, y1, y2, y3) EVQA_NARROW(y0)
#define EVQA_STORE2(x, y0, y1, y2, y3) "stp d" #y0 ", d" #y2 ", [x" #x "]\nadd x" #x ", x" #x ", #16\n"
#define EVQA_STORE1(x, y0, y1, y2, y3) "str d" #y0 ", [x" #x "]\nadd x" #x ", x" #x ", #8\n"

// One row, and two.
#define EVQA_X0 24
#define EVQA_X1 25
#define EVQA_X2 26
#define EVQA_X3 27
#define EVQA_OUT(T, row, y) EVQA_CALL(EVQA_STORE##T, EVQA_X##row, y)
#define EVQA_ROW_EXACT(T, row, zero) EVQA_SHIFTS_A(T) EVQA_SCALE(T, row, EVQA_A) \
  EVQA_CALL(EVQA_TRN##T, EVQA_A) EVQA_CALL(EVQA_##zero##T, EVQA_A) EVQA_CALL(EVQA_NARROW##T, EVQA_A) \
  EVQA_OUT(T, row, EVQA_A)
#define EVQA_ROWS_EXACT(T, row0, row1, zero) EVQA_SHIFTS_A(T) EVQA_SHIFTS_B(T) \
  EVQA_SCALE(T, row0, EVQA_A) EVQA_SCALE(T, row1, EVQA_B) \
  EVQA_CALL(EVQA_TRN##T, EVQA_A) EVQA_CALL(EVQA_TRN##T, EVQA_B) \
  EVQA_CALL(EVQA_##zero##T, EVQA_A) EVQA_CALL(EVQA_##zero##T, EVQA_B) \
  EVQA_CALL(EVQA_NARROW##T, EVQA_A) EVQA_CALL(EVQA_NARROW##T, EVQA_B) \
  EVQA_OUT(T, row0, EVQA_A) EVQA_OUT(T, row1, EVQA_B)
#define EVQA_ROW_EVEN(T, row) EVQA_ROW_EXACT(T, row, EVEN)
#define EVQA_ROWS_EVEN(T, row0, row1) EVQA_ROWS_EXACT(T, row0, row1, EVEN)
#define EVQA_ROW_ODD(T, row) EVQA_ROW_EXACT(T, row, ODD)
#define EVQA_ROWS_ODD(T, row0, row1) EVQA_ROWS_EXACT(T, row0, row1, ODD)
#define EVQA_ROW_ANY_IN(T, row, set) EVQA_CALL(EVQA_Y##T, EVQA_##set, EVQA_ROW##row) \
  EVQA_CALL(EVQA_WORDS##T, EVQA_##set) EVQA_CALL(EVQA_NARROW##T, EVQA_##set) EVQA_OUT(T, row, EVQA_##set)
#define EVQA_ROW_ANY(T, row) EVQA_ROW_ANY_IN(T, row, A)
#define EVQA_ROWS_ANY(T, row0, row1) EVQA_ROW_ANY_IN(T, row0, A) EVQA_ROW_ANY_IN(T, row1, B)
#define EVQA_ROW_ADD(T, row) EVQA_CALL(EVQA_Y##T, EVQA_A, EVQA_ROW##row) EVQA_CALL(EVQA_RESIDUAL##T, EVQA_X##row) \
  EVQA_CALL(EVQA_WORDS##T, EVQA_A) EVQA_CALL(EVQA_NARROW##T, EVQA_A) EVQA_OUT(T, row, EVQA_A)
#define EVQA_ROWS_ADD(T, row0, row1) EVQA_ROW_ADD(T, row0) EVQA_ROW_ADD(T, row1)
#define EVQA_WITH_EVEN(T) EVQA_ENDS##T(8, 9, 10, 11, 32, 48)
#define EVQA_WITH_ODD(T) EVQA_WITH_EVEN(T) "movi v12.8h, #1\n"
#define EVQA_WITH_ANY(T) EVQA_WITH_EVEN(T) "ldr w16, [%[s], #96]\ndup v12.8h, w16\n"
#define EVQA_WITH_ADD(T) EVQA_WITH_ANY(T) \
  "ldp x17, x16, [%[s], #104]\ndup v13.8b, w16\nadd x16, %[s], #120\nld1r {v14.4s}, [x16]\n"
#define EVQA_END1(T, kind) EVQA_ROW_##kind(T, 0)
#define EVQA_END2(T, kind) EVQA_ROWS_##kind(T, 0, 1)
#define EVQA_END3(T, kind) EVQA_END2(T, kind) EVQA_ROW_##kind(T, 2)
#define EVQA_END4(T, kind) EVQA_END2(T, kind) EVQA_ROWS_##kind(T, 2, 3)

#define EVQA_NEXT2 "add x8, x8, x19\nadd x10, x10, x21\nadd x20, x20, x21\n"
#define EVQA_NEXT1 "add x8, x8, #176\nadd x10, x10, x9\n"
#define EVQA_RUN(T, R, products, kind) EVQA_ENTER \
  "ldp x24, x27, [%[s], #72]\nldr x23, [%[s], #88]\nmov x28, x6\n" \
  "add x25, x24, x27\nadd x26, x25, x27\nadd x27, x26, x27\nadd x19, x9, #176\nadd x21, x9, x9\n" \
  "3:\n" EVQA_STARTS##R(T) EVQA_QUADS(T, R, products) \
  "subs x23, x23, #1\nmov x22, #-4\nmov x6, x28\n" EVQA_WITH_##kind(T) EVQA_END##R(T, kind) \
  EVQA_NEXT##T "b.ne 3b\n"
#define EVQA_RUN_TILES(T, R, products, kind) \
  __asm__ volatile(EVQA_RUN(T, R, products, kind) : : [s] "r"(&run) \
    : "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31", \
      "x17", "x19", "x21", "x23", "x24", "x25", "x26", "x27", "x28", EVQA_CLOBBERS)
#define EVQA_RUN_ROWS(T, kind) \
  switch (kRows) { \
    case 1: EVQA_RUN_TILES(T, 1, A, kind); break; \
    case 2: EVQA_RUN_TILES(T, 2, B, kind); break; \
    case 3: EVQA_RUN_TILES(T, 3, A, kind); break; \
    default: EVQA_RUN_TILES(T, 4, B, kind); break; \
  }
// clang-format on

// Which way a run's results are computed: exactly with an even or odd zero point, as is right for any, or with a
// residual.
enum Ending { kEven, kOdd, kAny, kAdd };

template <int kRows>
EVQA_INLINE void run_pairs_even(const Run& run) {
  EVQA_RUN_ROWS(2, EVEN)
}
template <int kRows>
__attribute__((noinline)) void run_pairs_odd(const Run& run) {
  EVQA_RUN_ROWS(2, ODD)
}
template <int kRows>
__attribute__((noinline)) void run_pairs_any(const Run& run) {
  EVQA_RUN_ROWS(2, ANY)
}
template <int kRows>
__attribute__((noinline)) void run_pairs_add(const Run& run) {
  EVQA_RUN_ROWS(2, ADD)
}
template <int kRows>
__attribute__((noinline)) void run_last(const Run& run, Ending ending) {
  if (ending == kEven) {
    EVQA_RUN_ROWS(1, EVEN)
  } else if (ending == kOdd) {
    EVQA_RUN_ROWS(1, ODD)
  } else if (ending == kAny) {
    EVQA_RUN_ROWS(1, ANY)
  } else {
    EVQA_RUN_ROWS(1, ADD)
  }
}

// Pairs of tiles, or one tile.
template <int kRows>
EVQA_INLINE void run_tiles(const Run& run, bool pairs, Ending ending) {
  if (!pairs)
    run_last<kRows>(run, ending);
  else if (ending == kEven)
    run_pairs_even<kRows>(run);
  else if (ending == kOdd)
    run_pairs_odd<kRows>(run);
  else if (ending == kAny)
    run_pairs_any<kRows>(run);
  else
    run_pairs_add<kRows>(run);
}

}  // namespace
}  // namespace evqa
