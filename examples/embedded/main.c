/* Classifies one image on a bare-metal Cortex-M: the packed module as plain C (wasm2c), no operating system, no heap.
   MODEL is the prefix of the macros in the header that `thimble pack --header` wrote, e.g. VWW_96_INT8. */
#include "board.h"
#include "model.h"        /* wasm2c */
#include "model_thimble.h" /* thimble pack --header */

#define JOIN2(a, b) a##b
#define JOIN(a, b) JOIN2(a, b)
#define M(name) JOIN(MODEL, name)

static Z_model_instance_t model;

/* Puts the image into the model's input. On a board: the camera's frame, each pixel as (value / 255 / scale + zero point). */
static int32_t capture(uint8_t *input, uint32_t bytes) {
  return board_read_file("input.bin", input, bytes);
}

int main(void) {
  wasm_rt_init();
  Z_model_init_module();
  Z_model_instantiate(&model);
  if (Z_modelZ_thimble_abi(&model) != THIMBLE_ABI_VERSION) return board_fail("header and module do not belong together\n");

  uint8_t *memory = Z_modelZ_memory(&model)->data;
  uint8_t *input = memory + Z_modelZ_thimble_input_ptr(&model, 0);
  if (capture(input, M(_INPUT0_BYTES)) != M(_INPUT0_BYTES)) return board_fail("no image\n");

  uint32_t before = board_ticks();
  uint32_t status = Z_modelZ_thimble_invoke(&model);
  uint32_t ticks = board_ticks() - before;
  if (status != THIMBLE_OK) return board_fail("thimble_invoke failed\n");

  const M(_OUTPUT0_TYPE) *output = (const void *)(memory + Z_modelZ_thimble_output_ptr(&model, 0));
  uint32_t best = 0;
  for (uint32_t i = 1; i < M(_OUTPUT0_ELEMENTS); i++) {
    if (output[i] > output[best]) best = i;
  }
  board_print("class ", best);
  board_print("q ", (uint32_t)(output[best] - M(_OUTPUT0_ZERO_POINT)));
  board_print("ticks ", ticks);
  board_write_file("output.bin", output, M(_OUTPUT0_BYTES));
  return 0;
}
