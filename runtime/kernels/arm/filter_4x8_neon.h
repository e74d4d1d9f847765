// One or two rows of a 3x3 depthwise filter in assembler: groups of up to 4 pixels x 8 channels.
//
// Taps are multiplied in pairs, t = smull(tap), t = smlal(t, next tap), and added to two vectors of sums with saddw;
// the ninth alone. Pairs take turns with two sets of products, so that an in-order core has eight independent
// instructions between a product and its use: with taps numbered row by row, A = 0 1, B = 2 4, A = 3 5, B = 7 6, A =
// 8, or B = 7 6 8. Rows may be in any order. Loads stand together: in the model of Cortex-A53 every change from
// vector arithmetic to loads costs some cycles.
//
// v0..v7 sums, pixel by pixel; v14..v17 and v18..v21 products A and B; v22..v30 taps; v8..v13, v31, and at first v6
// v7 inputs. x1..x3 input rows, x8 output, x9 groups to come, x10..x17 one to eight pixels on; x5, x6, x7 start,
// scale and shift; x20 the next row's pointers, x24..x26 where the taps' rows are in them, x19 what to add to them,
// x21 rows to come, x22 and x23 groups of kPixels and of one less.
#pragma once

#include "requant_exact.h"

namespace evqa {
namespace {

// Of a packed tile. `rows`: which of FilterRow's inputs the taps are for, one after the other, times 8.
struct FilterTaps {
  int8_t taps[9 * kTile];
  uint8_t rows[3];
  bool triple;  // whether three products of the last row fit 16 bits
  uint8_t unused[4];
};
static_assert(offsetof(FilterTaps, rows) == 72);

struct FilterRow {
  const uint8_t* in[3];
  uint8_t* out;
};

struct FilterRows {
  FilterRow rows[2];
  int64_t count;
  ptrdiff_t pitch;
  const FilterTaps* taps;
  const int32_t* start;
  const float *scale, *shift;  // the latter for exact results only
  int64_t groups, short_groups, zero;
  ptrdiff_t at;  // from the rows' pointers on
};
static_assert(offsetof(FilterRows, count) == 64 && offsetof(FilterRows, at) == 136);

// clang-format off
#define EVQA_JOIN(macro, ...) macro(__VA_ARGS__)
#define EVQA_LD(v, row, column) "ldr d" #v ", [x" #row EVQA_COLUMN_##column "]\n"
#define EVQA_COLUMN_0
#define EVQA_COLUMN_1 ", x10"
#define EVQA_COLUMN_2 ", x11"
#define EVQA_COLUMN_3 ", x12"
#define EVQA_COLUMN_4 ", x13"
#define EVQA_COLUMN_5 ", x14"
#define EVQA_COLUMN_6 ", x15"
#define EVQA_COLUMN_7 ", x16"
#define EVQA_COLUMN_8 ", x17"

// Stride 1: a row's inputs side by side in v8..v13.
#define EVQA_IN1_1(row) EVQA_LD(8, row, 0) EVQA_LD(9, row, 1) EVQA_LD(10, row, 2)
#define EVQA_IN1_2(row) EVQA_IN1_1(row) EVQA_LD(11, row, 3)
#define EVQA_IN1_3(row) EVQA_IN1_2(row) EVQA_LD(12, row, 4)
#define EVQA_IN1_4(row) EVQA_IN1_3(row) EVQA_LD(13, row, 5)
#define EVQA_LAST1_1 EVQA_IN1_1(3)
#define EVQA_LAST1_2 EVQA_IN1_2(3)
#define EVQA_LAST1_3 EVQA_IN1_3(3)
#define EVQA_LAST1_4 EVQA_IN1_4(3)
#define EVQA_LAST1_REST_1
#define EVQA_LAST1_REST_2
#define EVQA_LAST1_REST_3
#define EVQA_LAST1_REST_4
#define EVQA_LEFT1 8, 9, 10, 11
#define EVQA_MIDDLE1 9, 10, 11, 12
#define EVQA_RIGHT1 10, 11, 12, 13
#define EVQA_LAST_LEFT1 EVQA_LEFT1
#define EVQA_LAST_MIDDLE1 EVQA_MIDDLE1
#define EVQA_LAST_RIGHT1 EVQA_RIGHT1
// Stride 2: even columns in v8..v12, odd ones in v13 v31 v6 v7. Of the last row, when sums are in v6 and v7, odd ones
// in v8..v11, even ones in v12 v13 v31, and, when the odd ones are done with, v8 v9.
#define EVQA_IN2_1(row) EVQA_LD(8, row, 0) EVQA_LD(9, row, 2) EVQA_LD(13, row, 1)
#define EVQA_IN2_2(row) EVQA_IN2_1(row) EVQA_LD(10, row, 4) EVQA_LD(31, row, 3)
#define EVQA_IN2_3(row) EVQA_IN2_2(row) EVQA_LD(11, row, 6) EVQA_LD(6, row, 5)
#define EVQA_IN2_4(row) EVQA_IN2_3(row) EVQA_LD(12, row, 8) EVQA_LD(7, row, 7)
#define EVQA_LAST2_1 EVQA_LD(8, 3, 1) EVQA_LD(12, 3, 0) EVQA_LD(13, 3, 2)
#define EVQA_LAST2_2 EVQA_LAST2_1 EVQA_LD(9, 3, 3) EVQA_LD(31, 3, 4)
#define EVQA_LAST2_3 EVQA_LAST2_2 EVQA_LD(10, 3, 5)
#define EVQA_LAST2_4 EVQA_LAST2_3 EVQA_LD(11, 3, 7)
#define EVQA_LAST2_REST_1
#define EVQA_LAST2_REST_2
#define EVQA_LAST2_REST_3 EVQA_LD(8, 3, 6)
#define EVQA_LAST2_REST_4 EVQA_LD(8, 3, 6) EVQA_LD(9, 3, 8)
#define EVQA_LEFT2 8, 9, 10, 11
#define EVQA_MIDDLE2 13, 31, 6, 7
#define EVQA_RIGHT2 9, 10, 11, 12
#define EVQA_LAST_LEFT2 12, 13, 31, 8
#define EVQA_LAST_MIDDLE2 8, 9, 10, 11
#define EVQA_LAST_RIGHT2 13, 31, 8, 9

// Products of up to four pixels, in v14.. or v18.. .
#define EVQA_TAP(op, t, x, w) op " v" #t ".8h, v" #x ".8b, v" #w ".8b\n"
#define EVQA_TAP_A1(op, w, x0, x1, x2, x3) EVQA_TAP(op, 14, x0, w)
#define EVQA_TAP_A2(op, w, x0, x1, x2, x3) EVQA_TAP_A1(op, w, x0, x1, x2, x3) EVQA_TAP(op, 15, x1, w)
#define EVQA_TAP_A3(op, w, x0, x1, x2, x3) EVQA_TAP_A2(op, w, x0, x1, x2, x3) EVQA_TAP(op, 16, x2, w)
#define EVQA_TAP_A4(op, w, x0, x1, x2, x3) EVQA_TAP_A3(op, w, x0, x1, x2, x3) EVQA_TAP(op, 17, x3, w)
#define EVQA_TAP_B1(op, w, x0, x1, x2, x3) EVQA_TAP(op, 18, x0, w)
#define EVQA_TAP_B2(op, w, x0, x1, x2, x3) EVQA_TAP_B1(op, w, x0, x1, x2, x3) EVQA_TAP(op, 19, x1, w)
#define EVQA_TAP_B3(op, w, x0, x1, x2, x3) EVQA_TAP_B2(op, w, x0, x1, x2, x3) EVQA_TAP(op, 20, x2, w)
#define EVQA_TAP_B4(op, w, x0, x1, x2, x3) EVQA_TAP_B3(op, w, x0, x1, x2, x3) EVQA_TAP(op, 21, x3, w)
#define EVQA_FIRST(set, P, w, x) EVQA_JOIN(EVQA_TAP_##set##P, "smull", w, x)
#define EVQA_SECOND(set, P, w, x) EVQA_JOIN(EVQA_TAP_##set##P, "smlal", w, x)

// Sums: the first ones onto the start, which is in v0 and v1 and so is pixel 0's.
#define EVQA_WIDE(to, from, t, to1, from1) \
  "saddw v" #to ".4s, v" #from ".4s, v" #t ".4h\nsaddw2 v" #to1 ".4s, v" #from1 ".4s, v" #t ".8h\n"
#define EVQA_BEGIN1 EVQA_WIDE(0, 0, 14, 1, 1)
#define EVQA_BEGIN2 EVQA_WIDE(2, 0, 15, 3, 1) EVQA_BEGIN1
#define EVQA_BEGIN3 EVQA_WIDE(4, 0, 16, 5, 1) EVQA_BEGIN2
#define EVQA_BEGIN4 EVQA_WIDE(6, 0, 17, 7, 1) EVQA_BEGIN3
#define EVQA_ADD_A1 EVQA_WIDE(0, 0, 14, 1, 1)
#define EVQA_ADD_A2 EVQA_ADD_A1 EVQA_WIDE(2, 2, 15, 3, 3)
#define EVQA_ADD_A3 EVQA_ADD_A2 EVQA_WIDE(4, 4, 16, 5, 5)
#define EVQA_ADD_A4 EVQA_ADD_A3 EVQA_WIDE(6, 6, 17, 7, 7)
#define EVQA_ADD_B1 EVQA_WIDE(0, 0, 18, 1, 1)
#define EVQA_ADD_B2 EVQA_ADD_B1 EVQA_WIDE(2, 2, 19, 3, 3)
#define EVQA_ADD_B3 EVQA_ADD_B2 EVQA_WIDE(4, 4, 20, 5, 5)
#define EVQA_ADD_B4 EVQA_ADD_B3 EVQA_WIDE(6, 6, 21, 7, 7)

#define EVQA_FILTER(S, P) \
  EVQA_IN##S##_##P(1) "ldr q0, [x5]\nldr q1, [x5, #16]\n" \
  EVQA_FIRST(A, P, 22, EVQA_LEFT##S) EVQA_FIRST(B, P, 24, EVQA_RIGHT##S) EVQA_SECOND(A, P, 23, EVQA_MIDDLE##S) \
  EVQA_IN##S##_##P(2) \
  EVQA_SECOND(B, P, 26, EVQA_MIDDLE##S) EVQA_BEGIN##P EVQA_FIRST(A, P, 25, EVQA_LEFT##S) EVQA_ADD_B##P \
  EVQA_SECOND(A, P, 27, EVQA_RIGHT##S) \
  EVQA_LAST##S##_##P \
  EVQA_FIRST(B, P, 29, EVQA_LAST_MIDDLE##S)
// The ninth tap: alone, or a third one where products of the last row fit 16 bits.
#define EVQA_NINTH_EXACT(S, P) EVQA_ADD_A##P EVQA_LAST##S##_REST_##P \
  EVQA_SECOND(B, P, 28, EVQA_LAST_LEFT##S) EVQA_FIRST(A, P, 30, EVQA_LAST_RIGHT##S) EVQA_ADD_B##P EVQA_ADD_A##P
#define EVQA_NINTH_ANY(S, P) EVQA_NINTH_EXACT(S, P)
#define EVQA_NINTH_TRIPLE(S, P) EVQA_SOME_A##P EVQA_LAST##S##_REST_##P \
  EVQA_SECOND(B, P, 28, EVQA_LAST_LEFT##S) EVQA_OTHER_A##P EVQA_SECOND(B, P, 30, EVQA_LAST_RIGHT##S) EVQA_ADD_B##P
#define EVQA_SOME_A1 EVQA_WIDE(0, 0, 14, 1, 1)
#define EVQA_SOME_A2 EVQA_SOME_A1
#define EVQA_SOME_A3 EVQA_SOME_A1 EVQA_WIDE(2, 2, 15, 3, 3)
#define EVQA_SOME_A4 EVQA_SOME_A3
#define EVQA_OTHER_A1
#define EVQA_OTHER_A2 EVQA_WIDE(2, 2, 15, 3, 3)
#define EVQA_OTHER_A3 EVQA_WIDE(4, 4, 16, 5, 5)
#define EVQA_OTHER_A4 EVQA_OTHER_A3 EVQA_WIDE(6, 6, 17, 7, 7)

// Exact results (requant_exact.h), y in v8..v15, scales in v18 v19; others in the sums' own registers. Both leave bytes in v16 v17 v20
// v21.
#define EVQA_UP_TO1(each) each(8, 9, 0, 1, 16)
#define EVQA_UP_TO2(each) EVQA_UP_TO1(each) each(10, 11, 2, 3, 17)
#define EVQA_UP_TO3(each) EVQA_UP_TO2(each) each(12, 13, 4, 5, 20)
#define EVQA_UP_TO4(each) EVQA_UP_TO3(each) each(14, 15, 6, 7, 21)
#define EVQA_SHIFT(y, y1, a, a1, b) "ldr q" #y ", [x7]\nldr q" #y1 ", [x7, #16]\n"
#define EVQA_SCALED(y, y1, a, a1, b) "fmla v" #y ".4s, v" #a ".4s, v18.4s\nfmla v" #y1 ".4s, v" #a1 ".4s, v19.4s\n"
#define EVQA_WORDS(y, y1, a, a1, b) "xtn v" #b ".4h, v" #y ".4s\nxtn2 v" #b ".8h, v" #y1 ".4s\n"
#define EVQA_BYTES(y, y1, a, a1, b) "sqxtn v" #b ".8b, v" #b ".8h\n"
#define EVQA_RESULT_EXACT(P) EVQA_UP_TO##P(EVQA_SHIFT) EVQA_UP_TO##P(EVQA_SCALED) EVQA_UP_TO##P(EVQA_WORDS)
#define EVQA_RESULT_TRIPLE(P) EVQA_RESULT_EXACT(P)
#define EVQA_TO_FLOAT(y, y1, a, a1, b) "scvtf v" #a ".4s, v" #a ".4s\nscvtf v" #a1 ".4s, v" #a1 ".4s\n"
#define EVQA_TIMES(y, y1, a, a1, b) "fmul v" #a ".4s, v" #a ".4s, v18.4s\nfmul v" #a1 ".4s, v" #a1 ".4s, v19.4s\n"
#define EVQA_TO_INT(y, y1, a, a1, b) "fcvtns v" #a ".4s, v" #a ".4s\nfcvtns v" #a1 ".4s, v" #a1 ".4s\n"
#define EVQA_SATURATE(y, y1, a, a1, b) "sqxtn v" #y ".4h, v" #a ".4s\nsqxtn2 v" #y ".8h, v" #a1 ".4s\n"
#define EVQA_ZERO_POINT(y, y1, a, a1, b) "sqadd v" #b ".8h, v" #y ".8h, v31.8h\n"
#define EVQA_RESULT_ANY(P) "dup v31.8h, w7\n" EVQA_UP_TO##P(EVQA_TO_FLOAT) EVQA_UP_TO##P(EVQA_TIMES) \
  EVQA_UP_TO##P(EVQA_TO_INT) EVQA_UP_TO##P(EVQA_SATURATE) EVQA_UP_TO##P(EVQA_ZERO_POINT)
#define EVQA_PUT1 "str d16, [x8]\n"
#define EVQA_PUT2 EVQA_PUT1 "str d17, [x8, x10]\n"
#define EVQA_PUT3 EVQA_PUT2 "str d20, [x8, x11]\n"
#define EVQA_PUT4 EVQA_PUT3 "str d21, [x8, x12]\n"

// A group's columns, of outputs and of inputs.
#define EVQA_STEP1_1 "x10"
#define EVQA_STEP1_2 "x11"
#define EVQA_STEP1_3 "x12"
#define EVQA_STEP1_4 "x13"
#define EVQA_STEP2_1 "x11"
#define EVQA_STEP2_2 "x13"
#define EVQA_STEP2_3 "x15"
#define EVQA_STEP2_4 "x17"
#define EVQA_GROUP(S, P, result) EVQA_FILTER(S, P) EVQA_NINTH_##result(S, P) "subs x9, x9, #1\n" \
  "add x1, x1, " EVQA_STEP##S##_##P "\nadd x2, x2, " EVQA_STEP##S##_##P "\nadd x3, x3, " EVQA_STEP##S##_##P "\n" \
  "ldr q18, [x6]\nldr q19, [x6, #16]\n" \
  EVQA_RESULT_##result(P) EVQA_UP_TO##P(EVQA_BYTES) EVQA_PUT##P "add x8, x8, " EVQA_STEP1_##P "\n"
#define EVQA_FILTER_ROWS(S, P, Q, result) \
  "ldp x21, x10, [%[s], #64]\nldp x4, x5, [%[s], #80]\nldp x6, x7, [%[s], #96]\nldp x22, x23, [%[s], #112]\n" \
  "add x11, x10, x10\nadd x12, x11, x10\nadd x13, x11, x11\nadd x14, x13, x10\nadd x15, x12, x12\nadd x16, x15, x10\n" \
  "add x17, x13, x13\nmov x20, %[s]\n" EVQA_BEFORE_##result \
  "ldp d22, d23, [x4]\nldp d24, d25, [x4, #16]\nldp d26, d27, [x4, #32]\nldp d28, d29, [x4, #48]\n" \
  "ldr d30, [x4, #64]\n" \
  "ldr x19, [%[s], #136]\nldrb w24, [x4, #72]\nldrb w25, [x4, #73]\nldrb w26, [x4, #74]\n" \
  "1:\nldr x1, [x20, x24]\nldr x2, [x20, x25]\nldr x3, [x20, x26]\nldr x8, [x20, #24]\n" \
  "add x20, x20, #32\nmov x9, x22\n" \
  "add x1, x1, x19\nadd x2, x2, x19\nadd x3, x3, x19\nadd x8, x8, x19\n" \
  "2:\n" EVQA_GROUP(S, P, result) "b.ne 2b\n" \
  "cbz x23, 4f\nmov x9, x23\n" \
  "3:\n" EVQA_GROUP(S, Q, result) "b.ne 3b\n" \
  "4:\nsubs x21, x21, #1\nb.ne 1b\n"
#define EVQA_BEFORE_EXACT
#define EVQA_BEFORE_TRIPLE
#define EVQA_BEFORE_ANY "ldr x7, [%[s], #128]\n"
#define EVQA_RUN_FILTER(S, P, Q, result) \
  __asm__ volatile(EVQA_FILTER_ROWS(S, P, Q, result) : : [s] "r"(&rows) \
    : "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15", \
      "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31", \
      "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17", \
      "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "cc", "memory")
#define EVQA_FILTERS(S, result) \
  switch (kPixels) { \
    case 1: EVQA_RUN_FILTER(S, 1, 1, result); break; \
    case 2: EVQA_RUN_FILTER(S, 2, 1, result); break; \
    case 3: EVQA_RUN_FILTER(S, 3, 2, result); break; \
    default: EVQA_RUN_FILTER(S, 4, 3, result); break; \
  }
// clang-format on

template <int kStride, int kPixels>
void filter_exact(const FilterRows& rows) {
  if (kStride == 1) {
    EVQA_FILTERS(1, EXACT)
  } else {
    EVQA_FILTERS(2, EXACT)
  }
}

// Likewise, if 128 times the sum of the last three taps' sizes fits 16 bits.
template <int kStride, int kPixels>
void filter_triple(const FilterRows& rows) {
  if (kStride == 1) {
    EVQA_FILTERS(1, TRIPLE)
  } else {
    EVQA_FILTERS(2, TRIPLE)
  }
}

// For any sums, scales and zero points.
template <int kStride, int kPixels>
void filter_any(const FilterRows& rows) {
  if (kStride == 1) {
    EVQA_FILTERS(1, ANY)
  } else {
    EVQA_FILTERS(2, ANY)
  }
}

}  // namespace
}  // namespace evqa
