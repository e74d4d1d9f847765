// Workers of one handle. They sleep between tasks; within a task, between its phases, they spin for some microseconds.
#pragma once

#include <pthread.h>

#include <atomic>

namespace evqa {

constexpr int kMostThreads = 64;

struct ThreadPool {
  using Task = void (*)(void* context, int thread);

  // `threads` includes the caller. False when no thread could be made; then destroy need not be called.
  bool create(int threads);
  void destroy();

  // Runs task(context, 0 .. threads - 1), 0 by the caller, and returns when all have.
  void run(Task task, void* context);

  // Within a task: waits until every thread has come here.
  void barrier();

  int threads;

 private:
  static void* work(void* self);

  pthread_mutex_t mutex;
  pthread_cond_t wake;
  pthread_t workers[kMostThreads];
  Task task;
  void* context;
  unsigned generation;  // of tasks, under mutex
  bool ending;
  std::atomic<int> next_thread;
  alignas(64) std::atomic<int> arrived;
  alignas(64) std::atomic<unsigned> phase;
};

}  // namespace evqa
