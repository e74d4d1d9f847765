// A JPEG's pixels at 1/8, 1/4, 1/2 or full size, row by row from the top.
#pragma once

#include "carver.h"
#include "jpeg_scan.h"

namespace evqa {

struct JpegRows {
  int width, height;  // at this size
  JpegScan scan;

  // Takes its memory. What it takes depends on the header and the size only.
  void lay_out(const JpegHeader& header, int scale, Carver* carver);

  // After lay_out with memory. False: the header's Huffman tables cannot be.
  bool start(const JpegHeader& header);

  // Writes `width` pixels of row y: 4 bytes each, red, green, blue and 0. Rows must be read in order, each once. Null,
  // or why there is no such row.
  const char* read(int y, uint32_t* out);

 private:
  // How a component's samples become the picture's: repeated or drawn between, each way.
  enum class Spread { kNone, kRepeat, kWiden, kMixRows, kMixAndWiden };
  struct Tables;

  Spread spread_[kJpegComponents];
  bool halved_[kJpegComponents];  // it has a row for two of the picture's
  uint8_t* spread_rows_[kJpegComponents];
  int16_t* sums_;
  Tables* tables_;

  void lay_out_plane(const JpegHeader& header, int size, int i, Carver* carver);
  const uint8_t* component(int i, int y);
};

}  // namespace evqa
