// For test_jpeg.py and test_hostile_jpegs.py. Reads requests until the input ends: int32 side and int32 size, then a
// JPEG's bytes. Answers each with int32 status and int32 size, then the pixels or the error.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../runtime/engine/error.h"
#include "../../runtime/engine/jpeg.h"

static void answer(int32_t status, const void* bytes, size_t size) {
  const int32_t head[2] = {status, static_cast<int32_t>(size)};
  fwrite(head, sizeof head, 1, stdout);
  fwrite(bytes, 1, size, stdout);
}

int main() {
  for (int32_t request[2]; fread(request, sizeof request, 1, stdin) == 1;) {
    const size_t size = static_cast<size_t>(request[1]), side = static_cast<size_t>(request[0]);
    // A block of just this size, so that a sanitizer sees reads beyond it.
    uint8_t* bytes = static_cast<uint8_t*>(malloc(size ? size : 1));
    uint8_t* out = static_cast<uint8_t*>(malloc(side * side * 3));
    if (fread(bytes, 1, size, stdin) != size) return 3;
    if (const evqa_status status = evqa::jpeg_pixels(bytes, size, request[0], out)) {
      answer(status, evqa::last_error(), strlen(evqa::last_error()));
    } else {
      answer(0, out, side * side * 3);
    }
    free(out);
    free(bytes);
  }
  return 0;
}
