// The inner loop of conv_8x8_neondot.h, in assembler, so that all 32 vector registers hold what they should: v16..v31
// sums, two a pixel; v0..v7 the pixels' inputs; v8..v15 the weights of four quads. Pixels' pointers are in x1..x8, with one
// offset x9 for all. 16 inputs are 64 SDOT, 16 loads: 32 cycles on Cortex-A76.
#pragma once

#include "common.h"

namespace evqa {
namespace {

struct Sums {
  const uint8_t* in;
  ptrdiff_t in_pixel, in_segment;
  int64_t segments, quads;
  const int8_t* w;
  const int32_t* start;  // what a row's sums begin with
};
static_assert(offsetof(Sums, start) == 48);

// clang-format off
#define EVQA_ROWS1(M, ...) M(0, 16, 17, 1, __VA_ARGS__)
#define EVQA_ROWS2(M, ...) EVQA_ROWS1(M, __VA_ARGS__) M(1, 18, 19, 2, __VA_ARGS__)
#define EVQA_ROWS3(M, ...) EVQA_ROWS2(M, __VA_ARGS__) M(2, 20, 21, 3, __VA_ARGS__)
#define EVQA_ROWS4(M, ...) EVQA_ROWS3(M, __VA_ARGS__) M(3, 22, 23, 4, __VA_ARGS__)
#define EVQA_ROWS5(M, ...) EVQA_ROWS4(M, __VA_ARGS__) M(4, 24, 25, 5, __VA_ARGS__)
#define EVQA_ROWS6(M, ...) EVQA_ROWS5(M, __VA_ARGS__) M(5, 26, 27, 6, __VA_ARGS__)
#define EVQA_ROWS7(M, ...) EVQA_ROWS6(M, __VA_ARGS__) M(6, 28, 29, 7, __VA_ARGS__)
#define EVQA_ROWS8(M, ...) EVQA_ROWS7(M, __VA_ARGS__) M(7, 30, 31, 8, __VA_ARGS__)

// row: its inputs' register; a0, a1: its sums; x: its pointer.
#define EVQA_START(row, a0, a1, x, unused) "ldp q" #a0 ", q" #a1 ", [x13]\n"
#define EVQA_LOAD(row, a0, a1, x, size) "ldr " size #row ", [x" #x ", x9]\n"
#define EVQA_DOT(row, a0, a1, x, w0, w1, lane) \
  "sdot v" #a0 ".4s, v" #w0 ".16b, v" #row ".4b[" #lane "]\nsdot v" #a1 ".4s, v" #w1 ".16b, v" #row ".4b[" #lane "]\n"
#define EVQA_NEXT(row, a0, a1, x, unused) "add x" #x ", x" #x ", x10\n"

// `main`: with its loop over four quads, of which there must be one then. Nothing branches before the first products.
#define EVQA_SUMS(R, main) \
  "ldp x1, x9, [%[s]]\nldp x10, x11, [%[s], #16]\nldp x12, x14, [%[s], #32]\nldr x13, [%[s], #48]\n" \
  "add x2, x1, x9\nadd x3, x1, x9, lsl #1\nadd x4, x2, x9, lsl #1\nadd x5, x1, x9, lsl #2\n" \
  "add x6, x2, x9, lsl #2\nadd x7, x3, x9, lsl #2\nadd x8, x4, x9, lsl #2\n" \
  EVQA_ROWS##R(EVQA_START, 0) \
  "1:\nmov x9, #0\nsub x15, x12, #4\n" \
  main \
  "tbz x15, #1, 4f\n" /* two more quads */ \
  EVQA_ROWS##R(EVQA_LOAD, "d") "ldp q8, q9, [x14]\nldp q10, q11, [x14, #32]\nadd x14, x14, #64\nadd x9, x9, #8\n" \
  EVQA_ROWS##R(EVQA_DOT, 8, 9, 0) EVQA_ROWS##R(EVQA_DOT, 10, 11, 1) \
  "4:\ntbz x15, #0, 5f\n" /* one more */ \
  EVQA_ROWS##R(EVQA_LOAD, "s") "ldp q8, q9, [x14], #32\n" EVQA_ROWS##R(EVQA_DOT, 8, 9, 0) \
  "5:\nsubs x11, x11, #1\nb.eq 6f\n" EVQA_ROWS##R(EVQA_NEXT, 0) "b 1b\n" \
  "6:\n"
#define EVQA_FOUR_QUADS(R) \
  "2:\n" \
  "ldp q8, q9, [x14]\n" EVQA_ROWS##R(EVQA_LOAD, "q") "ldp q10, q11, [x14, #32]\n" \
  EVQA_ROWS##R(EVQA_DOT, 8, 9, 0) \
  "ldp q12, q13, [x14, #64]\nldp q14, q15, [x14, #96]\nadd x14, x14, #128\nadd x9, x9, #16\n" \
  EVQA_ROWS##R(EVQA_DOT, 10, 11, 1) EVQA_ROWS##R(EVQA_DOT, 12, 13, 2) EVQA_ROWS##R(EVQA_DOT, 14, 15, 3) \
  "subs x15, x15, #4\nb.ge 2b\n"
#define EVQA_CLOBBERS \
  "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15", "x1", "x2", "x3", \
  "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "cc", "memory"

#define EVQA_SUM_REGISTER(n) register int32x4_t v##n __asm__("v" #n)
#define EVQA_RUN_SUMS(R, main) \
  __asm__ volatile(EVQA_SUMS(R, main) \
    : "=w"(v16), "=w"(v17), "=w"(v18), "=w"(v19), "=w"(v20), "=w"(v21), "=w"(v22), "=w"(v23), \
      "=w"(v24), "=w"(v25), "=w"(v26), "=w"(v27), "=w"(v28), "=w"(v29), "=w"(v30), "=w"(v31) \
    : [s] "r"(&s) : EVQA_CLOBBERS)
#define EVQA_RUN_CASE(R) \
  if (s.quads >= 4) EVQA_RUN_SUMS(R, EVQA_FOUR_QUADS(R)); else EVQA_RUN_SUMS(R, ""); break
// clang-format on

// acc[row][vector of four channels].
template <int kRows>
EVQA_INLINE void run_sums(int32x4_t (&acc)[kRows][2], const Sums& s) {
  EVQA_SUM_REGISTER(16); EVQA_SUM_REGISTER(17); EVQA_SUM_REGISTER(18); EVQA_SUM_REGISTER(19);
  EVQA_SUM_REGISTER(20); EVQA_SUM_REGISTER(21); EVQA_SUM_REGISTER(22); EVQA_SUM_REGISTER(23);
  EVQA_SUM_REGISTER(24); EVQA_SUM_REGISTER(25); EVQA_SUM_REGISTER(26); EVQA_SUM_REGISTER(27);
  EVQA_SUM_REGISTER(28); EVQA_SUM_REGISTER(29); EVQA_SUM_REGISTER(30); EVQA_SUM_REGISTER(31);
  switch (kRows) {
    case 1: EVQA_RUN_CASE(1);
    case 2: EVQA_RUN_CASE(2);
    case 3: EVQA_RUN_CASE(3);
    case 4: EVQA_RUN_CASE(4);
    case 5: EVQA_RUN_CASE(5);
    case 6: EVQA_RUN_CASE(6);
    case 7: EVQA_RUN_CASE(7);
    default: EVQA_RUN_CASE(8);
  }
  const int32x4_t all[8][2] = {{v16, v17}, {v18, v19}, {v20, v21}, {v22, v23},
                               {v24, v25}, {v26, v27}, {v28, v29}, {v30, v31}};
  EVQA_UNROLL for (int r = 0; r < kRows; ++r)
    EVQA_UNROLL for (int v = 0; v < 2; ++v) acc[r][v] = all[r][v];
}

}  // namespace
}  // namespace evqa
