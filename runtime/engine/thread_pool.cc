#include "thread_pool.h"

#include <sched.h>

namespace evqa {
namespace {

constexpr int kSpins = 4000;  // some tens of microseconds; a phase seldom takes longer

inline void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
  asm volatile("yield");
#endif
}

}  // namespace

bool ThreadPool::create(int threads_) {
  threads = 1;
  generation = 0;
  ending = false;
  next_thread.store(1);
  arrived.store(0);
  phase.store(0);
  pthread_mutex_init(&mutex, nullptr);
  pthread_cond_init(&wake, nullptr);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 256 * 1024);
  bool made = true;
  for (int t = 1; t < threads_ && made; ++t) {
    made = !pthread_create(&workers[t], &attributes, work, this);
    threads += made;
  }
  pthread_attr_destroy(&attributes);
  if (!made) destroy();
  return made;
}

void ThreadPool::destroy() {
  pthread_mutex_lock(&mutex);
  ending = true;
  pthread_cond_broadcast(&wake);
  pthread_mutex_unlock(&mutex);
  for (int t = 1; t < threads; ++t) pthread_join(workers[t], nullptr);
  pthread_cond_destroy(&wake);
  pthread_mutex_destroy(&mutex);
}

void ThreadPool::run(Task task_, void* context_) {
  if (threads == 1) return task_(context_, 0);
  pthread_mutex_lock(&mutex);
  task = task_;
  context = context_;
  ++generation;
  pthread_cond_broadcast(&wake);
  pthread_mutex_unlock(&mutex);
  task_(context_, 0);
  barrier();
}

void ThreadPool::barrier() {
  if (threads == 1) return;
  const unsigned now = phase.load(std::memory_order_acquire);
  if (arrived.fetch_add(1, std::memory_order_acq_rel) == threads - 1) {
    arrived.store(0, std::memory_order_relaxed);
    phase.store(now + 1, std::memory_order_release);
    return;
  }
  for (int spins = 0; phase.load(std::memory_order_acquire) == now; ++spins)
    if (spins < kSpins)
      pause();
    else
      sched_yield();  // the machine is busy with something else
}

void* ThreadPool::work(void* self) {
  ThreadPool& pool = *(ThreadPool*)self;
  const int thread = pool.next_thread.fetch_add(1);
  unsigned done = 0;
  for (;;) {
    pthread_mutex_lock(&pool.mutex);
    while (pool.generation == done && !pool.ending) pthread_cond_wait(&pool.wake, &pool.mutex);
    const bool ending = pool.ending;
    done = pool.generation;
    const Task task = pool.task;
    void* context = pool.context;
    pthread_mutex_unlock(&pool.mutex);
    if (ending) return nullptr;
    task(context, thread);
    pool.barrier();
  }
}

}  // namespace evqa
