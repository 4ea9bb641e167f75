// irql.sys: raising and lowering the IRQL by CR8. The cases are described in cases.h.
#define CASE_DEVICE L"RbIrql"
#include "case_driver.h"

static NTSTATUS lower_device(IRP *irp, ULONG64 address) {
    UNREFERENCED_PARAMETER(address);
    return complete(irp, STATUS_INVALID_DEVICE_REQUEST, 0);
}

static inline ULONG64 read_cr8(void) {
    ULONG64 value;
    __asm__ volatile("mov %%cr8, %0" : "=r"(value) : : "memory");
    return value;
}

static inline void write_cr8(ULONG64 value) { __asm__ volatile("mov %0, %%cr8" : : "r"(value) : "memory"); }

static KDPC dpc;
static volatile ULONG64 dpc_ran, dpc_irql, dpc_faults;

static VOID NTAPI dpc_routine(KDPC *self, PVOID context, PVOID first, PVOID second) {
    UNREFERENCED_PARAMETER(self);
    UNREFERENCED_PARAMETER(context);
    UNREFERENCED_PARAMETER(first);
    UNREFERENCED_PARAMETER(second);
    dpc_irql = read_cr8();
    dpc_ran++;
    if (dpc_faults)
        *(volatile ULONG *)0x30 = 1;
    // What a routine may change.
    __asm__ volatile("pcmpeqd %%xmm0, %%xmm0\n\tpcmpeqd %%xmm5, %%xmm5\n\txor %%eax, %%eax\n\txor %%ecx, %%ecx\n\t"
                     "xor %%edx, %%edx\n\txor %%r8d, %%r8d\n\txor %%r9d, %%r9d\n\txor %%r10d, %%r10d\n\txor %%r11d, %%r11d"
                     : : : "rax", "rcx", "rdx", "r8", "r9", "r10", "r11", "xmm0", "xmm5", "cc");
}

// Sets registers and flags, lowers CR8 to the value in RCX, and counts what is different behind it.
static __attribute__((noinline)) void lower_with_registers(ULONG64 *changed, ULONG64 *flags) {
    ULONG64 different, before, after;
    __asm__ volatile(
        "push %%rbp\n\t"
        "movabs $0x1111111111111111, %%rax\n\txor %%ecx, %%ecx\n\tmov $3, %%edx\n\tmov $4, %%ebx\n\tmov $5, %%ebp\n\t"
        "mov $6, %%esi\n\tmov $7, %%edi\n\tmov $8, %%r8d\n\tmov $9, %%r9d\n\tmov $10, %%r10d\n\tmov $11, %%r11d\n\t"
        "mov $12, %%r12d\n\tmov $13, %%r13d\n\tmov $14, %%r14d\n\tmov $15, %%r15d\n\t"
        "movq %%rdx, %%xmm0\n\tmovq %%rbx, %%xmm5\n\tmovq %%rsi, %%xmm6\n\tmovq %%rdi, %%xmm15\n\t"
        // Overflow, sign, parity, adjust and carry.
        "push $0x895\n\tpopfq\n\t"
        "mov %%rcx, %%cr8\n\t"
        "pushfq\n\t"
        "cmp $5, %%rbp\n\tsetne %%bpl\n\tmovzbl %%bpl, %%ebp\n\t"
        "push %%rax\n\tmovabs $0x1111111111111111, %%rax\n\tcmp %%rax, (%%rsp)\n\tpop %%rax\n\tsetne %%al\n\tmovzbl %%al, %%eax\n\tadd %%rax, %%rbp\n\t"
        "add %%rcx, %%rbp\n\tlea -3(%%rdx,%%rbp), %%rbp\n\tlea -4(%%rbx,%%rbp), %%rbp\n\tlea -6(%%rsi,%%rbp), %%rbp\n\t"
        "lea -7(%%rdi,%%rbp), %%rbp\n\tlea -8(%%r8,%%rbp), %%rbp\n\tlea -9(%%r9,%%rbp), %%rbp\n\tlea -10(%%r10,%%rbp), %%rbp\n\t"
        "lea -11(%%r11,%%rbp), %%rbp\n\tlea -12(%%r12,%%rbp), %%rbp\n\tlea -13(%%r13,%%rbp), %%rbp\n\tlea -14(%%r14,%%rbp), %%rbp\n\t"
        "lea -15(%%r15,%%rbp), %%rbp\n\t"
        "movq %%xmm0, %%rax\n\tlea -3(%%rax,%%rbp), %%rbp\n\tmovq %%xmm5, %%rax\n\tlea -4(%%rax,%%rbp), %%rbp\n\t"
        "movq %%xmm6, %%rax\n\tlea -6(%%rax,%%rbp), %%rbp\n\tmovq %%xmm15, %%rax\n\tlea -7(%%rax,%%rbp), %%rbp\n\t"
        "pop %%rcx\n\tmov %%rbp, %%rax\n\tpop %%rbp"
        : "=a"(different), "=c"(after)
        :
        : "rdx", "rbx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "xmm0", "xmm5", "xmm6", "xmm15",
          "memory", "cc");
    before = 0x895;
    *changed = different;
    *flags = (after & 0x8D5) != before;
}

static void with_dpc(struct case_context *context) {
    ULONG64 changed, flags, ran = dpc_ran;
    KeInitializeDpc(&dpc, dpc_routine, NULL);
    write_cr8(DISPATCH_LEVEL);
    KeInsertQueueDpc(&dpc, NULL, NULL);
    ULONG64 before = dpc_ran == ran;
    lower_with_registers(&changed, &flags);
    note(context, before);
    note(context, dpc_ran == ran + 1);
    note(context, dpc_irql);
    note(context, changed);
    note(context, flags);
    note(context, read_cr8());
}

static void count(struct case_context *context) {
    static volatile ULONG64 counter;
    for (ULONG64 i = 0; i < context->input[0]; i++) {
        write_cr8(DISPATCH_LEVEL);
        counter = counter + 1;
        write_cr8(PASSIVE_LEVEL);
    }
    note(context, counter);
}

static void dpc_fault(struct case_context *context) {
    dpc_faults = 1;
    with_dpc(context);
}

static case_routine *const cases[] = {[IRQL_DPC] = with_dpc, [IRQL_COUNT] = count, [IRQL_DPC_FAULT] = dpc_fault};
static const ULONG case_count = ARRAYSIZE(cases);
