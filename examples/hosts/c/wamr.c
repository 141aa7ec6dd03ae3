/* A packed model in C, with WAMR's interpreters (--variant scalar): host MODULE.wasm INPUT OUTPUT
   Linked with WAMR's vmlib; -DSIGNATURE=,NULL for versions before 2 (wamr.sh builds with one), else -DSIGNATURE= */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "wasm_export.h"

static void fail(const char *what) { fprintf(stderr, "%s\n", what), exit(1); }
static wasm_module_inst_t model; static wasm_exec_env_t env;
static uint32_t call(const char *name, int arguments) {
  uint32_t value[1] = {0}; /* arguments in, results out */
  wasm_function_inst_t f = wasm_runtime_lookup_function(model, name SIGNATURE);
  if (!f || !wasm_runtime_call_wasm(env, f, arguments, value)) fail(f ? wasm_runtime_get_exception(model) : name);
  return value[0];
}
static uint8_t *load(const char *path, uint32_t *size) {
  FILE *f = fopen(path, "rb");
  uint8_t *bytes = malloc(1 << 26);
  if (!f) fail("a file can't be opened");
  return *size = fread(bytes, 1, 1 << 26, f), bytes;
}

int main(int argc, char **argv) {
  char error[128];
  uint32_t size, bytes;
  uint8_t *wasm = load(argv[1], &size), *input = load(argv[argc - 2], &bytes);
  if (!wasm_runtime_init()) fail("no runtime");
  wasm_module_t module = wasm_runtime_load(wasm, size, error, sizeof error);
  if (!module || !(model = wasm_runtime_instantiate(module, 16384, 0, error, sizeof error))) fail(error);
  env = wasm_runtime_create_exec_env(model, 16384);
  if (bytes != call("thimble_input_bytes", 1)) fail("the input has another size than the model's");
  memcpy(wasm_runtime_addr_app_to_native(model, call("thimble_input_ptr", 1)), input, bytes);
  clock_t start = clock();
  if (call("thimble_invoke", 0)) fail("thimble_invoke failed");
  printf("%.2f ms\n", (clock() - start) * 1e3 / CLOCKS_PER_SEC);
  FILE *f = fopen(argv[argc - 1], "wb");
  fwrite(wasm_runtime_addr_app_to_native(model, call("thimble_output_ptr", 1)), 1, call("thimble_output_bytes", 1), f);
  return fclose(f);
}
