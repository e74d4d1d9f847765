// From a picture as cameras hand it over to the model's pixels: side x side RGB, the same bytes as Pillow makes of the
// RGB picture by Image.resize((side, height), BILINEAR) and then to (side, side). Up to Pillow 12.2 a single resize is
// just that; later ones shrink tall pictures down before across, which differs by 1 here and there.
//
// EVQA_NV12 and EVQA_YUYV become RGB by ITU-R BT.601 for luma 16 to 235 and chroma 16 to 240, in integers; >> rounds
// down, and a pixel takes the chroma of its pair (NV12: of its 2 x 2 block) as it is:
//
//     c = 298 (Y - 16) + 128
//     R = clamp((c + 409 (V - 128)) >> 8)
//     G = clamp((c - 100 (U - 128) - 208 (V - 128)) >> 8)
//     B = clamp((c + 516 (U - 128)) >> 8)
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "interface.h"
#include "resample.h"

namespace evqa {

constexpr int kMostPixels = 65535;  // a picture's width and height
constexpr int kMostSide = 4096;

// Whether format, sizes, planes and strides go together. EVQA_ERROR_ARGUMENT says why not.
evqa_status check_image(const evqa_image& image);

// One at a time per Resizer. Zero-initialized it holds nothing.
struct Resizer {
  void* memory;               // one block, good for pictures of every size
  int side;                   // that it is good for
  int width, height;          // whose weights are in it, 0 for none
  const RowKernels* kernels;  // null: the best that the processor runs

  // Makes room for pictures of every size to become `side` x `side`: for 224 1.7 MB, of which a small picture touches
  // a tenth. resize does it where it has not been done; after it, resize allocates nothing.
  evqa_status reserve(int side);
  void free();

  // out: side * side * 3 bytes, no part of the picture.
  evqa_status resize(const evqa_image& image, int side, uint8_t* out);
};

}  // namespace evqa
