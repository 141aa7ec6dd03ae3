/*
 * A TCG plugin of QEMU's user mode (plugin API 1, QEMU 4.2 to 8.x): counts the guest instructions that the main thread
 * executes. Each getuid() that the guest makes writes one line to standard error:
 *
 *   @insn <instructions so far> <of these, dot products of bytes: SDOT and UDOT>
 *
 * The declarations are those of qemu-plugin.h, which Debian's qemu-user does not bring.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef void (*translated)(qemu_plugin_id_t, struct qemu_plugin_tb *);
typedef void (*executed)(unsigned int thread, void *data);
typedef void (*called)(qemu_plugin_id_t, unsigned int thread, int64_t number, uint64_t, uint64_t, uint64_t, uint64_t,
                       uint64_t, uint64_t, uint64_t, uint64_t);
extern void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, translated);
extern void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, executed, int flags, void *data);
extern void qemu_plugin_register_vcpu_syscall_cb(qemu_plugin_id_t, called);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
extern const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);

#define EXPORT __attribute__((visibility("default")))
#define GETUID 174 /* arm64 */

EXPORT int qemu_plugin_version = 1;

static uint64_t instructions, dots;

/* SDOT and UDOT (vector and by element), Arm Architecture Reference Manual C7.2. */
static int is_dot(uint32_t word) {
  return (word & 0x9f20fc00) == 0x0e009400 || (word & 0x9f00f400) == 0x0f00e000;
}

/* `data` holds how many instructions a block has, and in its upper half how many of them are dot products. */
static void count(unsigned int thread, void *data) {
  if (thread != 0) return;
  uint64_t both = (uint64_t)(uintptr_t)data;
  instructions += both & 0xffffffff;
  dots += both >> 32;
}

static void block(qemu_plugin_id_t id, struct qemu_plugin_tb *tb) {
  uint64_t n = qemu_plugin_tb_n_insns(tb), dot = 0;
  for (size_t i = 0; i < n; i++) {
    uint32_t word;
    memcpy(&word, qemu_plugin_insn_data(qemu_plugin_tb_get_insn(tb, i)), sizeof word);
    dot += is_dot(word);
  }
  qemu_plugin_register_vcpu_tb_exec_cb(tb, count, 0, (void *)(uintptr_t)(dot << 32 | n));
}

static void report(qemu_plugin_id_t id, unsigned int thread, int64_t number, uint64_t a, uint64_t b, uint64_t c,
                   uint64_t d, uint64_t e, uint64_t f, uint64_t g, uint64_t h) {
  if (thread == 0 && number == GETUID) {
    fprintf(stderr, "@insn %llu %llu\n", (unsigned long long)instructions, (unsigned long long)dots);
  }
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv) {
  qemu_plugin_register_vcpu_tb_trans_cb(id, block);
  qemu_plugin_register_vcpu_syscall_cb(id, report);
  return 0;
}
