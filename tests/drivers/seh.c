// seh.sys: exceptions that the driver takes. The cases are described in cases.h.
#define CASE_DEVICE L"RbSeh"
#include "case_driver.h"

typedef VOID NTAPI raise_routine(VOID);
NTSYSAPI VOID NTAPI RtlRaiseException(EXCEPTION_RECORD *record);

// The headers say that ExRaiseStatus does not return, and clang then drops blocks around a __finally that calls it.
static VOID(NTAPI *volatile raise_status)(NTSTATUS) = ExRaiseStatus;

#define NOWHERE ((volatile ULONG *)0x30)

static void probe_read(struct case_context *context) {
    __try {
        ProbeForRead((void *)context->input[0], context->input[1], (ULONG)context->input[2]);
        APART;
        note(context, *(volatile UCHAR *)context->input[0]);
    } __except (asked(context, TAKE)) {
        context->result->status = CODE;
    }
}

static void probe_write(struct case_context *context) {
    __try {
        ProbeForWrite((void *)context->input[0], context->input[1], (ULONG)context->input[2]);
        APART;
    } __except (asked(context, TAKE)) {
        context->result->status = CODE;
    }
}

static LONG look(struct case_context *context, EXCEPTION_POINTERS *pointers) {
    EXCEPTION_RECORD *record = pointers->ExceptionRecord;
    note(context, (ULONG)record->ExceptionCode);
    note(context, record->ExceptionFlags);
    note(context, record->NumberParameters);
    note(context, record->ExceptionInformation[0]);
    note(context, record->ExceptionInformation[1]);
    note(context, (ULONG64)record->ExceptionAddress == pointers->ContextRecord->Rip);
    return asked(context, TAKE);
}

static void fault_filter(struct case_context *context) {
    __try {
        *(volatile ULONG *)context->input[0] = 1;
    } __except (look(context, GetExceptionInformation())) {
        context->result->status = CODE;
    }
}

static DECLSPEC_NOINLINE void two_blocks(struct case_context *context) {
    __try {
        __try {
            *NOWHERE = 1;
        } __finally {
            note(context, AbnormalTermination() ? 3 : 93);
        }
    } __finally {
        note(context, AbnormalTermination() ? 4 : 94);
    }
}

static void finally_order(struct case_context *context) {
    __try {
        __try {
            two_blocks(context);
            APART;
        } __except (note(context, 1), asked(context, PASS)) {
            note(context, 95);
        }
    } __except (note(context, 2), asked(context, TAKE)) {
        note(context, 5);
        context->result->status = CODE;
    }
    note(context, 6);
}

static DECLSPEC_NOINLINE void raise_at(struct case_context *context, NTSTATUS status, ULONG64 depth) {
    __try {
        if (depth == 0)
            raise_status(status);
        else
            raise_at(context, status, depth - 1);
        APART;
    } __finally {
        note(context, depth);
    }
}

static void raise_nested(struct case_context *context) {
    NTSTATUS status = context->input[0] ? (NTSTATUS)context->input[0] : (NTSTATUS)0xC0000123;
    ULONG64 depth = context->input[1] > 16 ? 16 : context->input[1];
    __try {
        raise_at(context, status, depth);
        APART;
    } __except (asked(context, CODE == (ULONG)status ? TAKE : PASS)) {
        context->result->status = CODE;
    }
}

static NTSTATUS lower_device(IRP *irp, ULONG64 address) {
    struct case_context context = {.result = irp->AssociatedIrp.SystemBuffer};
    __try {
        note(&context, 90 + *(volatile UCHAR *)address);
    } __finally {
        note(&context, 1);
    }
    return complete(irp, STATUS_UNSUCCESSFUL, 0);
}

static void cross_export(struct case_context *context) {
    DEVICE_OBJECT *lower = ((struct extension *)context->device->DeviceExtension)->other;
    ((struct extension *)lower->DeviceExtension)->address = context->input[0];
    IoSkipCurrentIrpStackLocation(context->irp);
    __try {
        IoCallDriver(lower, context->irp);
        APART;
    } __except (asked(context, TAKE)) {
        note(context, 2);
        context->result->status = CODE;
    }
    // What IoCallDriver did to the location is undone: this routine completes the request.
    IoSetNextIrpStackLocation(context->irp);
    note(context, 3);
}

static LONG repair(struct case_context *context, EXCEPTION_POINTERS *pointers) {
    pointers->ContextRecord->Rax = (ULONG64)&context->input[0];
    return asked(context, RETRY);
}

static void continue_execution(struct case_context *context) {
    ULONG64 loaded = 0;
    __try {
        __asm__ volatile("mov $0x30, %%eax\n\tmov (%%rax), %0" : "=r"(loaded) : : "rax", "memory");
    } __except (repair(context, GetExceptionInformation())) {
        context->result->status = CODE;
    }
    note(context, loaded);
}

static LONG faulting_filter(struct case_context *context) {
    note(context, 1);
    return asked(context, (LONG)*NOWHERE);
}

static DECLSPEC_NOINLINE void with_faulting_filter(struct case_context *context) {
    __try {
        raise_status((NTSTATUS)0xC0000200);
        APART;
    } __except (CODE == 0xC0000200 ? faulting_filter(context) : PASS) {
        note(context, 99);
    }
}

static void fault_in_filter(struct case_context *context) {
    __try {
        with_faulting_filter(context);
        APART;
    } __except (asked(context, TAKE)) {
        context->result->status = CODE;
    }
}

