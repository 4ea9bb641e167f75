// cpu.sys: instructions that only kernel code executes. The cases are described in cases.h.
#define CASE_DEVICE L"RbCpu"
#include "case_driver.h"

NTKERNELAPI VOID NTAPI KeQuerySystemTimePrecise(LARGE_INTEGER *time);

#define SHARED(type, offset) (*(volatile type *)(0xFFFFF78000000000ull + (offset)))


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

static void cr8(struct case_context *context) {
    ULONG64 old = read_cr8();
    write_cr8(DISPATCH_LEVEL);
    ULONG64 raised = read_cr8();
    ULONG64 reported = KeGetCurrentIrql();
    write_cr8(old);
    note(context, old);
    note(context, raised);
    note(context, reported);
    note(context, read_cr8());
}

static void gs(struct case_context *context) {
    ULONG64 thread, self, number;
    __asm__ volatile("mov %%gs:0x188, %0" : "=r"(thread));
    __asm__ volatile("mov %%gs:0x18, %0" : "=r"(self));
    __asm__ volatile("mov %%gs:0x184, %k0" : "=r"(number));
    note(context, thread);
    note(context, (ULONG64)KeGetCurrentThread());
    note(context, self);
    note(context, number);
    note(context, KeGetCurrentProcessorNumberEx(NULL));
}

static void shared_data(struct case_context *context) {
    LARGE_INTEGER precise;
    note(context, SHARED(ULONG64, 0x8));
    note(context, SHARED(ULONG64, 0x14));
    note(context, SHARED(ULONG, 0x26C));
    note(context, SHARED(ULONG, 0x270));
    note(context, SHARED(ULONG64, 0x320));
    note(context, SHARED(UCHAR, 0x27E));
    KeQuerySystemTimePrecise(&precise);
    note(context, (ULONG64)precise.QuadPart);
}

static LONG at(struct case_context *context, EXCEPTION_POINTERS *pointers, ULONG64 place) {
    note(context, (ULONG64)pointers->ExceptionRecord->ExceptionAddress == place);
    return asked(context, TAKE);
}

#define EXECUTE(instruction)                                                                                    \
    do {                                                                                                        \
        ULONG64 place;                                                                                          \
        __asm__ volatile("lea 1f(%%rip), %0" : "=r"(place));                                                    \
        __try {                                                                                                 \
            __asm__ volatile("1: " instruction "\n\tnop" : : "a"(0), "c"(0), "d"(0x80) : "memory");            \
        } __except (at(context, GetExceptionInformation(), place)) {                                            \
            context->result->status = CODE;                                                                     \
        }                                                                                                       \
    } while (0)

static void breakpoint(struct case_context *context) { EXECUTE("int3"); }
static void assertion(struct case_context *context) { EXECUTE("int $0x2c"); }
static void msr_read(struct case_context *context) { EXECUTE("rdmsr"); }
static void msr_write(struct case_context *context) { EXECUTE("wrmsr"); }
static void port_read(struct case_context *context) { EXECUTE("inb %%dx, %%al"); }
static void port_write(struct case_context *context) { EXECUTE("outb %%al, %%dx"); }
static void halt(struct case_context *context) { EXECUTE("hlt"); }
static void clear_interrupts(struct case_context *context) { EXECUTE("cli"); }
static void set_interrupts(struct case_context *context) { EXECUTE("sti"); }
static void page_tables(struct case_context *context) { EXECUTE("mov %%cr3, %%rax"); }

static void privileged(struct case_context *context) {
    static case_routine *const routines[] = {msr_read, msr_write,        port_read,      port_write,
                                             halt,     clear_interrupts, set_interrupts, page_tables};
    if (context->input[0] < ARRAYSIZE(routines))
        routines[context->input[0]](context);
}

static void cr8_loop(struct case_context *context) {
    ULONG64 sum = 0;
    for (ULONG64 i = 0; i < context->input[0]; i++)
        sum += read_cr8();
    note(context, sum);
}

static void shared_data_loop(struct case_context *context) {
    ULONG64 before = 0, backwards = 0;
    for (ULONG64 i = 0; i < context->input[0]; i++) {
        ULONG64 now = SHARED(ULONG64, 0x8);
        backwards += now < before;
        before = now;
    }
    note(context, backwards);
}

static void load_loop(struct case_context *context) {
    static volatile ULONG64 word;
    ULONG64 sum = 0;
    for (ULONG64 i = 0; i < context->input[0]; i++)
        sum += word;
    note(context, sum);
}

static void shared_load_loop(struct case_context *context) {
    ULONG64 sum = 0;
    for (ULONG64 i = 0; i < context->input[0]; i++)
        sum += SHARED(ULONG, 0x26C);
    note(context, sum);
}

static case_routine *const cases[] = {
    [CPU_CR8] = cr8,
    [CPU_GS] = gs,
    [CPU_SHARED_DATA] = shared_data,
    [CPU_BREAKPOINT] = breakpoint,
    [CPU_ASSERTION] = assertion,
    [CPU_PRIVILEGED] = privileged,
    [CPU_CR8_LOOP] = cr8_loop,
    [CPU_SHARED_DATA_LOOP] = shared_data_loop,
    [CPU_LOAD_LOOP] = load_loop,
    [CPU_SHARED_LOAD_LOOP] = shared_load_loop,
};
static const ULONG case_count = ARRAYSIZE(cases);
