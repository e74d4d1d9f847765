// Huffman tables of JPEG, made for looking up several things at once.
#pragma once

#include "jpeg_bits.h"
#include "jpeg_header.h"

namespace evqa {

// A code and the number behind it, looked up by the next kPeekBits bits. An entry holds
//   bits 0 to 7    how many bits code and number take; 0, with bit 15: the code is longer than the peek
//   bits 8 to 14   coefficients on, the number's own included; kEndOfBlock: no more numbers in this block
//   bit 15         the number does not fit the peek: its size in bits is in the value's place
//   bits 16 to 31  the value, signed
struct HuffmanTable {
  static constexpr int kPeekBits = 11;
  uint32_t entries[1 << kPeekBits];
  uint8_t lengths[1 << kPeekBits];  // of the codes; 0: longer than the peek
  int32_t limit[17];   // codes of up to so many bits are below it, when shifted to 16 bits
  int32_t offset[17];  // from a code of so many bits to the place of its symbol
  const uint8_t* symbols;
  bool dc;
};

constexpr uint32_t kEndOfBlock = 64, kNotInPeek = 0x8000;

// False: such a table cannot be.
bool make_huffman_table(const HuffmanSpec& spec, bool dc, HuffmanTable* out);

// The entry of a code that is longer than the peek, always with kNotInPeek; 0: there is no such code.
uint32_t long_code(const HuffmanTable& table, uint64_t bits);

// As many codes as the next kPeekBits bits hold, with their numbers, of which the last may reach further.
struct SkipTable {
  static constexpr int kPeekBits = 12, kMostBits = 28;  // two look-ups fit the 56 bits of a refill
  static constexpr uint8_t kEnds = 128, kNone = 255;
  struct Entry {
    uint8_t bits;     // how many they take
    uint8_t advance;  // how many coefficients they go on, with kEnds where the block ends then; kNone: no whole code
  };
  Entry entries[1 << kPeekBits];
};

void make_skip_table(const HuffmanTable& table, SkipTable* out);

}  // namespace evqa
