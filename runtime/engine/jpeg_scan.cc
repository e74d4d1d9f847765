#include "jpeg_scan.h"

namespace evqa {
namespace {

// The value of a number whose size in bits stands in the entry, and the entry itself where the peek did not find it.
inline uint32_t longer_number(const BitReader& reader, const HuffmanTable& table, uint32_t entry, int32_t* value) {
  if (!(entry & 0xFF)) entry = long_code(table, reader.bits);
  const int size = static_cast<int>(entry >> 16), total = static_cast<int>(entry & 0xFF);
  if (!size) return entry;
  const int32_t bits = static_cast<int32_t>(reader.bits << (total - size) >> (64 - size));
  *value = bits >> (size - 1) ? bits : bits - (1 << size) + 1;
  return entry;
}

// Reads the next code and number. Returns its entry; 0: there is no such code.
inline uint32_t next_number(BitReader& reader, const HuffmanTable& table, int32_t* value) {
  uint32_t entry = table.entries[reader.bits >> (64 - HuffmanTable::kPeekBits)];
  *value = static_cast<int32_t>(entry) >> 16;
  if (entry & kNotInPeek) entry = longer_number(reader, table, entry, value);
  reader.drop(static_cast<int>(entry & 0xFF));
  return entry;
}

// The block's first coefficient, quantisation undone. `wide` gathers what is too large.
inline int32_t first_coefficient(BitReader& reader, JpegPlane& plane, uint32_t* wide) {
  int32_t difference;
  reader.refill();
  if (!next_number(reader, *plane.dc, &difference)) *wide = kWideCoefficient;
  plane.last += difference;
  const uint32_t product = static_cast<uint32_t>(plane.last) * plane.quant[0];
  *wide |= magnitude(plane.last) | magnitude(static_cast<int32_t>(product));
  return static_cast<int32_t>(product);
}

// Reads over the other coefficients. False: they are damaged.
inline bool skip_coefficients(BitReader& reader, const JpegPlane& plane) {
  uint32_t k = 1;
  for (;;) {
    reader.refill();
    uint32_t after = 0;
    for (int i = 0; i < 2; ++i) {
      const SkipTable::Entry several = plane.skip->entries[reader.bits >> (64 - SkipTable::kPeekBits)];
      after = k + several.advance;
      if (after >= 64) {
        if (after != 64 && after - SkipTable::kEnds >= 64) break;
        reader.drop(several.bits);
        return true;
      }
      reader.drop(several.bits);
      k = after;
    }
    if (after < 64) continue;
    // One by one near the block's end, as what follows may be the next block's, and where codes are long.
    int32_t value;
    reader.refill();
    const uint32_t entry = next_number(reader, *plane.ac, &value), on = entry >> 8 & 0x7F;
    if (!entry) return false;
    if (on == kEndOfBlock) return true;
    k += on;
    if (k >= 64) return k == 64;
  }
}

// Gives the other coefficients that are not 0 to take(number in the file's order, value). Returns how far they went, 1:
// there are none; 0: they are damaged.
template <class Take>
inline uint32_t read_coefficients(BitReader& reader, const JpegPlane& plane, uint32_t* wide, Take take) {
  for (uint32_t k = 1;;) {
    reader.refill();
    for (int i = 0; i < 4; ++i) {
      uint32_t entry = plane.ac->entries[reader.bits >> (64 - HuffmanTable::kPeekBits)];
      int32_t value = static_cast<int32_t>(entry) >> 16;
      const bool longer = entry & kNotInPeek;
      if (longer) {
        reader.refill();
        entry = longer_number(reader, *plane.ac, entry, &value);
        if (!entry) return 0;
      }
      reader.drop(static_cast<int>(entry & 0xFF));
      k += entry >> 8 & 0x7F;
      if (k > 64) return (entry >> 8 & 0x7F) == kEndOfBlock ? k - kEndOfBlock : 0;
      value *= plane.quant[k - 1];
      *wide |= magnitude(value);
      take(k - 1, value);
      if (k == 64) return k;
      if (longer) break;
    }
  }
}

// Register by register: compilers make slow instructions of a plain assignment.
inline void clear(int16_t* block) {
  typedef int16_t Eight __attribute__((vector_size(16), may_alias));
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) reinterpret_cast<Eight*>(block)[i] = Eight{};
}

// A block of the first coefficient alone. False: its samples are wide.
inline bool fill_block(int32_t first, int size, uint8_t* out, ptrdiff_t stride) {
  uint8_t sample;
  if (idct_1(first, &sample)) return false;
  for (int y = 0; y < size; ++y) memset(out + y * stride, sample, static_cast<size_t>(size));
  return true;
}

inline bool read_block_1(BitReader& reader, JpegPlane& plane, uint8_t* out) {
  uint32_t wide = 0;
  const int32_t first = first_coefficient(reader, plane, &wide);
  return skip_coefficients(reader, plane) && !((wide & kWideCoefficient) | idct_1(first, out));
}

inline bool read_block_2(BitReader& reader, JpegPlane& plane, uint8_t* out) {
  uint32_t wide = 0;
  const int32_t first = first_coefficient(reader, plane, &wide);
  Sums2 sums = {};
  sums.add(0, first);
  const auto take = [&](uint32_t k, int32_t value) { sums.add(k, value); };
  const uint32_t reached = read_coefficients(reader, plane, &wide, take);
  if (!reached || (wide & kWideCoefficient)) return false;
  return reached == 1 ? fill_block(first, 2, out, plane.stride) : !sums.finish(out, plane.stride);
}

inline bool read_larger_block(BitReader& reader, JpegPlane& plane, uint8_t* out) {
  uint32_t wide = 0;
  const int32_t first = first_coefficient(reader, plane, &wide);
  alignas(16) int16_t block[64];
  clear(block);
  block[0] = static_cast<int16_t>(first);
  const auto take = [&](uint32_t k, int32_t value) { block[kZigzag[k]] = static_cast<int16_t>(value); };
  const uint32_t reached = read_coefficients(reader, plane, &wide, take);
  if (!reached || (wide & kWideCoefficient)) return false;
  if (reached == 1) return fill_block(first, plane.size, out, plane.stride);
  return !(plane.size == 4 ? idct_4 : idct_8)(block, out, plane.stride);
}

// One block to its samples. False: it is damaged, or nothing that every library decodes alike.
inline bool read_block(BitReader& reader, JpegPlane& plane, uint8_t* out) {
  if (plane.size == 1) return read_block_1(reader, plane, out);
  return plane.size == 2 ? read_block_2(reader, plane, out) : read_larger_block(reader, plane, out);
}

bool begin_interval(JpegScan* scan, BitReader& reader) {
  if (scan->restart == 0) return true;
  if (scan->until_restart == 0) {
    if (!reader.at_marker(0xD0 + scan->restarts++ % 8)) return false;
    reader.start(reader.source->next + 2);
    for (JpegPlane& plane : scan->planes) plane.last = 0;
    scan->until_restart = scan->restart;
  }
  --scan->until_restart;
  return true;
}

inline bool read_mcu(JpegScan* scan, BitReader& reader, int x) {
  for (int i = 0; i < scan->components; ++i) {
    JpegPlane& plane = scan->planes[i];
    const ptrdiff_t size = plane.size, down = size * plane.stride;
    uint8_t* row = plane.reached + x * plane.across * size;
    for (int b = 0; b < plane.down; ++b, row += down)
      for (int a = 0; a < plane.across; ++a)
        if (!read_block(reader, plane, row + a * size)) return false;
  }
  return true;
}

}  // namespace

const char* JpegScan::next_row() {
  static constexpr char kDamaged[] = "the JPEG is damaged";
  for (JpegPlane& plane : planes)
    if (plane.rows) plane.reached = plane.row(done * plane.down * plane.size);
  BitReader local = reader;
  for (int x = 0; x < mcus_across; ++x)
    if (!begin_interval(this, local) || !read_mcu(this, local, x)) return kDamaged;
  const bool ends = ++done != mcus_down || local.at_marker(0xD9);
  reader = local;
  return reader.overrun() || !ends ? kDamaged : nullptr;
}

}  // namespace evqa
