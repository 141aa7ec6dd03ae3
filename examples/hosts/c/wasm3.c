/* A packed model in C, with wasm3 (--variant scalar, weights in memory): host MODULE.wasm INPUT OUTPUT
   cc -O3 wasm3.c wasm3/m3_*.c -Iwasm3 -lm; wasm3.sh does it with the sources that the Python package has */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "wasm3.h"

static IM3Runtime runtime;
static void check(const char *what) { if (what) fprintf(stderr, "%s\n", what), exit(1); }
static uint32_t call(const char *name, int arguments) {
  IM3Function f; uint32_t zero = 0, result = 0;
  const void *in[] = {&zero}, *out[] = {&result};
  check(m3_FindFunction(&f, runtime, name));
  check(m3_Call(f, arguments, in));
  check(m3_GetResults(f, 1, out));
  return result;
}
static uint8_t *load(const char *path, uint32_t *size) {
  FILE *f = fopen(path, "rb");
  uint8_t *bytes = malloc(1 << 26);
  check(f ? NULL : "a file can't be opened");
  return *size = fread(bytes, 1, 1 << 26, f), bytes;
}

int main(int argc, char **argv) {
  uint32_t size, bytes, memory;
  uint8_t *wasm = load(argv[1], &size), *input = load(argv[argc - 2], &bytes); /* wasm stays while the model does */
  IM3Environment environment = m3_NewEnvironment();
  IM3Module module;
  runtime = m3_NewRuntime(environment, 16384, NULL);
  check(m3_ParseModule(environment, &module, wasm, size)), check(m3_LoadModule(runtime, module));
  check(bytes == call("thimble_input_bytes", 1) ? NULL : "the input has another size than the model's");
  uint32_t at = call("thimble_input_ptr", 1), out = call("thimble_output_ptr", 1), length = call("thimble_output_bytes", 1);
  memcpy(m3_GetMemory(runtime, &memory, 0) + at, input, bytes);
  clock_t start = clock();
  check(call("thimble_invoke", 0) ? "thimble_invoke failed" : NULL);
  printf("%.2f ms, %u bytes\n", (clock() - start) * 1e3 / CLOCKS_PER_SEC, memory);
  return fwrite(m3_GetMemory(runtime, &memory, 0) + out, 1, length, fopen(argv[argc - 1], "wb")) != length;
}
