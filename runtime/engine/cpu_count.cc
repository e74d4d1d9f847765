#include "cpu_count.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "small_file.h"

#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#elif defined(_WIN32)
#include <windows.h>
#endif

namespace evqa {

#if defined(__linux__)

namespace {

constexpr size_t kPathBytes = 4096;

// Processors of one core share a list of siblings; its first member names the core. (core_id does not: on ARM boards
// every cluster counts its cores from 0.)
int core_of(const char* root, int processor) {
  char path[kPathBytes], text[64];
  snprintf(path, sizeof path, "%s/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", root, processor);
  if (!read_text(path, text, sizeof text) || text[0] < '0' || text[0] > '9') return processor;
  return atoi(text);
}

int count_cores(const char* root, const uint8_t* usable, int processors) {
  int cores[kMostDefaultThreads], count = 0;
  for (int i = 0; i < processors && count < kMostDefaultThreads; ++i) {
    if (!(usable[i / 8] >> (i % 8) & 1)) continue;
    const int core = core_of(root, i);
    bool seen = false;
    for (int j = 0; j < count; ++j) seen |= cores[j] == core;
    if (!seen) cores[count++] = core;
  }
  return count;
}

// Processors that a quota of so many microseconds a period comes to, rounded up; no limit without a quota.
int processors_of(long long quota, long long period) {
  if (quota <= 0 || period <= 0 || quota / period >= kMostDefaultThreads) return kMostDefaultThreads;
  return static_cast<int>(quota / period) + (quota % period != 0);
}

int quota_v2(const char* folder) {
  char path[kPathBytes], text[64];
  long long quota, period;
  if (snprintf(path, sizeof path, "%s/cpu.max", folder) >= static_cast<int>(sizeof path)) return kMostDefaultThreads;
  if (!read_text(path, text, sizeof text) || sscanf(text, "%lld %lld", &quota, &period) != 2)
    return kMostDefaultThreads;
  return processors_of(quota, period);
}

int quota_v1(const char* folder) {
  char path[kPathBytes], quota[32], period[32];
  if (snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", folder) >= static_cast<int>(sizeof path) ||
      !read_text(path, quota, sizeof quota)) {
    return kMostDefaultThreads;
  }
  if (snprintf(path, sizeof path, "%s/cpu.cfs_period_us", folder) >= static_cast<int>(sizeof path) ||
      !read_text(path, period, sizeof period)) {
    return kMostDefaultThreads;
  }
  return processors_of(atoll(quota), atoll(period));
}

// The smallest quota of a group and the groups above it. In a container the path may be the host's, which is not to be
// seen there: the folders that are missing limit nothing, and the mount's own is the container's.
int smallest_quota(const char* root, const char* mount, const char* group, int (*quota)(const char*)) {
  char folder[kPathBytes];
  const int base = snprintf(folder, sizeof folder, "%s/sys/fs/cgroup%s", root, mount);
  if (base >= static_cast<int>(sizeof folder) || strlen(group) >= sizeof folder - static_cast<size_t>(base)) {
    return kMostDefaultThreads;
  }
  strcpy(folder + base, group);
  int least = kMostDefaultThreads;
  for (;;) {
    const int here = quota(folder);
    if (here < least) least = here;
    char* slash = strrchr(folder + base, '/');
    if (!slash) return least;
    *slash = '\0';
  }
}

bool lists_cpu(const char* controllers, const char* end) {
  for (const char* p = controllers; p < end;) {
    const char* comma = static_cast<const char*>(memchr(p, ',', static_cast<size_t>(end - p)));
    const char* stop = comma ? comma : end;
    if (stop - p == 3 && memcmp(p, "cpu", 3) == 0) return true;
    p = stop + 1;
  }
  return false;
}

// proc/self/cgroup has lines "0::/group" (version 2) and "4:cpu,cpuacct:/group" (version 1).
int cgroup_quota(const char* root) {
  char path[kPathBytes], text[8192];
  snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
  if (!read_text(path, text, sizeof text)) return kMostDefaultThreads;
  int least = kMostDefaultThreads;
  for (char *line = text, *next; line; line = next) {
    next = strchr(line, '\n');
    if (next) *next++ = '\0';
    char* controllers = strchr(line, ':');
    char* group = controllers ? strchr(++controllers, ':') : nullptr;
    if (!group) continue;
    int found = kMostDefaultThreads;
    if (controllers == group) {
      found = smallest_quota(root, "", group + 1, quota_v2);
      const int hybrid = smallest_quota(root, "/unified", group + 1, quota_v2);
      if (hybrid < found) found = hybrid;
    } else if (lists_cpu(controllers, group)) {
      found = smallest_quota(root, "/cpu", group + 1, quota_v1);  // a link to "cpu,cpuacct" where they are one
    }
    if (found < least) least = found;
  }
  return least;
}

}  // namespace

int default_threads_at(const char* root, const uint8_t* usable, int processors) {
  const int cores = count_cores(root, usable, processors), quota = cgroup_quota(root);
  const int least = cores < quota ? cores : quota;
  return least > 1 ? least : 1;
}

int default_threads() {
  // The kernel fills whole words of the machine's own; the C library's set would hold 1024 processors.
  alignas(8) uint8_t usable[8192 / 8] = {};
  const long bytes = syscall(SYS_sched_getaffinity, 0, sizeof usable, usable);
  if (bytes <= 0) return 1;
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#error "the words of the affinity mask are taken for little-endian"
#endif
  return default_threads_at("", usable, static_cast<int>(bytes) * 8);
}

#else

int default_threads_at(const char*, const uint8_t*, int) { return 1; }

int default_threads() {
  int cores = 1;
#if defined(__APPLE__)
  size_t size = sizeof cores;
  // The fast cores, where the processor has two kinds.
  if (sysctlbyname("hw.perflevel0.physicalcpu", &cores, &size, nullptr, 0) != 0) {
    size = sizeof cores;
    if (sysctlbyname("hw.physicalcpu", &cores, &size, nullptr, 0) != 0) cores = 1;
  }
#elif defined(_WIN32)
  SYSTEM_INFO info;
  GetSystemInfo(&info);
  cores = static_cast<int>(info.dwNumberOfProcessors);
#endif
  return cores < 1 ? 1 : cores < kMostDefaultThreads ? cores : kMostDefaultThreads;
}

#endif

}  // namespace evqa
