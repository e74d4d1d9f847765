// For test_sha256.py. Prints the sums of the first 0, 1, ... 299 bytes of standard input and of all of it: a line each,
// by plain code and by the processor's instructions. With an argument: the best time of ten, in milliseconds, of each.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../runtime/engine/sha256.h"

static uint8_t input[1 << 23];

static void print(const uint8_t sum[32], char end) {
  for (int i = 0; i < 32; ++i) printf("%02x", sum[i]);
  putchar(end);
}

static void print_sums(size_t size) {
  uint8_t* copy = static_cast<uint8_t*>(malloc(size ? size : 1));  // its own block, for sanitizers
  memcpy(copy, input, size);
  uint8_t plain[32], fast[32];
  evqa::sha256_with(true, copy, size, plain);
  evqa::sha256(copy, size, fast);
  print(plain, ' ');
  print(fast, '\n');
  free(copy);
}

static double milliseconds(bool plain, size_t size) {
  double best = 1e9;
  for (int i = 0; i < 10; ++i) {
    timespec from, to;
    uint8_t sum[32];
    clock_gettime(CLOCK_MONOTONIC, &from);
    evqa::sha256_with(plain, input, size, sum);
    clock_gettime(CLOCK_MONOTONIC, &to);
    const double took =
        1e3 * static_cast<double>(to.tv_sec - from.tv_sec) + 1e-6 * static_cast<double>(to.tv_nsec - from.tv_nsec);
    if (took < best) best = took;
  }
  return best;
}

int main(int argc, char**) {
  const size_t size = fread(input, 1, sizeof input, stdin);
  if (argc > 1) {
    printf("%zu bytes: plain %.2f ms, instructions %.2f ms (%s)\n", size, milliseconds(true, size),
           milliseconds(false, size), evqa::sha256_has_instructions() ? "present" : "absent");
    return 0;
  }
  for (size_t i = 0; i < 300 && i <= size; ++i) print_sums(i);
  print_sums(size);
  return 0;
}
