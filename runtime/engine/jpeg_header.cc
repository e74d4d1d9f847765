#include "jpeg_header.h"

#include <string.h>

namespace evqa {
namespace {

constexpr const char* kDamaged = "the JPEG is damaged";
constexpr const char* kUnusual = "the JPEG is of an unusual kind";
constexpr int kMostSize = 65500, kMostPixels = 50000000, kMostBlocks = 10;  // of an MCU

struct Segment {
  const uint8_t* bytes;
  size_t size;

  int at(size_t i) const { return bytes[i]; }
  int pair(size_t i) const { return bytes[i] << 8 | bytes[i + 1]; }
  bool begins(const char* text, size_t length) const { return size >= length && memcmp(bytes, text, length) == 0; }
  bool contains(const char* text, size_t length) const {
    for (size_t i = 0; i + length <= size; ++i)
      if (memcmp(bytes + i, text, length) == 0) return true;
    return false;
  }
};

// The length of a string literal, zeros inside it included.
template <size_t bytes>
constexpr size_t length_of(const char (&)[bytes]) {
  return bytes - 1;
}
#define EVQA_BEGINS(segment, text) (segment).begins(text, length_of(text))

struct Reader {
  JpegHeader* header;
  bool jfif, adobe, exif;
  bool turned_by_xmp;  // an XMP packet speaks of an orientation
  bool plain_adobe;    // Adobe's marker says Y Cb Cr

