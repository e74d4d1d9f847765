// For test_cpu_count.py: prints the default count of threads, or with "ROOT 0,1,5" that of these processors below ROOT.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../runtime/engine/cpu_count.h"

int main(int argc, char** argv) {
  if (argc != 3) {
    printf("%d\n", evqa::default_threads());
    return 0;
  }
  uint8_t usable[32] = {};
  for (char* p = strtok(argv[2], ","); p; p = strtok(nullptr, ","))
    usable[atoi(p) / 8] |= static_cast<uint8_t>(1 << atoi(p) % 8);
  printf("%d\n", evqa::default_threads_at(argv[1], usable, 256));
  return 0;
}
