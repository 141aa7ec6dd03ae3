/* Wasmtime through its C API: wasmtime-host MODULE.wasm OUTPUTS RUNS IN0[,IN1]=PREFIX ...
   The few declarations below stand in for <wasmtime.h>, which the library's wheel does not ship.
   Build: cc wasmtime_host.c -o wasmtime-host /path/to/libwasmtime.so */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct wasm_engine wasm_engine_t;
typedef struct wasm_trap wasm_trap_t;
typedef struct wasmtime_store wasmtime_store_t;
typedef struct wasmtime_context wasmtime_context_t;
typedef struct wasmtime_module wasmtime_module_t;
typedef struct wasmtime_error wasmtime_error_t;
typedef struct { size_t size; char *data; } wasm_name_t;
typedef struct { uint64_t store; size_t index; } wasmtime_instance_t;
typedef struct { uint64_t store; void *function; } wasmtime_func_t;
typedef struct { uint64_t words[3]; } wasmtime_memory_t;
/* kind 0: function, 3: memory. Only passed by pointer, so the room for the larger members matters, not their shape. */
typedef struct { uint8_t kind; union { wasmtime_func_t func; wasmtime_memory_t memory; uint64_t room[4]; } of; } wasmtime_extern_t;
/* kind 0: i32. */
typedef struct { uint8_t kind; union { int32_t i32; uint64_t room[3]; } of; } wasmtime_val_t;

extern wasm_engine_t *wasm_engine_new(void);
extern wasmtime_store_t *wasmtime_store_new(wasm_engine_t *, void *, void (*)(void *));
extern wasmtime_context_t *wasmtime_store_context(wasmtime_store_t *);
extern wasmtime_error_t *wasmtime_module_new(wasm_engine_t *, const uint8_t *, size_t, wasmtime_module_t **);
extern wasmtime_error_t *wasmtime_instance_new(wasmtime_context_t *, const wasmtime_module_t *, const wasmtime_extern_t *, size_t, wasmtime_instance_t *, wasm_trap_t **);
extern bool wasmtime_instance_export_get(wasmtime_context_t *, const wasmtime_instance_t *, const char *, size_t, wasmtime_extern_t *);
extern wasmtime_error_t *wasmtime_func_call(wasmtime_context_t *, const wasmtime_func_t *, const wasmtime_val_t *, size_t, wasmtime_val_t *, size_t, wasm_trap_t **);
extern uint8_t *wasmtime_memory_data(const wasmtime_context_t *, const wasmtime_memory_t *);
extern size_t wasmtime_memory_data_size(const wasmtime_context_t *, const wasmtime_memory_t *);
extern void wasmtime_error_message(const wasmtime_error_t *, wasm_name_t *);
extern void wasm_trap_message(const wasm_trap_t *, wasm_name_t *);

static wasmtime_context_t *context;
static wasmtime_instance_t instance;

static void die(const char *what, const char *detail) {
  fprintf(stderr, "wasmtime-host: %s: %s\n", what, detail);
  exit(1);
}

static void check(const char *what, const wasmtime_error_t *error, const wasm_trap_t *trap) {
  wasm_name_t message = {0, 0};
  if (error) wasmtime_error_message(error, &message);
  else if (trap) wasm_trap_message(trap, &message);
  else return;
  fprintf(stderr, "wasmtime-host: %s: %.*s\n", what, (int)message.size, message.data);
  exit(1);
}

static wasmtime_extern_t find(const char *name, uint8_t kind) {
  wasmtime_extern_t found;
  memset(&found, 0, sizeof found);
  if (!wasmtime_instance_export_get(context, &instance, name, strlen(name), &found) || found.kind != kind) die("no such export", name);
  return found;
}

