/* A qemu plugin: how often every translated block runs, between markers of the emulated program.

     cc -O2 -shared -fPIC count.c -o count.so
     qemu-aarch64 -plugin count.so,out=FILE[,syscall=N] ...

   The program closes a region with the system call 0x4242, whose first argument is the region's name, a number; with
   syscall=N every call of N closes one too, named after what N is. What ran since the region before belongs to it. FILE
   gets lines of text:

     block ADDRESS WORD WORD ...        numbers in hexadecimal; blocks count from 0 in the order of these lines
     region NUMBER BLOCK:TIMES ...      in decimal; the last one, until the program's end, is named -1
     map LINE                           of /proc/self/maps at the end. It is qemu's, in which the program's files lie
                                        at the addresses that they have for the program, qemu's own beside them

   For programs of one thread: the counters are not atomic. The declarations are those of qemu's plugin interface 1
   (qemu 7.2, Debian 12's), so that no header of qemu is needed. */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
#define MARKER 0x4242

typedef uint64_t plugin_id;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef struct {
  const char* target_name; /* what follows it is not needed here */
} plugin_info;
typedef void (*translated)(plugin_id, struct qemu_plugin_tb*);
typedef void (*called)(plugin_id, unsigned, int64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                       uint64_t);
typedef void (*ended)(plugin_id, void*);

void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, translated);
void qemu_plugin_register_vcpu_syscall_cb(plugin_id, called);
void qemu_plugin_register_atexit_cb(plugin_id, ended, void*);
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb*, int operation, void* counter, uint64_t step);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb*);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb*);
struct qemu_plugin_insn* qemu_plugin_tb_get_insn(const struct qemu_plugin_tb*, size_t);
const void* qemu_plugin_insn_data(const struct qemu_plugin_insn*);

EXPORT int qemu_plugin_version = 1;

enum { ADD = 0 }; /* the interface's only inline operation */

typedef struct {
  uint64_t times, before; /* so far; when the last region was closed */
} counter;

static counter** counters;
static size_t blocks, room;
static FILE *out, *regions;
static char* regions_text;
static size_t regions_size;
static int64_t closing = MARKER;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void on_translated(plugin_id id, struct qemu_plugin_tb* tb) {
  (void)id;
  counter* c = calloc(1, sizeof *c); /* apart from the list, which moves: qemu keeps its address */
  pthread_mutex_lock(&lock);
  if (blocks == room) counters = realloc(counters, (room = 2 * room + 1024) * sizeof *counters);
  counters[blocks++] = c;
  fprintf(out, "block %" PRIx64, qemu_plugin_tb_vaddr(tb));
  for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); ++i) {
    uint32_t word;
    memcpy(&word, qemu_plugin_insn_data(qemu_plugin_tb_get_insn(tb, i)), sizeof word);
    fprintf(out, " %" PRIx32, word);
  }
  fputc('\n', out);
  pthread_mutex_unlock(&lock);
  qemu_plugin_register_vcpu_tb_exec_inline(tb, ADD, &c->times, 1);
}

static void close_region(int64_t number) {
  pthread_mutex_lock(&lock);
  fprintf(regions, "region %" PRId64, number);
  for (size_t i = 0; i < blocks; ++i) {
    counter* c = counters[i];
    if (c->times != c->before) fprintf(regions, " %zu:%" PRIu64, i, c->times - c->before);
    c->before = c->times;
  }
  fputc('\n', regions);
  pthread_mutex_unlock(&lock);
}

static void on_called(plugin_id id, unsigned cpu, int64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d,
                      uint64_t e, uint64_t f, uint64_t g, uint64_t h) {
  (void)id, (void)cpu, (void)b, (void)c, (void)d, (void)e, (void)f, (void)g, (void)h;
  if (number == MARKER) close_region((int64_t)a);
  else if (number == closing) close_region(number);
}

static void copy_maps(void) {
  char line[8192];
  FILE* maps = fopen("/proc/self/maps", "r");
  while (maps && fgets(line, sizeof line, maps)) fprintf(out, "map %s", line);
  if (maps) fclose(maps);
}

static void on_ended(plugin_id id, void* unused) {
  (void)id, (void)unused;
  close_region(-1);
  fclose(regions);
  fwrite(regions_text, 1, regions_size, out);
  copy_maps();
  fclose(out);
}

EXPORT int qemu_plugin_install(plugin_id id, const plugin_info* info, int count, char** arguments) {
  for (int i = 0; i < count; ++i) {
    if (!strncmp(arguments[i], "out=", 4)) out = fopen(arguments[i] + 4, "w");
    if (!strncmp(arguments[i], "syscall=", 8)) closing = atoll(arguments[i] + 8);
  }
  regions = open_memstream(&regions_text, &regions_size);
  if (strcmp(info->target_name, "aarch64") || !out || !regions) {
    fprintf(stderr, "count.so: needs qemu-aarch64 and out=FILE that can be written\n");
    return 1;
  }
  qemu_plugin_register_vcpu_tb_trans_cb(id, on_translated);
  qemu_plugin_register_vcpu_syscall_cb(id, on_called);
  qemu_plugin_register_atexit_cb(id, on_ended, NULL);
  return 0;
}
