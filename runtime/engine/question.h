// From a question as people type it to word ids: edge_vqa/question.py in C++, with the same ids for every text.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "interface.h"

namespace evqa {

constexpr int kQuestionWords = 20;          // words that are read; later ones are dropped
constexpr int kQuestionCharacters = 10000;  // a longer question is an error
constexpr int kLongestWord = 62;            // characters of a word of the vocabulary

struct Text {
  const char* data;  // not ended by a zero
  size_t size;       // bytes
};

struct EncodedQuestion {
  int32_t ids[kQuestionWords];
  int32_t count;    // of ids, never 0
  int32_t unknown;  // how many ids stand for words that the vocabulary lacks
  bool understood;  // less than half of the words are unknown
};

// The words a model knows, accentless; the word at place i has the id i + 2. Zero-initialized it holds none.
// After build it is only read, so any number of threads may encode at once.
struct Vocabulary {
  Text* words;
  uint32_t* slots;  // places + 1 by hash, open addressing; 0 is free
  uint32_t count;
  uint32_t slot_mask;  // slots - 1, a power of two less 1

  // Copies the array but not the texts, which must stay. Refuses (EVQA_ERROR_MODEL) words that come twice, are too long
  // or are not ASCII. One malloc, given back by free.
  evqa_status build(const Text* words, uint32_t count);
  void free();

  int32_t find(const char* word, size_t size) const;  // its id, or -1
  // A zero byte within the text separates words. On failure (EVQA_ERROR_QUESTION, EVQA_ERROR_ARGUMENT) *out stays as
  // it was.
  evqa_status encode(const char* question, size_t size, EncodedQuestion* out) const;
};

}  // namespace evqa