/* Calls an export of type (i32?) -> i32; argument < 0: none. */
static int32_t call(const char *name, int32_t argument) {
  wasmtime_extern_t function = find(name, 0);
  wasmtime_val_t in = {0}, out = {0};
  wasm_trap_t *trap = NULL;
  in.of.i32 = argument;
  check(name, wasmtime_func_call(context, &function.of.func, &in, argument < 0 ? 0 : 1, &out, 1, &trap), trap);
  return out.of.i32;
}

static uint8_t *read_file(const char *path, size_t *size) {
  FILE *f = fopen(path, "rb");
  if (!f) die("cannot open", path);
  fseek(f, 0, SEEK_END);
  *size = (size_t)ftell(f);
  rewind(f);
  uint8_t *bytes = malloc(*size ? *size : 1);
  if (!bytes || fread(bytes, 1, *size, f) != *size) die("cannot read", path);
  fclose(f);
  return bytes;
}

static uint8_t *at(int32_t address) {
  wasmtime_extern_t memory = find("memory", 3);
  return wasmtime_memory_data(context, &memory.of.memory) + (uint32_t)address;
}

/* One inference of the comma-separated input files; milliseconds. */
static double invoke(const char *files) {
  char *list = strdup(files);
  int index = 0;
  for (char *file = strtok(list, ","); file; file = strtok(NULL, ","), index++) {
    size_t size;
    uint8_t *bytes = read_file(file, &size);
    if ((size_t)(uint32_t)call("thimble_input_bytes", index) != size) die("wrong input size", file);
    memcpy(at(call("thimble_input_ptr", index)), bytes, size);
    free(bytes);
  }
  free(list);
  struct timespec before, after;
  clock_gettime(CLOCK_MONOTONIC, &before);
  if (call("thimble_invoke", -1) != 0) die("thimble_invoke", "not 0");
  clock_gettime(CLOCK_MONOTONIC, &after);
  return (after.tv_sec - before.tv_sec) * 1e3 + (after.tv_nsec - before.tv_nsec) / 1e6;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

int main(int argc, char **argv) {
  if (argc < 5) die("usage", "MODULE.wasm OUTPUTS RUNS IN0[,IN1]=PREFIX ...");
  int outputs = atoi(argv[2]), runs = atoi(argv[3]);
  size_t size;
  uint8_t *binary = read_file(argv[1], &size);
  wasm_engine_t *engine = wasm_engine_new();
  context = wasmtime_store_context(wasmtime_store_new(engine, NULL, NULL));
  wasmtime_module_t *module = NULL;
  check("compile", wasmtime_module_new(engine, binary, size, &module), NULL);
  wasm_trap_t *trap = NULL;
  check("instantiate", wasmtime_instance_new(context, module, NULL, 0, &instance, &trap), trap);

  for (int c = 4; c < argc; c++) {
    char *equals = strchr(argv[c], '=');
    if (!equals) die("not IN=PREFIX", argv[c]);
    *equals = 0;
    invoke(argv[c]);
    for (int i = 0; i < outputs; i++) {
      char path[4096];
      snprintf(path, sizeof path, "%s%d", equals + 1, i);
      FILE *f = fopen(path, "wb");
      size_t bytes = (uint32_t)call("thimble_output_bytes", i);
      if (!f || fwrite(at(call("thimble_output_ptr", i)), 1, bytes, f) != bytes) die("cannot write", path);
      fclose(f);
    }
  }
  double *times = calloc((size_t)runs + 1, sizeof *times);
  for (int r = 0; r < runs; r++) times[r] = invoke(argv[4]);
  qsort(times, (size_t)runs, sizeof *times, ascending);
  wasmtime_extern_t memory = find("memory", 3);
  printf("{\"engine\":\"Wasmtime C API %s\",\"abi\":%d,\"memoryBytes\":%zu,\"ms\":%.3f}\n",
#ifdef __aarch64__
         "arm64",
#else
         "x64",
#endif
         call("thimble_abi", -1), wasmtime_memory_data_size(context, &memory.of.memory), times[runs / 2]);
  return 0;
}