static DECLSPEC_NOINLINE void with_raising_finally(struct case_context *context) {
    __try {
        __try {
            raise_status((NTSTATUS)0xC0000300);
            APART;
        } __finally {
            note(context, 1);
            raise_status((NTSTATUS)0xC0000301);
            APART;
        }
    } __finally {
        note(context, 2);
    }
}

static void raise_in_finally(struct case_context *context) {
    __try {
        __try {
            with_raising_finally(context);
            APART;
        } __except (asked(context, CODE == 0xC0000301 ? TAKE : PASS)) {
            context->result->status = CODE;
        }
    } __except (asked(context, TAKE)) {
        context->result->status = CODE;
    }
}

static LONG read_parameters(struct case_context *context, EXCEPTION_POINTERS *pointers) {
    note(context, pointers->ExceptionRecord->ExceptionInformation[0]);
    note(context, pointers->ExceptionRecord->ExceptionInformation[1]);
    context->result->status = (ULONG)pointers->ExceptionRecord->ExceptionCode;
    return asked(context, RETRY);
}

static void raise_exception(struct case_context *context) {
    EXCEPTION_RECORD record = {.ExceptionCode = (NTSTATUS)0xE0001234, .NumberParameters = 2};
    record.ExceptionInformation[0] = context->input[0];
    record.ExceptionInformation[1] = context->input[1];
    __try {
        RtlRaiseException(&record);
        APART;
        note(context, 3);
    } __except (read_parameters(context, GetExceptionInformation())) {
        note(context, 99);
    }
}

static void divide(struct case_context *context) {
    volatile LONG zero = 0;
    __try {
        note(context, (ULONG64)(7 / zero));
    } __except (asked(context, TAKE)) {
        context->result->status = CODE;
    }
}

static LONG operation(struct case_context *context, EXCEPTION_POINTERS *pointers) {
    note(context, pointers->ExceptionRecord->ExceptionInformation[0]);
    note(context, pointers->ExceptionRecord->ExceptionInformation[1]);
    return asked(context, TAKE);
}

static void call_nowhere(struct case_context *context) {
    raise_routine *volatile nowhere = (raise_routine *)0x40;
    __try {
        nowhere();
        APART;
    } __except (operation(context, GetExceptionInformation())) {
        context->result->status = CODE;
    }
}

static void raise_fixed(struct case_context *context) {
    raise_routine *const routines[] = {(raise_routine *)ExRaiseAccessViolation,
                                       (raise_routine *)ExRaiseDatatypeMisalignment};
    for (int i = 0; i < 2; i++) {
        __try {
            routines[i]();
            APART;
        } __except (asked(context, TAKE)) {
            note(context, CODE);
        }
    }
}

static DECLSPEC_NOINLINE int leave_by_return(struct case_context *context) {
    __try {
        return 1;
    } __finally {
        note(context, AbnormalTermination() != 0);
    }
}

static void leave(struct case_context *context) {
    __try {
        note(context, 1);
    } __finally {
        note(context, AbnormalTermination() != 0);
    }
    leave_by_return(context);
}

static void loop(struct case_context *context) {
    ULONG64 taken = 0;
    for (ULONG64 i = 0; i < context->input[0]; i++) {
        __try {
            raise_status(STATUS_UNSUCCESSFUL);
            APART;
        } __except (TAKE) {
            taken++;
        }
    }
    note(context, taken);
}

NTSYSAPI PVOID NTAPI RtlPcToFileHeader(PVOID address, PVOID *base);
NTSYSAPI PVOID NTAPI RtlLookupFunctionEntry(ULONG64 pc, ULONG64 *base, PVOID history);

static void lookup(struct case_context *context) {
    ULONG64 base = 0;
    PVOID header = NULL;
    note(context, RtlLookupFunctionEntry((ULONG64)two_blocks, &base, NULL) != NULL);
    note(context, RtlPcToFileHeader((PVOID)two_blocks, &header) == (PVOID)base && header == (PVOID)base);
    note(context, header != NULL && *(USHORT *)header == 0x5A4D);
}

static void copy(struct case_context *context) {
    UCHAR bytes[16];
    __try {
        memcpy(bytes, (void *)context->input[0], *(volatile ULONG *)&context->result->size ? sizeof bytes : 0);
        APART;
        note(context, bytes[0]);
    } __except (asked(context, TAKE)) {
        context->result->status = CODE;
    }
}

static case_routine *const cases[] = {
    [SEH_PROBE_READ] = probe_read,
    [SEH_PROBE_WRITE] = probe_write,
    [SEH_FAULT_FILTER] = fault_filter,
    [SEH_FINALLY_ORDER] = finally_order,
    [SEH_RAISE_NESTED] = raise_nested,
    [SEH_CROSS_EXPORT] = cross_export,
    [SEH_CONTINUE] = continue_execution,
    [SEH_FAULT_IN_FILTER] = fault_in_filter,
    [SEH_RAISE_IN_FINALLY] = raise_in_finally,
    [SEH_RAISE_EXCEPTION] = raise_exception,
    [SEH_DIVIDE] = divide,
    [SEH_CALL_NOWHERE] = call_nowhere,
    [SEH_RAISE_FIXED] = raise_fixed,
    [SEH_LEAVE] = leave,
    [SEH_LOOP] = loop,
    [SEH_LOOKUP] = lookup,
    [SEH_COPY] = copy,
};
static const ULONG case_count = ARRAYSIZE(cases);
