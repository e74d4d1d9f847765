// What this x86-64 processor offers. Asked of the processor itself: what __builtin_cpu_supports reads is filled in by the
// compiler's own library, and not by every compiler's.
#pragma once

#include <cpuid.h>
#include <stdint.h>
#include <string.h>

namespace evqa {

// Whether the processor has a feature, by GCC's name, and the system keeps its registers ("avx2", "avx512vnni", ...).
// Intel's Software Developer's Manual, volume 2, CPUID; volume 1, 13.3 (XCR0). False for names that are not below.
inline bool x86_has(const char* feature) {
  enum Register { kEbx, kEcx };
  constexpr uint32_t kAvxState = 0x06, kAvx512State = 0xE6;  // of XCR0: xmm and ymm; those, k and zmm
  static constexpr struct {
    const char* name;
    unsigned leaf;
    Register where;
    int bit;
    uint32_t state;
  } kFeatures[] = {
      {"sse4.1", 1, kEcx, 19, 0},
      {"avx", 1, kEcx, 28, kAvxState},
      {"fma", 1, kEcx, 12, kAvxState},
      {"avx2", 7, kEbx, 5, kAvxState},
      {"avx512f", 7, kEbx, 16, kAvx512State},
      {"avx512dq", 7, kEbx, 17, kAvx512State},
      {"avx512bw", 7, kEbx, 30, kAvx512State},
      {"avx512vl", 7, kEbx, 31, kAvx512State},
      {"avx512vnni", 7, kEcx, 11, kAvx512State},
  };
  unsigned a, b, c, d;
  uint32_t state = 0;
  constexpr unsigned kOsxsave = 1u << 27;  // xgetbv may be used
  if (__get_cpuid(1, &a, &b, &c, &d) && (c & kOsxsave)) __asm__("xgetbv" : "=a"(state), "=d"(d) : "c"(0));
  for (const auto& known : kFeatures)
    if (strcmp(known.name, feature) == 0)
      return __get_cpuid_count(known.leaf, 0, &a, &b, &c, &d) && ((known.where == kEbx ? b : c) >> known.bit & 1) &&
             (state & known.state) == known.state;
  return false;
}

}  // namespace evqa
