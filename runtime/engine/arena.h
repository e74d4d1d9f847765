// Memory that is taken piece by piece and given back all at once. Pieces are zero, at multiples of 64 bytes. It comes in
// blocks that the system may back with large pages, which spares it page faults and look-ups.
#pragma once

#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>

#ifndef MAP_ANONYMOUS
#define MAP_ANONYMOUS MAP_ANON
#endif

namespace evqa {

struct Arena {
  static constexpr size_t kAlign = 64, kBlock = 2 << 20;  // a large page on x86-64 and, with pages of 4 KB, on aarch64
  struct Block {
    Block* before;
    void* memory;
    size_t size;
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
    const size_t wanted = (size + kBlock - 1) / kBlock * kBlock, mapped = wanted + kBlock;
    Block* block = failed ? nullptr : (Block*)malloc(sizeof(Block));
    void* memory = block ? mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) : MAP_FAILED;
    if (memory == MAP_FAILED) {
      free(block);
      failed = true;
      return false;
    }
    *block = {blocks, memory, mapped};
    blocks = block;
    at = (unsigned char*)(((size_t)memory + kBlock - 1) / kBlock * kBlock);
    left = wanted;
#ifdef MADV_HUGEPAGE
    madvise(at, wanted, MADV_HUGEPAGE);
#endif
    return true;
  }

  void release() {
    while (blocks) {
      Block* block = blocks;
      blocks = block->before;
      munmap(block->memory, block->size);
      free(block);
    }
    at = nullptr;
    left = 0;
  }
};

}  // namespace evqa
