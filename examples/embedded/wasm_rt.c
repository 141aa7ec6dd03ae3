/* The few functions that wasm2c's output calls, for a device without virtual memory: linear memory is one static array
   of exactly the bytes that the module uses (__heap_base), not of whole 64 KiB pages. */
#include "wasm-rt.h"
#include "board.h"
#include "model_thimble.h"

#define JOIN2(a, b) a##b
#define JOIN(a, b) JOIN2(a, b)

static uint8_t linear_memory[JOIN(MODEL, _MEMORY_BYTES)] __attribute__((aligned(16), section(".bss.linear_memory")));

void wasm_rt_init(void) {}
bool wasm_rt_is_initialized(void) { return true; }
void wasm_rt_free(void) {}

void wasm_rt_allocate_memory(wasm_rt_memory_t *memory, uint32_t pages, uint32_t max_pages) {
  memory->data = linear_memory;
  memory->size = sizeof linear_memory;
  memory->pages = pages;
  memory->max_pages = max_pages;
}
void wasm_rt_free_memory(wasm_rt_memory_t *memory) { memory->data = 0; }

uint32_t wasm_rt_register_func_type(uint32_t params, uint32_t results, ...) {
  (void)params;
  (void)results;
  return 0;
}

void wasm_rt_trap(wasm_rt_trap_t trap) {
  board_print("trap ", (uint32_t)trap);
  for (;;) {}
}
