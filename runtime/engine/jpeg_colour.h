// From samples of components to RGB pixels, as libjpeg does it: chroma at half the size is drawn between its neighbours
// ("fancy"), or, in pictures at 1/8 and very narrow ones, repeated.
#pragma once

#include <stdint.h>

namespace evqa {

// out[0..2 count): each sample twice.
void repeat_samples(const uint8_t* in, int count, uint8_t* out);

// out[0..2 count): three quarters of a sample, one of its neighbour to the left or right; the outermost as they are.
void widen_samples(const uint8_t* in, int count, uint8_t* out);

// out[0..count): three quarters of a row, one of the row above (`lower` 0) or below it (1).
void mix_rows(const uint8_t* near, const uint8_t* far, int lower, int count, uint8_t* out);

// Both: out[0..2 count), rounded once. sums: [count]. count is more than 1.
void mix_and_widen(const uint8_t* near, const uint8_t* far, int count, int16_t* sums, uint8_t* out);

// out[i]: a pixel's red, green, blue and 0, from the lowest byte on.
void ycc_to_rgb(const uint8_t* y, const uint8_t* cb, const uint8_t* cr, int count, uint32_t* out);
void grey_to_rgb(const uint8_t* grey, int count, uint32_t* out);

}  // namespace evqa
