/* A packed model in C, compiled by wasm2c: host - INPUT OUTPUT (the module is in the program).
   wasm2c model.wasm -n model -o model.c; cc -O2 wasm2c.c model.c wasm-rt-impl.c -lm */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "model.h"

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

int main(int argc, char **argv) {
  static Z_model_instance_t model;
  if (argc != 4) return 2;
  wasm_rt_init();
  Z_model_init_module();
  Z_model_instantiate(&model);
  wasm_rt_memory_t *memory = Z_modelZ_memory(&model);
  u32 bytes = Z_modelZ_thimble_input_bytes(&model, 0);
  u8 *input = malloc(bytes + 1);
  FILE *f = fopen(argv[2], "rb");
  if (!f || fread(input, 1, bytes + 1, f) != bytes) return fprintf(stderr, "the input has another size than the model's\n"), 1;
  fclose(f);
  double best = 1e9;
  for (int i = 0; i < 20; i++) {
    /* Inputs share memory with what comes after them: written before every run. */
    memcpy(memory->data + Z_modelZ_thimble_input_ptr(&model, 0), input, bytes);
    double start = now();
    u32 status = Z_modelZ_thimble_invoke(&model);
    if (now() - start < best) best = now() - start;
    if (status) return fprintf(stderr, "thimble_invoke returned %u\n", status), 1;
  }
  f = fopen(argv[3], "wb");
  fwrite(memory->data + Z_modelZ_thimble_output_ptr(&model, 0), 1, Z_modelZ_thimble_output_bytes(&model, 0), f);
  fclose(f);
  printf("%.2f ms, %lu bytes\n", best, (unsigned long)memory->size);
}
