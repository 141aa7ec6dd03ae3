/* Start-up code and semihosting for a Cortex-M4F. On a real board the vendor's start-up files take this place. */
#include "board.h"
#include <string.h>

extern uint32_t stack_top, data_start, data_end, data_load, bss_start, bss_end;
int main(void);

static volatile uint32_t overflows;

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define SYST_CSR REGISTER(0xe000e010)
#define SYST_RVR REGISTER(0xe000e014)
#define SYST_CVR REGISTER(0xe000e018)
#define CPACR REGISTER(0xe000ed88)
#define SYSTICK_PERIOD 0x1000000u

/* Arm semihosting operation. */
static int32_t semihost(uint32_t operation, const void *argument) {
  register uint32_t r0 __asm__("r0") = operation;
  register const void *r1 __asm__("r1") = argument;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
  return (int32_t)r0;
}
enum { SYS_OPEN = 1, SYS_CLOSE = 2, SYS_WRITE0 = 4, SYS_WRITE = 5, SYS_READ = 6, SYS_EXIT_EXTENDED = 0x20 };
enum { MODE_RB = 1, MODE_WB = 5 };

static int32_t open_file(const char *name, uint32_t mode) {
  const uint32_t block[3] = {(uint32_t)name, mode, strlen(name)};
  return semihost(SYS_OPEN, block);
}

int32_t board_read_file(const char *name, void *to, uint32_t bytes) {
  int32_t file = open_file(name, MODE_RB);
  if (file < 0) return -1;
  const uint32_t block[3] = {(uint32_t)file, (uint32_t)to, bytes};
  int32_t missing = semihost(SYS_READ, block);
  semihost(SYS_CLOSE, &file);
  return (int32_t)bytes - missing;
}

void board_write_file(const char *name, const void *from, uint32_t bytes) {
  int32_t file = open_file(name, MODE_WB);
  if (file < 0) return;
  const uint32_t block[3] = {(uint32_t)file, (uint32_t)from, bytes};
  semihost(SYS_WRITE, block);
  semihost(SYS_CLOSE, &file);
}

void board_print(const char *label, uint32_t value) {
  char digits[12];
  char *at = digits + sizeof digits - 1;
  *at = 0;
  *--at = '\n';
  do *--at = (char)('0' + value % 10);
  while ((value /= 10) != 0);
  semihost(SYS_WRITE0, label);
  semihost(SYS_WRITE0, at);
}

int board_fail(const char *message) {
  semihost(SYS_WRITE0, message);
  return 1;
}

uint32_t board_ticks(void) {
  uint32_t before, count;
  do {
    before = overflows;
    count = SYST_CVR;
  } while (before != overflows);
  return before * SYSTICK_PERIOD + (SYSTICK_PERIOD - 1 - count);
}

static void exit_with(uint32_t status) {
  const uint32_t block[2] = {0x20026, status}; /* ADP_Stopped_ApplicationExit */
  semihost(SYS_EXIT_EXTENDED, block);
  for (;;) {}
}

void reset(void) {
  CPACR |= 0xf << 20; /* FPU on */
  memcpy(&data_start, &data_load, (uint32_t)&data_end - (uint32_t)&data_start);
  memset(&bss_start, 0, (uint32_t)&bss_end - (uint32_t)&bss_start);
  SYST_RVR = SYSTICK_PERIOD - 1;
  SYST_CVR = 0;
  SYST_CSR = 7;
  exit_with((uint32_t)main());
}

void fault(void) { exit_with((uint32_t)board_fail("fault\n")); }
void tick(void) { overflows++; }

__attribute__((section(".vectors"), used)) void (*const vectors[16])(void) = {
  (void (*)(void))&stack_top, reset, fault, fault, fault, fault, fault, 0, 0, 0, 0, fault, fault, 0, fault, tick
};
