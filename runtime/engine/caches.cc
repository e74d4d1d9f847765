#include "caches.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "small_file.h"

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace evqa {
namespace {

constexpr size_t kKilobyte = 1024;
constexpr Caches kUnknown = {32 * kKilobyte, 256 * kKilobyte};
constexpr int kMostCaches = 8;

// Cores of boards whose system may not tell, with the second caches of the boards they are known from.
struct Core {
  unsigned part;
  Caches caches;
};
constexpr Core kArmCores[] = {
    {0xd03, {32 * kKilobyte, 512 * kKilobyte}},   // Cortex-A53: Raspberry Pi 3, Zero 2 W
    {0xd05, {32 * kKilobyte, 128 * kKilobyte}},   // Cortex-A55
    {0xd08, {32 * kKilobyte, 1024 * kKilobyte}},  // Cortex-A72: Raspberry Pi 4
    {0xd0b, {64 * kKilobyte, 512 * kKilobyte}},   // Cortex-A76: Raspberry Pi 5
};

Caches of_core(unsigned long name) {
  constexpr unsigned kArm = 0x41;
  if ((name >> 24 & 0xff) == kArm)
    for (const Core& core : kArmCores)
      if ((name >> 4 & 0xfff) == core.part) return core.caches;
  return kUnknown;
}

// Bytes of "32K", "1024K", "1M"; 0 for anything else.
size_t bytes_of(const char* text) {
  char* end;
  const unsigned long n = strtoul(text, &end, 10);
  if (end == text || n == 0 || n > 1024 * kKilobyte) return 0;
  if (*end == 'K') return n * kKilobyte;
  return *end == 'M' && n <= kKilobyte ? n * kKilobyte * kKilobyte : 0;
}

bool read_part(const char* root, int index, const char* part, char* text, size_t size) {
  char path[512];
  snprintf(path, sizeof path, "%s/sys/devices/system/cpu/cpu0/cache/index%d/%s", root, index, part);
  return read_text(path, text, size);
}

}  // namespace

Caches caches_at(const char* root, unsigned long name) {
  Caches known = of_core(name);
  char level[16], type[32], size[32];
  for (int i = 0; i < kMostCaches && read_part(root, i, "level", level, sizeof level); ++i) {
    if (!read_part(root, i, "type", type, sizeof type) || !read_part(root, i, "size", size, sizeof size)) continue;
    const size_t bytes = bytes_of(size);
    if (!bytes || strncmp(type, "Instruction", 11) == 0) continue;
    if (atoi(level) == 1) known.nearest = bytes;
    if (atoi(level) == 2) known.second = bytes;
  }
  return known;
}

Caches caches() {
  unsigned long name = 0;
#if defined(__aarch64__) && defined(__linux__)
  constexpr unsigned long kHwcapCpuid = 1ul << 11;  // the system lets programs read MIDR_EL1
  if (getauxval(AT_HWCAP) & kHwcapCpuid) __asm__("mrs %0, MIDR_EL1" : "=r"(name));
#elif defined(__APPLE__)
  Caches known = kUnknown;
  size_t size = sizeof known.nearest;
  sysctlbyname("hw.l1dcachesize", &known.nearest, &size, nullptr, 0);
  size = sizeof known.second;
  sysctlbyname("hw.l2cachesize", &known.second, &size, nullptr, 0);
  return known;
#endif
  return caches_at("", name);
}

}  // namespace evqa
