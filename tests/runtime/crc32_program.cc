// For test_crc32.py. Prints the sums of the first 0, 1, ... 99 bytes of standard input and of all of it: a line each, by
// plain code and by the processor's instructions.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../runtime/engine/crc32.h"

static uint8_t input[1 << 20];

static void print_sums(size_t size) {
  uint8_t* copy = static_cast<uint8_t*>(malloc(size ? size : 1));  // its own block, for sanitizers
  memcpy(copy, input, size);
  printf("%u %u\n", evqa::crc32_with(true, copy, size), evqa::crc32(copy, size));
  free(copy);
}

int main() {
  const size_t size = fread(input, 1, sizeof input, stdin);
  for (size_t i = 0; i < 100 && i <= size; ++i) print_sums(i);
  print_sums(size);
  return 0;
}
