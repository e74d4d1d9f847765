// For test_caches.py: "caches ROOT NAME", "rows CHANNELS SIDE OUT_SIDE STRIDE ELEMENT NEAREST SECOND" or
// "chunk CHANNELS SIDE OUT_SIDE STRIDE ELEMENT TILE CACHE"; without any, this processor's caches.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../runtime/engine/strips.h"

int main(int argc, char** argv) {
  using namespace evqa;
  if (argc < 3) {
    const Caches c = caches();
    printf("%zu %zu\n", c.nearest, c.second);
    return 0;
  }
  if (argc == 4) {
    const Caches c = caches_at(argv[2], strtoul(argv[3], nullptr, 0));
    printf("%zu %zu\n", c.nearest, c.second);
    return 0;
  }
  if (argc != 9) return 2;
  int n[7];
  for (int i = 0; i < 7; ++i) n[i] = atoi(argv[i + 2]);
  const Block block = {n[0], n[1], n[2], n[3], n[4]};
  if (strcmp(argv[1], "rows") == 0)
    printf("%d\n", rows_of(block, {static_cast<size_t>(n[5]), static_cast<size_t>(n[6])}));
  else
    printf("%d\n", chunk_of(block, n[5], static_cast<size_t>(n[6])));
  return 0;
}
