#include "jpeg_huffman.h"

namespace evqa {
namespace {

// A number of `size` bits stands for 2^(size-1) and up, or, with a leading 0, for -(2^size) + 1 and up.
int32_t number_of(uint32_t bits, int size) {
  const int32_t value = static_cast<int32_t>(bits);
  return size && !(bits >> (size - 1)) ? value - (1 << size) + 1 : value;
}

uint32_t advance_of(int symbol, bool dc) {
  const uint32_t run = static_cast<uint32_t>(symbol) >> 4;
  if (dc) return 1;
  return (symbol & 15) || run == 15 ? run + 1 : kEndOfBlock;
}

// The entry of a code of `length` bits, whose size in bits is in the value's place.
uint32_t entry_of(int symbol, int length, bool dc) {
  const uint32_t size = static_cast<uint32_t>(symbol) & 15;
  return size << 16 | kNotInPeek | advance_of(symbol, dc) << 8 | (static_cast<uint32_t>(length) + size);
}

// Fills the entries of all peeks that begin with the code.
void fill(HuffmanTable* table, uint32_t code, int length, int symbol) {
  const int rest = HuffmanTable::kPeekBits - length, size = symbol & 15;
  const uint32_t entry = entry_of(symbol, length, table->dc);
  uint32_t* const entries = table->entries + (code << rest);
  memset(table->lengths + (code << rest), length, size_t{1} << rest);
  for (uint32_t i = 0; i < 1u << rest; ++i) {
    if (size > rest) {
      entries[i] = entry;
    } else {
      const uint32_t value = static_cast<uint32_t>(number_of(i >> (rest - size), size));
      entries[i] = value << 16 | (entry & 0x7FFF);
    }
  }
}

}  // namespace

bool make_huffman_table(const HuffmanSpec& spec, bool dc, HuffmanTable* out) {
  for (uint32_t& entry : out->entries) entry = kNotInPeek;
  memset(out->lengths, 0, sizeof out->lengths);
  out->symbols = spec.symbols;
  out->dc = dc;
  int32_t code = 0, index = 0;
  for (int length = 1; length <= 16; ++length, code <<= 1) {
    out->offset[length] = index - code;
    for (int i = 0; i < spec.counts[length - 1]; ++i, ++code, ++index) {
      if (code >= (1 << length) - 1) return false;  // no code is all ones
      const int symbol = spec.symbols[index];
      if (dc && symbol > 11) return false;
      if (length <= HuffmanTable::kPeekBits) fill(out, static_cast<uint32_t>(code), length, symbol);
    }
    out->limit[length] = code << (16 - length);
  }
  return true;
}

uint32_t long_code(const HuffmanTable& table, uint64_t bits) {
  const int32_t next = static_cast<int32_t>(bits >> 48);
  for (int length = HuffmanTable::kPeekBits + 1; length <= 16; ++length)
    if (next < table.limit[length])
      return entry_of(table.symbols[table.offset[length] + (next >> (16 - length))], length, table.dc);
  return 0;
}

void make_skip_table(const HuffmanTable& table, SkipTable* out) {
  constexpr int kExtra = SkipTable::kPeekBits - HuffmanTable::kPeekBits;
  constexpr uint32_t kMask = (1u << SkipTable::kPeekBits) - 1;
  for (uint32_t peek = 0; peek <= kMask; ++peek) {
    uint32_t next = peek, used = 0, advance = 0;
    while (advance < SkipTable::kEnds && used < SkipTable::kPeekBits) {
      const uint32_t entry = table.entries[next >> kExtra], length = table.lengths[next >> kExtra];
      const uint32_t bits = entry & 0xFF, on = entry >> 8 & 0x7F;
      if (length == 0 || used + length > SkipTable::kPeekBits || used + bits > SkipTable::kMostBits) break;
      if (on != kEndOfBlock && advance + on > 63) break;
      used += bits;
      next = next << bits & kMask;
      advance += on == kEndOfBlock ? SkipTable::kEnds : on;
    }
    out->entries[peek] = {static_cast<uint8_t>(used), static_cast<uint8_t>(used ? advance : SkipTable::kNone)};
  }
}

}  // namespace evqa
