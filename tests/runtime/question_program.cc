// For test_question_engine.py. Words of the vocabulary, a line each, are in the file argv[1]; standard input holds
// questions in hexadecimal, a line each. Prints "understood unknown id id ..." or "error status text" for each.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../runtime/engine/error.h"
#include "../../runtime/engine/question.h"

static char file[1 << 20], line[1 << 18], question[1 << 17];
static evqa::Text words[1 << 14];

static unsigned hex(char c) { return static_cast<unsigned>(c <= '9' ? c - '0' : c - 'a' + 10); }

int main(int argc, char** argv) {
  FILE* stream = argc == 2 ? fopen(argv[1], "rb") : nullptr;
  if (!stream) return 2;
  const size_t bytes = fread(file, 1, sizeof file, stream);
  fclose(stream);
  uint32_t count = 0;
  for (char *p = file, *end; (end = static_cast<char*>(memchr(p, '\n', bytes - static_cast<size_t>(p - file))));
       p = end + 1) {
    words[count++] = {p, static_cast<size_t>(end - p)};
  }
  evqa::Vocabulary vocabulary;
  if (const evqa_status status = vocabulary.build(words, count)) {
    printf("error %d %s\n", status, evqa::last_error());
    return 0;
  }
  while (fgets(line, sizeof line, stdin)) {
    const size_t size = strcspn(line, "\n") / 2;
    for (size_t i = 0; i < size; ++i) question[i] = static_cast<char>(hex(line[2 * i]) << 4 | hex(line[2 * i + 1]));
    // A block of its own size, so that a sanitizer sees reads beyond the text.
    char* text = static_cast<char*>(malloc(size ? size : 1));
    memcpy(text, question, size);
    evqa::EncodedQuestion encoded;
    if (const evqa_status status = vocabulary.encode(text, size, &encoded)) {
      printf("error %d %s\n", status, evqa::last_error());
    } else {
      printf("%d %d", encoded.understood ? 1 : 0, encoded.unknown);
      for (int i = 0; i < encoded.count; ++i) printf(" %d", encoded.ids[i]);
      puts("");
    }
    free(text);
  }
  vocabulary.free();
  return 0;
}