  const char* application(int number, const Segment& s);
  const char* quantization(const Segment& s);
  const char* huffman(const Segment& s);
  const char* frame(const Segment& s);
  const char* scan(const Segment& s) const;
  const char* colours() const;
  const char* segment(int marker, const Segment& s);
};

const char* Reader::application(int number, const Segment& s) {
  if (number == 0 && EVQA_BEGINS(s, "JFIF")) {
    if (s.size < 14 || s.at(4) != 0) return kUnusual;
    jfif = true;
  }
  // Some readers are content with one NUL.
  if (number == 1 && EVQA_BEGINS(s, "Exif\0") && !EVQA_BEGINS(s, "Exif\0\0")) return kUnusual;
  if (number == 1 && EVQA_BEGINS(s, "Exif\0\0")) {
    if (exif) return kUnusual;
    exif = true;
    header->orientation = exif_orientation(s.bytes + 6, s.size - 6);
    if (header->orientation < 0) return "the picture's EXIF data are damaged or unusual";
  }
  if (number == 1 && EVQA_BEGINS(s, "http://ns.adobe.com/xap/1.0/\0")) {
    static constexpr char kTag[] = "tiff:Orientation";
    turned_by_xmp |= s.contains(kTag, length_of(kTag));
  }
  if (number == 2 && EVQA_BEGINS(s, "MPF\0") && !mpf_is_sound(s.bytes + 4, s.size - 4)) return kUnusual;
  if (number == 2 && EVQA_BEGINS(s, "ICC_PROFILE\0") && s.size < 14) return kUnusual;
  if (number == 13 && EVQA_BEGINS(s, "Photoshop 3.0\0") && memcmp(s.bytes + s.size - 6, "8BIM", 4) == 0)
    return kUnusual;
  if (number == 14 && EVQA_BEGINS(s, "Adobe")) {
    if (s.size < 12) return kUnusual;
    plain_adobe = (!adobe || plain_adobe) && s.at(11) == 1;
    adobe = true;
  }
  return nullptr;
}

const char* Reader::quantization(const Segment& s) {
  for (size_t at = 0; at < s.size;) {
    const int precision = s.at(at) >> 4, table = s.at(at) & 15;
    const size_t width = precision ? 2 : 1;
    if (precision > 1 || table > 3 || s.size - at < 1 + 64 * width) return kDamaged;
    ++at;
    for (size_t i = 0; i < 64; ++i) {
      const int value = precision ? s.pair(at + 2 * i) : s.at(at + i);
      header->quant[table][i] = static_cast<uint16_t>(value);
    }
    header->has_quant[table] = true;
    at += 64 * width;
  }
  return nullptr;
}

const char* Reader::huffman(const Segment& s) {
  for (size_t at = 0; at < s.size;) {
    if (s.size - at < 17) return kDamaged;
    const int kind = s.at(at) >> 4, table = s.at(at) & 15;
    if (kind > 1 || table > 3) return kDamaged;
    const HuffmanSpec spec = {s.bytes + at + 1, s.bytes + at + 17};
    size_t symbols = 0;
    for (int i = 0; i < 16; ++i) symbols += spec.counts[i];
    if (symbols > 256 || s.size - at - 17 < symbols) return kDamaged;
    (kind ? header->ac : header->dc)[table] = spec;
    at += 17 + symbols;
  }
  return nullptr;
}

const char* Reader::frame(const Segment& s) {
  if (header->components) return kDamaged;
  if (s.size < 6) return kDamaged;
  const int count = s.at(5);
  header->height = s.pair(1);
  header->width = s.pair(3);
  if (s.at(0) != 8) return "the JPEG has not 8 bits a sample";
  if (count != 1 && count != 3) return "the JPEG is neither grey nor of three colours";
  if (s.size != 6 + 3 * static_cast<size_t>(count)) return kDamaged;
  if (header->width < 1 || header->height < 1) return kDamaged;
  if (header->width > kMostSize || header->height > kMostSize || header->width > kMostPixels / header->height)
    return "the JPEG has more than 50 megapixels";
  header->components = count;
  int blocks = 0;
  for (int i = 0; i < count; ++i) {
    const size_t at = 6 + 3 * static_cast<size_t>(i);
    JpegComponent& c = header->component[i];
    c = {s.at(at), s.at(at + 1) >> 4, s.at(at + 1) & 15, s.at(at + 2), 0, 0};
    if (c.across < 1 || c.across > 2 || c.down < 1 || c.down > 2) return kUnusual;
    if (c.quant > 3) return kDamaged;
    for (int j = 0; j < i; ++j)
      if (header->component[j].id == c.id) return kUnusual;
    blocks += c.across * c.down;
    header->across = c.across > header->across ? c.across : header->across;
    header->down = c.down > header->down ? c.down : header->down;
  }
  if (blocks > kMostBlocks) return kUnusual;
  // The blocks of a component that is alone come row by row, whatever its factors.
  if (count == 1) header->across = header->down = header->component[0].across = header->component[0].down = 1;
  return nullptr;
}

const char* Reader::scan(const Segment& s) const {
  const size_t count = static_cast<size_t>(header->components);
  if (count == 0 || s.size < 1 || s.size != 4 + 2 * static_cast<size_t>(s.at(0))) return kDamaged;
  if (s.at(0) != header->components) return "the JPEG's colours are in scans of their own";
  for (size_t i = 0; i < count; ++i) {
    JpegComponent& c = header->component[i];
    if (s.at(1 + 2 * i) != c.id) return kUnusual;
    c.dc = s.at(2 + 2 * i) >> 4;
    c.ac = s.at(2 + 2 * i) & 15;
    if (c.dc > 3 || c.ac > 3 || !header->dc[c.dc].counts || !header->ac[c.ac].counts || !header->has_quant[c.quant])
      return kDamaged;
  }
  const size_t at = 1 + 2 * count;
  return s.at(at) == 0 && s.at(at + 1) == 63 && s.at(at + 2) == 0 ? nullptr : kUnusual;
}

// Three colours must be Y Cb Cr: JFIF and Adobe's marker say so, else the components' numbers.
const char* Reader::colours() const {
  if (header->components == 1) return nullptr;
  if (adobe ? plain_adobe : jfif) return nullptr;
  const int first = header->component[0].id;
  const bool counted = header->component[1].id == first + 1 && header->component[2].id == first + 2;
  return !adobe && counted && first <= 1 ? nullptr : "the JPEG's colours may not be Y Cb Cr";
}

const char* Reader::segment(int marker, const Segment& s) {
  switch (marker) {
    case 0xC0:
    case 0xC1:
      return frame(s);
    case 0xC4:
      return huffman(s);
    case 0xDA:
      return scan(s);
    case 0xDB:
      return quantization(s);
    case 0xDD:
      if (s.size != 2) return kDamaged;
      header->restart = s.pair(0);
      return nullptr;
    case 0xFE:
      return nullptr;
    default:
      if (marker >= 0xE0 && marker <= 0xEF) return application(marker - 0xE0, s);
      return marker == 0xC2 ? "the JPEG is progressive" : kUnusual;
  }
}

}  // namespace

const char* read_jpeg_header(const uint8_t* bytes, size_t size, JpegHeader* out) {
  memset(out, 0, sizeof *out);
  if (size < 4 || bytes[0] != 0xFF || bytes[1] != 0xD8) return "the picture is no JPEG";
  Reader reader = {};
  reader.header = out;
  for (size_t at = 2;;) {
    if (size - at < 4 || bytes[at] != 0xFF) return kDamaged;
    const int marker = bytes[at + 1];
    const size_t length = static_cast<size_t>(bytes[at + 2] << 8 | bytes[at + 3]);
    if (length < 2 || length > size - at - 2) return kDamaged;
    if (const char* wrong = reader.segment(marker, {bytes + at + 4, length - 2})) return wrong;
    at += 2 + length;
    if (marker != 0xDA) continue;
    out->scan = bytes + at;
    out->end = bytes + size;
    break;
  }
  if (out->orientation == 0) {
    if (reader.turned_by_xmp) return "the picture is turned by an XMP packet";
    out->orientation = 1;
  }
  return reader.colours();
}

}  // namespace evqa
