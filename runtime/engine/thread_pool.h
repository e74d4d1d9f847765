// Workers of one handle. They sleep between tasks; within a task, between its phases, they spin for some microseconds.
//
// A task is done by the caller and by those workers that have woken up in time for it. On a machine that is busy with
// other things the system may not run a worker for milliseconds, longer than a whole task: the others do not wait for it.
#pragma once

#include <pthread.h>
#include <stdint.h>

#include <atomic>

namespace evqa {

constexpr int kMostThreads = 64;

struct ThreadPool {
  using Task = void (*)(void* context, int thread);

  // `threads` includes the caller. False when no thread could be made; then destroy need not be called.
  bool create(int threads);
  void destroy();

  // Runs task(context, 0 .. active - 1), 0 by the caller, and returns when all have.
  void run(Task task, void* context);

  // Within a task: waits until every active thread has come here.
  void barrier();

  int threads;
  int active;  // threads of the present task, constant while it runs

 private:
  static void* work(void* self);
  bool keep_workers_off_this_processor();  // false: there is no other for them

  pthread_mutex_t mutex;
  pthread_cond_t wake;
  pthread_t workers[kMostThreads];
  Task task;
  void* context;
  unsigned generation;  // of tasks, under mutex
  bool ending;
  int caller_processor;  // where the workers may not run; -1 at first
  bool alone;            // the caller may run nowhere else
  // Who takes part: generation * 256 + workers that have joined, + kClosed once no more may.
  static constexpr uint64_t kClosed = 128;
  alignas(64) std::atomic<uint64_t> gate;
  alignas(64) std::atomic<int> arrived;
  alignas(64) std::atomic<unsigned> phase;
};

}  // namespace evqa
