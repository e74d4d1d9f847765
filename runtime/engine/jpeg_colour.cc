#include "jpeg_colour.h"

namespace evqa {
namespace {

// ITU-R BT.601 at full range, in 16-bit fractions: 1.402, 0.34414, 0.71414 and 1.772, of which whole parts are taken
// off so that the rest has 16 bits, which every processor multiplies quickly.
constexpr int kFraction = 16;
constexpr int32_t kHalf = 1 << (kFraction - 1);
constexpr int16_t kRedOfCr = 91881 - 65536, kBlueOfCb = 116130 - 2 * 65536;
constexpr int16_t kGreenOfCb = -22554, kGreenOfCr = 65536 - 46802;

// In 16 bits, of which a register holds twice as many, and which SSE2 can clamp.
inline uint16_t clamp(int32_t x) {
  const int16_t value = static_cast<int16_t>(x), low = value < 0 ? int16_t{0} : value;
  return static_cast<uint16_t>(low > 255 ? int16_t{255} : low);
}

}  // namespace

void repeat_samples(const uint8_t* in, int count, uint8_t* out) {
  for (int i = 0; i < count; ++i) out[2 * i] = out[2 * i + 1] = in[i];
}

void widen_samples(const uint8_t* in, int count, uint8_t* out) {
  const int last = count - 1;
  out[0] = in[0];
  for (int i = 0; i < last; ++i) {
    out[2 * i + 1] = static_cast<uint8_t>((3 * in[i] + in[i + 1] + 2) >> 2);
    out[2 * i + 2] = static_cast<uint8_t>((3 * in[i + 1] + in[i] + 1) >> 2);
  }
  out[2 * last + 1] = in[last];
}

void mix_rows(const uint8_t* near, const uint8_t* far, int lower, int count, uint8_t* out) {
  const int bias = 1 + lower;
  for (int i = 0; i < count; ++i) out[i] = static_cast<uint8_t>((3 * near[i] + far[i] + bias) >> 2);
}

void mix_and_widen(const uint8_t* near, const uint8_t* far, int count, int16_t* sums, uint8_t* out) {
  const int last = count - 1;
  for (int i = 0; i < count; ++i) sums[i] = static_cast<int16_t>(3 * near[i] + far[i]);
  out[0] = static_cast<uint8_t>((4 * sums[0] + 8) >> 4);
  for (int i = 0; i < last; ++i) {
    out[2 * i + 1] = static_cast<uint8_t>((3 * sums[i] + sums[i + 1] + 7) >> 4);
    out[2 * i + 2] = static_cast<uint8_t>((3 * sums[i + 1] + sums[i] + 8) >> 4);
  }
  out[2 * last + 1] = static_cast<uint8_t>((4 * sums[last] + 7) >> 4);
}

void ycc_to_rgb(const uint8_t* y, const uint8_t* cb, const uint8_t* cr, int count, uint32_t* out) {
  for (int i = 0; i < count; ++i) {
    const int16_t u = static_cast<int16_t>(cb[i] - 128), v = static_cast<int16_t>(cr[i] - 128);
    const uint16_t red = clamp(y[i] + v + ((kRedOfCr * v + kHalf) >> kFraction));
    const uint16_t green = clamp(y[i] - v + ((kGreenOfCb * u + kGreenOfCr * v + kHalf) >> kFraction));
    const uint16_t blue = clamp(y[i] + 2 * u + ((kBlueOfCb * u + kHalf) >> kFraction));
    const uint16_t two = static_cast<uint16_t>(red | green << 8);
    out[i] = two | static_cast<uint32_t>(blue) << 16;
  }
}

void grey_to_rgb(const uint8_t* grey, int count, uint32_t* out) {
  for (int i = 0; i < count; ++i) out[i] = grey[i] * 0x010101u;
}

}  // namespace evqa
