// The coded blocks of a JPEG, a row of MCUs at a time, to samples of each component at 1/8, 1/4, 1/2 or full size.
#pragma once

#include "jpeg_huffman.h"
#include "jpeg_idct.h"

namespace evqa {

// One component's samples: a ring of the rows of two rows of MCUs.
struct JpegPlane {
  int size;            // of a block in samples each way: 1, 2, 4 or 8
  int across, down;    // blocks of an MCU
  int width, height;   // samples that belong to the picture
  ptrdiff_t stride;    // bytes, all blocks of a row of MCUs
  int rows;            // of the ring
  uint8_t* samples;    // [rows][stride]
  uint8_t* reached;    // the row of MCUs that is being decoded
  const uint16_t* quant;  // [64], in zigzag order
  const HuffmanTable *dc, *ac;
  const SkipTable* skip;  // only where size is 1
  int32_t last;           // the first coefficient of the block before

  uint8_t* row(int y) const { return samples + y % rows * stride; }
};

struct JpegScan {
  JpegPlane planes[kJpegComponents];
  int components;
  int mcus_across, mcus_down;
  int restart, until_restart, restarts;  // MCUs between markers, and to the next; markers met
  int done;                              // rows of MCUs
  BitReader reader;

  // Null, or why the next row of MCUs could not be decoded: then nothing more must be.
  const char* next_row();
};

}  // namespace evqa
