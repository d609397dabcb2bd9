/* QEMU plugin (TCG, API version 1): how many instructions had been executed, by the guest, whenever
 * it came to one of the given addresses.
 *
 *     -plugin libplugin.so,log=FILE,at=0x1234,at=0x5678,...
 *
 * FILE gets a record of two 64-bit numbers, the index of the address and the count, every time.
 * The header qemu-plugin.h is in no Debian package: what is used of it is declared here. */
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef void (*translated)(qemu_plugin_id_t id, struct qemu_plugin_tb *block);
typedef void (*executed)(unsigned cpu, void *data);

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, translated callback);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *block, size_t index);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *instruction);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *instruction,
                                            executed callback, int flags, void *data);
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *instruction, int operation,
                                                void *counter, uint64_t amount);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id, void (*callback)(qemu_plugin_id_t, void *),
                                    void *data);

enum { ADD_U64 = 0, NO_REGISTERS = 0, MOST_ADDRESSES = 64 };

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

static uint64_t addresses[MOST_ADDRESSES];
static size_t address_count;
static uint64_t count;
static FILE *log_file;

static void reached(unsigned cpu, void *data) {
    (void)cpu;
    const uint64_t record[] = {(uint64_t)(uintptr_t)data, count};
    fwrite(record, sizeof record, 1, log_file);
}

static void on_block(qemu_plugin_id_t id, struct qemu_plugin_tb *block) {
    (void)id;
    for (size_t i = 0; i < qemu_plugin_tb_n_insns(block); i++) {
        struct qemu_plugin_insn *instruction = qemu_plugin_tb_get_insn(block, i);
        const uint64_t address = qemu_plugin_insn_vaddr(instruction);
        for (size_t k = 0; k < address_count; k++) {
            if (addresses[k] == address) {
                qemu_plugin_register_vcpu_insn_exec_cb(instruction, reached, NO_REGISTERS,
                                                       (void *)(uintptr_t)k);
            }
        }
        qemu_plugin_register_vcpu_insn_exec_inline(instruction, ADD_U64, &count, 1);
    }
}

static void at_exit(qemu_plugin_id_t id, void *data) {
    (void)id;
    (void)data;
    fclose(log_file);
}

__attribute__((visibility("default"))) int qemu_plugin_install(qemu_plugin_id_t id,
                                                               const void *info, int argc,
                                                               char **argv);

int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv) {
    (void)info;
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "log=", 4) == 0) {
            log_file = fopen(argv[i] + 4, "wb");
        } else if (strncmp(argv[i], "at=", 3) == 0 && address_count < MOST_ADDRESSES) {
            addresses[address_count++] = strtoull(argv[i] + 3, NULL, 0);
        }
    }
    if (log_file == NULL) {
        return 1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_block);
    qemu_plugin_register_atexit_cb(id, at_exit, NULL);
    return 0;
}
