// From an ordinary JPEG to a model's pixels, bit for bit what Pillow makes of it with libjpeg-turbo: decoded at 1/8,
// 1/4 or 1/2 where that leaves one and a half times the side each way, resized as in image.h, turned upright by EXIF.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "interface.h"

namespace evqa {

// out: side * side * 3 bytes. Takes memory for the time of the call: EVQA_ERROR_MEMORY where there is none.
// EVQA_ERROR_PICTURE: the JPEG is damaged, or none that is decoded here; `out` then holds nothing of use.
evqa_status jpeg_pixels(const void* bytes, size_t size, int side, uint8_t* out);

}  // namespace evqa
