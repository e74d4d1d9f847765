// For test_image_engine.py. Reads requests until the input ends: a Request, then its planes. Answers each with int32
// status and int32 size, then the pixels or the error. All go through one Resizer. With an argument: the kernels'
// names.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../runtime/engine/error.h"
#include "../../runtime/engine/image.h"

struct Request {
  int32_t kernels;  // -1: the best
  int32_t format, width, height, side;
  int32_t null_planes;  // bit i: plane i is to be null
  int64_t strides[2], bytes[2];
};

static void answer(int32_t status, const void* bytes, size_t size) {
  const int32_t head[2] = {status, static_cast<int32_t>(size)};
  fwrite(head, sizeof head, 1, stdout);
  fwrite(bytes, 1, size, stdout);
}

int main(int argc, char**) {
  int count;
  const evqa::RowKernels* const* all = evqa::row_kernels(&count);
  if (argc > 1) {
    for (int i = 0; i < count; ++i) puts(all[i]->name);
    return 0;
  }
  evqa::Resizer resizer = {};
  for (Request r; fread(&r, sizeof r, 1, stdin) == 1;) {
    // Blocks of just the planes' sizes, so that a sanitizer sees reads beyond them.
    uint8_t* planes[2];
    for (int i = 0; i < 2; ++i) {
      const size_t size = static_cast<size_t>(r.bytes[i]);
      planes[i] = static_cast<uint8_t*>(malloc(size ? size : 1));
      if (fread(planes[i], 1, size, stdin) != size) return 3;
    }
    evqa_image image = {r.format,
                        r.width,
                        r.height,
                        {planes[0], planes[1]},
                        {static_cast<ptrdiff_t>(r.strides[0]), static_cast<ptrdiff_t>(r.strides[1])}};
    for (int i = 0; i < 2; ++i) {
      if (r.null_planes >> i & 1) image.plane[i] = nullptr;
    }
    const size_t size =
        r.side > 0 && r.side < 10000 ? static_cast<size_t>(r.side) * static_cast<size_t>(r.side) * 3 : 1;
    uint8_t* out = static_cast<uint8_t*>(malloc(size));
    resizer.kernels = r.kernels < 0 ? nullptr : all[r.kernels];
    if (const evqa_status status = resizer.resize(image, r.side, out)) {
      answer(status, evqa::last_error(), strlen(evqa::last_error()));
    } else {
      answer(0, out, size);
    }
    free(out);
    for (uint8_t* plane : planes) free(plane);
  }
  resizer.free();
  return 0;
}
