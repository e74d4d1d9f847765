// The inner loop of conv_4x8_neon32.h, in assembler: compilers spill, and load pairs of inputs one by one.
//
// vld2 broadcasts a pixel's k0 k1 and k2 k3 as 16-bit lanes of two registers. Each row (a pixel) is multiplied, vmull
// and then vmlal onto the same products, and added, vpadal, with other rows' instructions in between: of four rows, at
// least three stand between a product and its use, for in-order cores. The last row's products are added in the next
// quad. Loads stand together: Cortex-A53 loses time where arithmetic and loads alternate.
//
// q8..q15 sums, two a row; q0 q1 weights; q4 q5 and q6 q7 products, q2 and q3 inputs of even and odd rows.
#pragma once

#include "requant_neon32.h"

namespace evqa {
namespace {

// What the loop reads for itself: as operands, compilers would move all of it about for every tile.
struct Sums {
  const uint8_t* in;
  ptrdiff_t in_pixel;
  ptrdiff_t skip;        // from the end of a row's run to its next one
  int segments, quads;
  const int8_t* w;
  const int32_t* start;  // what a row's sums begin with
};
static_assert(offsetof(Sums, start) == 24);

// clang-format off
#define EVQA_MUL(t0, t1, k) "vmull.s8 q" #t0 ", d0, d" #k "\nvmull.s8 q" #t1 ", d2, d" #k "\n"
#define EVQA_MLA(t0, t1, k) "vmlal.s8 q" #t0 ", d1, d" #k "\nvmlal.s8 q" #t1 ", d3, d" #k "\n"
#define EVQA_ADD(a0, a1, t0, t1) "vpadal.s16 q" #a0 ", q" #t0 "\nvpadal.s16 q" #a1 ", q" #t1 "\n"
#define EVQA_IN(row, k01, k23) "vld2.16 {d" #k01 "[], d" #k23 "[]}, [%[p" #row "]]!\n"

#define EVQA_MUL_EVEN EVQA_MUL(4, 5, 4)
#define EVQA_MUL_ODD EVQA_MUL(6, 7, 6)
#define EVQA_MLA_EVEN EVQA_MLA(4, 5, 5)
#define EVQA_MLA_ODD EVQA_MLA(6, 7, 7)

#define EVQA_LOOP1 EVQA_IN(0, 4, 5) EVQA_ADD(8, 9, 4, 5) EVQA_MUL_EVEN EVQA_MLA_EVEN
#define EVQA_LOOP2 \
  EVQA_IN(0, 4, 5) EVQA_IN(1, 6, 7) \
  EVQA_MUL_EVEN EVQA_ADD(10, 11, 6, 7) EVQA_MUL_ODD EVQA_MLA_EVEN EVQA_MLA_ODD EVQA_ADD(8, 9, 4, 5)
#define EVQA_LOOP3 \
  EVQA_IN(0, 4, 5) EVQA_IN(1, 6, 7) \
  EVQA_ADD(12, 13, 4, 5) EVQA_MUL_EVEN EVQA_MUL_ODD EVQA_MLA_EVEN \
  EVQA_IN(2, 4, 5) \
  EVQA_MLA_ODD EVQA_ADD(8, 9, 4, 5) EVQA_MUL_EVEN EVQA_ADD(10, 11, 6, 7) EVQA_MLA_EVEN
#define EVQA_LOOP4 \
  EVQA_IN(0, 4, 5) EVQA_IN(1, 6, 7) \
  EVQA_MUL_EVEN EVQA_ADD(14, 15, 6, 7) EVQA_MUL_ODD EVQA_MLA_EVEN EVQA_MLA_ODD \
  EVQA_IN(2, 4, 5) EVQA_IN(3, 6, 7) \
  EVQA_ADD(8, 9, 4, 5) EVQA_MUL_EVEN EVQA_ADD(10, 11, 6, 7) EVQA_MUL_ODD EVQA_MLA_EVEN EVQA_MLA_ODD \
  EVQA_ADD(12, 13, 4, 5)

// The last row's products, which the next quad adds, are 0 at first, and added at last.
#define EVQA_REST1 EVQA_ADD(8, 9, 4, 5)
#define EVQA_REST2 EVQA_ADD(10, 11, 6, 7)
#define EVQA_REST3 EVQA_ADD(12, 13, 4, 5)
#define EVQA_REST4 EVQA_ADD(14, 15, 6, 7)
#define EVQA_FIRST1 "vmov.i32 q4, #0\nvmov.i32 q5, #0\n"
#define EVQA_FIRST2 "vmov.i32 q6, #0\nvmov.i32 q7, #0\n" EVQA_COPY(10, 8) EVQA_COPY(11, 9)
#define EVQA_FIRST3 EVQA_FIRST1 EVQA_COPY(10, 8) EVQA_COPY(11, 9) EVQA_COPY(12, 8) EVQA_COPY(13, 9)
#define EVQA_FIRST4 EVQA_FIRST2 EVQA_COPY(12, 8) EVQA_COPY(13, 9) EVQA_COPY(14, 8) EVQA_COPY(15, 9)
#define EVQA_COPY(to, from) "vmov q" #to ", q" #from "\n"

#define EVQA_RUN_SUMS(R) \
  __asm__ volatile( \
      "ldr %[p0], [%[s]]\nldr %[count], [%[s], #4]\nldr %[p3], [%[s], #24]\nldr %[w], [%[s], #20]\n" \
      "ldr %[segments], [%[s], #12]\n" \
      "vld1.32 {d16-d19}, [%[p3]]\n" \
      "add %[p1], %[p0], %[count]\nadd %[p2], %[p1], %[count]\nadd %[p3], %[p2], %[count]\n" \
      EVQA_FIRST##R \
      "1:\nldr %[count], [%[s], #16]\n" \
      "2:\nvld1.8 {d0-d3}, [%[w]]!\nsubs %[count], %[count], #1\n" \
      EVQA_LOOP##R \
      "bne 2b\n" \
      "ldr %[count], [%[s], #8]\nsubs %[segments], %[segments], #1\n" \
      "add %[p0], %[p0], %[count]\nadd %[p1], %[p1], %[count]\n" \
      "add %[p2], %[p2], %[count]\nadd %[p3], %[p3], %[count]\n" \
      "bne 1b\n" \
      EVQA_REST##R \
      : "=w"(q8), "=w"(q9), "=w"(q10), "=w"(q11), "=w"(q12), "=w"(q13), "=w"(q14), "=w"(q15), [p0] "=&r"(p0), \
        [p1] "=&r"(p1), [p2] "=&r"(p2), [p3] "=&r"(p3), [w] "=&r"(w), [segments] "=&r"(segments), [count] "=&r"(count) \
      : [s] "r"(&s) \
      : "q0", "q1", "q2", "q3", "q4", "q5", "q6", "q7", "cc", "memory")
#define EVQA_SUM_REGISTER(n) register int32x4_t q##n __asm__("q" #n)
#define EVQA_SUM_REGISTERS \
  EVQA_SUM_REGISTER(8); EVQA_SUM_REGISTER(9); EVQA_SUM_REGISTER(10); EVQA_SUM_REGISTER(11); \
  EVQA_SUM_REGISTER(12); EVQA_SUM_REGISTER(13); EVQA_SUM_REGISTER(14); EVQA_SUM_REGISTER(15); \
  uint32_t p0, p1, p2, p3, w, segments, count  // the loop's own

#define EVQA_PLAIN1(step) step(8, 9, 16, 17)
#define EVQA_PLAIN2(step) EVQA_PLAIN1(step) step(10, 11, 20, 21)
#define EVQA_PLAIN3(step) EVQA_PLAIN2(step) step(12, 13, 24, 25)
#define EVQA_PLAIN4(step) EVQA_PLAIN3(step) step(14, 15, 28, 29)
#define EVQA_STORE_PLAIN(R) \
  __asm__ volatile( \
      EVQA_Q_CONSTANTS EVQA_Q_ROWS(EVQA_PLAIN##R) \
      : "+w"(q8), "+w"(q9), "+w"(q10), "+w"(q11), "+w"(q12), "+w"(q13), "+w"(q14), "+w"(q15), [out] "+r"(out) \
      : [scale] "r"(scale), [plain] "r"(&plain), [pitch] "r"(pitch) \
      : "q0", "q1", "q2", "q3", "memory")
// clang-format on

// acc[row][half of the tile's channels].
template <int kRows>
EVQA_INLINE void run_sums(int32x4_t (&acc)[kRows][2], const Sums& s) {
  EVQA_SUM_REGISTERS;
  switch (kRows) {
    case 1: EVQA_RUN_SUMS(1); break;
    case 2: EVQA_RUN_SUMS(2); break;
    case 3: EVQA_RUN_SUMS(3); break;
    default: EVQA_RUN_SUMS(4); break;
  }
  const int32x4_t all[4][2] = {{q8, q9}, {q10, q11}, {q12, q13}, {q14, q15}};
  EVQA_UNROLL for (int r = 0; r < kRows; ++r) {
    acc[r][0] = all[r][0];
    acc[r][1] = all[r][1];
  }
}

// The sums' bytes, of eight channels, to `out`.
template <int kRows>
EVQA_INLINE void run_plain(const Sums& s, const float* scale, const Plain& plain, uint8_t* out, ptrdiff_t pitch) {
  EVQA_SUM_REGISTERS;
  switch (kRows) {
    case 1: EVQA_RUN_SUMS(1); EVQA_STORE_PLAIN(1); break;
    case 2: EVQA_RUN_SUMS(2); EVQA_STORE_PLAIN(2); break;
    case 3: EVQA_RUN_SUMS(3); EVQA_STORE_PLAIN(3); break;
    default: EVQA_RUN_SUMS(4); EVQA_STORE_PLAIN(4); break;
  }
}

}  // namespace
}  // namespace evqa
