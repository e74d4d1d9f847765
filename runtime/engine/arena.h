// Memory that is taken piece by piece and given back all at once. Pieces are zero, at multiples of 64 bytes.
#pragma once

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

namespace evqa {

struct Arena {
  static constexpr size_t kAlign = 64, kBlock = 1 << 20;
  struct Block {
    Block* before;
    void* memory;
  };
  Block* blocks = nullptr;
  unsigned char* at = nullptr;
  size_t left = 0;
  bool failed = false;

  // Null, and `failed`, when there is no memory; then the arena stays failed.
  void* take(size_t size) {
    size = (size + kAlign - 1) / kAlign * kAlign;
    if (size > left && !grow(size)) return nullptr;
    void* piece = at;
    at += size;
    left -= size;
    return piece;
  }

  template <class T>
  T* array(size_t count) {
    return (T*)take(count * sizeof(T));
  }

  bool grow(size_t size) {
    const size_t bytes = (size > kBlock ? size : kBlock) + kAlign;
    Block* block = failed ? nullptr : (Block*)malloc(sizeof(Block));
    unsigned char* memory = block ? (unsigned char*)calloc(1, bytes) : nullptr;
    if (!memory) {
      free(block);
      failed = true;
      return false;
    }
    *block = {blocks, memory};
    blocks = block;
    const size_t skip = (kAlign - (size_t)memory % kAlign) % kAlign;
    at = memory + skip;
    left = bytes - skip;
    return true;
  }

  void release() {
    while (blocks) {
      Block* block = blocks;
      blocks = block->before;
      free(block->memory);
      free(block);
    }
    at = nullptr;
    left = 0;
  }
};

}  // namespace evqa
