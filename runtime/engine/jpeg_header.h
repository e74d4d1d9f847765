// What a JPEG says of itself before its pixels. Only what every decoder takes alike is accepted: one scan of 8-bit
// baseline or extended sequential Huffman coding, grey or Y Cb Cr, sampled by 1 and 2, no oddities.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace evqa {

constexpr int kJpegComponents = 3;  // at most

struct JpegComponent {
  int id;
  int across, down;   // sampling factors, 1 or 2: blocks of an MCU
  int quant, dc, ac;  // which tables
};

struct HuffmanSpec {
  const uint8_t* counts;   // [16]: codes of 1 to 16 bits; null: no such table
  const uint8_t* symbols;  // as many as all counts together
};

struct JpegHeader {
  int width, height, components;
  int across, down;  // the largest sampling factors
  JpegComponent component[kJpegComponents];
  uint16_t quant[4][64];  // in zigzag order
  bool has_quant[4];
  HuffmanSpec dc[4], ac[4];
  int restart;              // MCUs from one restart marker to the next, 0: none
  int orientation;          // EXIF's, 1 to 8
  const uint8_t *scan, *end;  // the coded blocks begin here; the file ends there
};

// Null, or why this is nothing for this decoder. The header keeps pointers into the bytes.
const char* read_jpeg_header(const uint8_t* bytes, size_t size, JpegHeader* out);

// The orientation that a TIFF structure (the contents of Exif) states, 0 where it states none, -1 where the structure
// is damaged or unusual.
int exif_orientation(const uint8_t* tiff, size_t size);

// Whether a TIFF structure (the contents of MPF, which lists the pictures of a file of several) says how many pictures
// there are and has an entry for each. Where it does not, some releases of Pillow refuse the file.
bool mpf_is_sound(const uint8_t* tiff, size_t size);

}  // namespace evqa
