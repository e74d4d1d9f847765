// For test_error.py: prints what is left of argv[1] as an error text, twice: set as it is, and through last_error().
// Checks that another thread has a text of its own, and none at first.
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "../../runtime/engine/error.h"

static void* other_thread(void*) {
  const bool none = evqa::last_error()[0] == '\0';
  evqa::set_error("the other thread's");
  return none ? nullptr : const_cast<char*>("there was a text");
}

int main(int argc, char** argv) {
  if (argc != 2 || evqa::last_error()[0] != '\0') return 2;
  evqa::set_error("%s", argv[1]);
  puts(evqa::last_error());
  pthread_t thread;
  void* failed;
  if (pthread_create(&thread, nullptr, other_thread, nullptr) || pthread_join(thread, &failed) || failed) return 3;
  evqa::set_error("%s", evqa::last_error());
  puts(evqa::last_error());
  evqa::clear_error();
  return evqa::last_error()[0] == '\0' && strlen(evqa::last_error()) < evqa::kErrorBytes ? 0 : 4;
}
