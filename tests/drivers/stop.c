// stop.sys: what stops the machine. The cases are described in cases.h.
#define CASE_DEVICE L"RbStop"
#include "case_driver.h"

static NTSTATUS lower_device(IRP *irp, ULONG64 address) {
    UNREFERENCED_PARAMETER(address);
    return complete(irp, STATUS_INVALID_DEVICE_REQUEST, 0);
}

// No handler may be asked: each would leave this trace.
static LONG must_not_run(struct case_context *context) {
    context->result->values[0] = 1;
    return TAKE;
}

static void fast_fail(struct case_context *context) {
    __try {
        __asm__ volatile("int $0x29" : : "c"(context->input[0]) : "memory");
    } __except (must_not_run(context)) {
    }
}

static void unhandled(struct case_context *context) {
    __try {
        note(context, *(volatile UCHAR *)context->input[0]);
    } __finally {
        must_not_run(context);
    }
}

static void raise(struct case_context *context) {
    __try {
        ExRaiseStatus((NTSTATUS)0xC0000010);
        APART;
    } __finally {
        must_not_run(context);
    }
}

static void system_address(struct case_context *context) {
    __try {
        note(context, *(volatile UCHAR *)context->input[0]);
    } __except (must_not_run(context)) {
    }
}

static void at_dispatch(struct case_context *context) {
    KIRQL old;
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    __try {
        note(context, *(volatile UCHAR *)context->input[0]);
    } __except (must_not_run(context)) {
    }
    KeLowerIrql(old);
}

static void write_code(struct case_context *context) {
    __try {
        *(volatile UCHAR *)(ULONG64)write_code = 0xCC;
    } __except (must_not_run(context)) {
    }
}

static DECLSPEC_NOINLINE ULONG64 recurse(struct case_context *context, ULONG64 depth) {
    volatile UCHAR room[256];
    room[depth & 255] = (UCHAR)depth;
    // Never true, which the compiler cannot know.
    if (context->input[3] == depth + 1)
        return 0;
    return recurse(context, depth + 1) + room[depth & 255];
}

static void recursion(struct case_context *context) {
    context->input[3] = 0;
    __try {
        note(context, recurse(context, 0));
        APART;
    } __except (must_not_run(context)) {
    }
}

static case_routine *const cases[] = {
    [STOP_FAST_FAIL] = fast_fail,
    [STOP_UNHANDLED] = unhandled,
    [STOP_RAISE] = raise,
    [STOP_SYSTEM_ADDRESS] = system_address,
    [STOP_AT_DISPATCH] = at_dispatch,
    [STOP_WRITE_CODE] = write_code,
    [STOP_RECURSION] = recursion,
};
static const ULONG case_count = ARRAYSIZE(cases);
