// What this 32-bit ARM processor offers beyond VFP.
#include "../levels.h"

#if defined(__linux__)
#include <sys/auxv.h>
#endif

namespace evqa {

bool arm32_has_neon() {
#if defined(__linux__)
  constexpr unsigned long kHwcapNeon = 1ul << 12;  // a bit of the kernel's interface
  return getauxval(AT_HWCAP) & kHwcapNeon;
#else
  return false;
#endif
}

}  // namespace evqa
