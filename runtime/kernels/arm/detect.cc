// What this ARM processor offers beyond ARMv8.0.
#include "../levels.h"

#if defined(__linux__)
#include <sys/auxv.h>
#elif defined(__APPLE__)
#include <stddef.h>
#include <sys/sysctl.h>
#endif

namespace evqa {
namespace {

#if defined(__linux__)
// Bits of the kernel's interface, here as old C libraries lack their names.
constexpr unsigned long kHwcapAsimddp = 1ul << 20;  // AT_HWCAP
constexpr unsigned long kHwcap2I8mm = 1ul << 13;    // AT_HWCAP2
#elif defined(__APPLE__)
bool has(const char* feature) {
  int value = 0;
  size_t size = sizeof value;
  return sysctlbyname(feature, &value, &size, nullptr, 0) == 0 && value != 0;
}
#endif

}  // namespace

bool arm_has_dotprod() {
#if defined(__linux__)
  return getauxval(AT_HWCAP) & kHwcapAsimddp;
#elif defined(__APPLE__)
  return has("hw.optional.arm.FEAT_DotProd");
#else
  return false;
#endif
}

bool arm_has_i8mm() {
#if defined(__linux__)
  return getauxval(AT_HWCAP2) & kHwcap2I8mm;
#elif defined(__APPLE__)
  return has("hw.optional.arm.FEAT_I8MM");
#else
  return false;
#endif
}

}  // namespace evqa
