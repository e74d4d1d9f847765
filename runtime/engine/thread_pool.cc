#include "thread_pool.h"

#include <sched.h>
#include <time.h>

namespace evqa {
namespace {

constexpr int kSpins = 4000;  // turns of waiting before the processor is offered to others
constexpr int64_t kPatience = 200000;  // nanoseconds: what waiting in vain for a worker may cost a picture

int64_t nanoseconds() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

inline void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
  asm volatile("yield");
#endif
}

// One turn of waiting. After many the other side is probably not running at all: leave it the processor.
inline void wait_a_little(int turn, int patient) {
  if (turn < patient)
    pause();
  else
    sched_yield();
}

}  // namespace

bool ThreadPool::create(int threads_) {
  threads = 1;
  generation = 0;
  ending = false;
  active = 1;
  gate.store(kClosed);
  caller_processor = -1;
  alone = false;
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

// The system likes to wake a worker on the processor of whoever wakes it, where it would wait for the caller that waits
// for it; it moves it elsewhere only milliseconds later.
bool ThreadPool::keep_workers_off_this_processor() {
#if defined(__linux__) && defined(CPU_SET)
  const int here = sched_getcpu();
  cpu_set_t allowed;
  if (here < 0 || here >= CPU_SETSIZE || here == caller_processor || sched_getaffinity(0, sizeof allowed, &allowed) ||
      !CPU_ISSET(here, &allowed))
    return !alone;
  caller_processor = here;
  alone = CPU_COUNT(&allowed) == 1;
  CPU_CLR(here, &allowed);
  for (int t = 1; t < threads && !alone; ++t) pthread_setaffinity_np(workers[t], sizeof allowed, &allowed);
#endif
  return !alone;
}

void ThreadPool::run(Task task_, void* context_) {
  active = 1;
  if (threads == 1 || !keep_workers_off_this_processor()) return task_(context_, 0);
  pthread_mutex_lock(&mutex);
  task = task_;
  context = context_;
  ++generation;
  gate.store((uint64_t)generation * 256, std::memory_order_relaxed);
  pthread_cond_broadcast(&wake);
  pthread_mutex_unlock(&mutex);
  const uint64_t all = (uint64_t)generation * 256 + (uint64_t)(threads - 1);
  const int64_t began = nanoseconds();
  for (int spins = 1; gate.load(std::memory_order_relaxed) != all; ++spins) {
    pause();
    if (spins % 64 == 0 && nanoseconds() - began > kPatience) break;
  }
  // Written before the gate closes; workers read it after.
  for (uint64_t joined = gate.load(std::memory_order_relaxed);;) {
    active = 1 + (int)(joined % kClosed);
    if (gate.compare_exchange_weak(joined, joined + kClosed, std::memory_order_acq_rel)) break;
  }
  task_(context_, 0);
  barrier();
}

void ThreadPool::barrier() {
  const int all = active;  // read before this thread is counted: after that the task may end and another begin
  if (all == 1) return;
  const unsigned now = phase.load(std::memory_order_acquire);
  if (arrived.fetch_add(1, std::memory_order_acq_rel) == all - 1) {
    arrived.store(0, std::memory_order_relaxed);
    phase.store(now + 1, std::memory_order_release);
    return;
  }
  for (int turn = 0; phase.load(std::memory_order_acquire) == now; ++turn) wait_a_little(turn, kSpins);
}

void* ThreadPool::work(void* self) {
  ThreadPool& pool = *(ThreadPool*)self;
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
    // Joins the task it has read, unless that has gone on without it.
    const uint64_t now = (uint64_t)done * 256;
    uint64_t joined = pool.gate.load(std::memory_order_relaxed);
    do {
      if (joined - now >= kClosed) break;
    } while (!pool.gate.compare_exchange_weak(joined, joined + 1, std::memory_order_acq_rel));
    if (joined - now >= kClosed) continue;
    const int thread = (int)(joined - now) + 1;
    for (int turn = 0; !(pool.gate.load(std::memory_order_acquire) & kClosed); ++turn) wait_a_little(turn, kSpins / 16);
    task(context, thread);
    pool.barrier();
  }
}

}  // namespace evqa
