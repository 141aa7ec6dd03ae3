/* What the example needs from a board. board.c implements it for any Cortex-M with semihosting (QEMU, or a debugger). */
#include <stdint.h>

/* Bytes read, or -1. */
int32_t board_read_file(const char *name, void *to, uint32_t bytes);
void board_write_file(const char *name, const void *from, uint32_t bytes);
/* `label`, a decimal number, a line end. */
void board_print(const char *label, uint32_t value);
/* Prints and returns 1. */
int board_fail(const char *message);
/* SysTick counts since the start, at the core clock (25 MHz on QEMU's MPS2 boards). */
uint32_t board_ticks(void);
