#include "jpeg_rows.h"

#include "jpeg_colour.h"

namespace evqa {

struct JpegRows::Tables {
  HuffmanTable dc[4], ac[4];
  SkipTable skip[4];
  JpegBytes bytes;
};

namespace {

int divided_up(int a, int b) { return (a + b - 1) / b; }

}  // namespace

void JpegRows::lay_out(const JpegHeader& header, int scale, Carver* carver) {
  width = divided_up(header.width, scale);
  height = divided_up(header.height, scale);
  scan = {};
  scan.components = header.components;
  scan.mcus_across = divided_up(header.width, 8 * header.across);
  scan.mcus_down = divided_up(header.height, 8 * header.down);
  for (int i = 0; i < header.components; ++i) lay_out_plane(header, 8 / scale, i, carver);
  sums_ = carver->take<int16_t>(static_cast<size_t>(width) + 1);
  tables_ = carver->take<Tables>(1);
}

// size: of a block of a component that is sampled most.
void JpegRows::lay_out_plane(const JpegHeader& header, int size, int i, Carver* carver) {
  const JpegComponent& c = header.component[i];
  const int across = header.across * size, down = header.down * size;  // the picture's pixels of an MCU
  JpegPlane& plane = scan.planes[i];
  plane.across = c.across;
  plane.down = c.down;
  // A component that is sampled less is decoded at twice the size where that spares spreading it both ways.
  plane.size = size;
  while (plane.size < 8 && across % (c.across * plane.size * 2) == 0 && down % (c.down * plane.size * 2) == 0)
    plane.size *= 2;
  plane.width = divided_up(header.width * c.across * plane.size, header.across * 8);
  plane.height = divided_up(header.height * c.down * plane.size, header.down * 8);
  plane.stride = static_cast<ptrdiff_t>(scan.mcus_across) * c.across * plane.size;
  plane.rows = 2 * c.down * plane.size;
  plane.samples = carver->take<uint8_t>(static_cast<size_t>(plane.stride) * static_cast<size_t>(plane.rows));
  const bool narrow = across > c.across * plane.size, between = size > 1;
  halved_[i] = down > c.down * plane.size;
  spread_[i] = Spread::kNone;
  if (narrow) {
    spread_[i] = !between || plane.width <= 2 ? Spread::kRepeat : halved_[i] ? Spread::kMixAndWiden : Spread::kWiden;
  } else if (halved_[i] && between) {
    spread_[i] = Spread::kMixRows;
  }
  spread_rows_[i] = carver->take<uint8_t>(spread_[i] == Spread::kNone ? 0 : 2 * static_cast<size_t>(plane.width));
}

bool JpegRows::start(const JpegHeader& header) {
  bool made[2][4] = {};
  for (int i = 0; i < header.components; ++i) {
    const JpegComponent& c = header.component[i];
    JpegPlane& plane = scan.planes[i];
    plane.quant = header.quant[c.quant];
    plane.dc = &tables_->dc[c.dc];
    plane.ac = &tables_->ac[c.ac];
    if (!made[0][c.dc] && !make_huffman_table(header.dc[c.dc], true, &tables_->dc[c.dc])) return false;
    if (!made[1][c.ac] && !make_huffman_table(header.ac[c.ac], false, &tables_->ac[c.ac])) return false;
    made[0][c.dc] = made[1][c.ac] = true;
    if (plane.size > 1) continue;
    for (int j = 0; j < i; ++j)
      if (scan.planes[j].skip && header.component[j].ac == c.ac) plane.skip = scan.planes[j].skip;
    if (plane.skip) continue;
    make_skip_table(*plane.ac, &tables_->skip[c.ac]);
    plane.skip = &tables_->skip[c.ac];
  }
  scan.restart = scan.until_restart = header.restart;
  scan.reader.source = &tables_->bytes;
  scan.reader.source->end = header.end;
  scan.reader.start(header.scan);
  return true;
}

// Row y of a component at the picture's size.
const uint8_t* JpegRows::component(int i, int y) {
  const JpegPlane& plane = scan.planes[i];
  const int nearest = halved_[i] ? y / 2 : y, lower = y % 2;
  const uint8_t* near = plane.row(nearest);
  const int beside = nearest + (lower ? 1 : -1);
  const uint8_t* far = plane.row(beside < 0 ? 0 : beside >= plane.height ? plane.height - 1 : beside);
  uint8_t* out = spread_rows_[i];
  switch (spread_[i]) {
    case Spread::kNone:
      return near;
    case Spread::kRepeat:
      repeat_samples(near, plane.width, out);
      break;
    case Spread::kWiden:
      widen_samples(near, plane.width, out);
      break;
    case Spread::kMixRows:
      mix_rows(near, far, lower, plane.width, out);
      break;
    case Spread::kMixAndWiden:
      mix_and_widen(near, far, plane.width, sums_, out);
      break;
  }
  return out;
}

const char* JpegRows::read(int y, uint32_t* out) {
  for (int i = 0; i < scan.components; ++i) {
    const JpegPlane& plane = scan.planes[i];
    const bool mixes = spread_[i] == Spread::kMixRows || spread_[i] == Spread::kMixAndWiden;
    const int lowest = mixes ? y / 2 + y % 2 : halved_[i] ? y / 2 : y;
    while (scan.done < scan.mcus_down && scan.done * plane.down * plane.size <= lowest)
      if (const char* wrong = scan.next_row()) return wrong;
  }
  if (scan.components == 1) {
    grey_to_rgb(component(0, y), width, out);
  } else {
    ycc_to_rgb(component(0, y), component(1, y), component(2, y), width, out);
  }
  return nullptr;
}

}  // namespace evqa
