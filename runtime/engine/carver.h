// Cuts one block of memory into pieces at multiples of 64 bytes. Without memory it only measures.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace evqa {

struct Carver {
  static constexpr size_t kAlign = 64;
  uint8_t* memory;  // at such a multiple, or null
  size_t used;

  template <class T>
  T* take(size_t count) {
    T* piece = memory ? reinterpret_cast<T*>(memory + used) : nullptr;
    used += (count * sizeof(T) + kAlign - 1) / kAlign * kAlign;
    return piece;
  }
};

}  // namespace evqa
