// events.sys: named events that a driver makes or opens, for tests of who may do what with them. Cases: cases.h.
#define CASE_DEVICE L"RbEvents"
#include <ntifs.h>

#include "case_driver.h"

// What EVENTS_MAKE has made.
static HANDLE made;

struct guarded {
    SECURITY_DESCRIPTOR descriptor;
    union {
        ACL list;
        UCHAR bytes[128];
    };
};

static NTSTATUS lower_device(IRP *irp, ULONG64 address) {
    UNREFERENCED_PARAMETER(address);
    return complete(irp, STATUS_INVALID_DEVICE_REQUEST, 0);
}

static void attributes_of(OBJECT_ATTRIBUTES *attributes, UNICODE_STRING *name, const WCHAR *text, ULONG flags, PVOID descriptor) {
    RtlInitUnicodeString(name, text);
    InitializeObjectAttributes(attributes, name, OBJ_CASE_INSENSITIVE | OBJ_KERNEL_HANDLE | flags, NULL, descriptor);
}

static PVOID describe(struct guarded *guarded, ULONG64 kind) {
    if (kind == EVENTS_PLAIN)
        return NULL;
    RtlCreateSecurityDescriptor(&guarded->descriptor, SECURITY_DESCRIPTOR_REVISION);
    RtlCreateAcl(&guarded->list, sizeof guarded->bytes, ACL_REVISION);
    if (kind == EVENTS_FOR_USERS)
        RtlAddAccessAllowedAce(&guarded->list, ACL_REVISION, GENERIC_ALL, SeExports->SeAliasUsersSid);
    RtlSetDaclSecurityDescriptor(&guarded->descriptor, TRUE, kind == EVENTS_FOR_ALL ? NULL : &guarded->list, FALSE);
    if (kind == EVENTS_WRONG)
        guarded->descriptor.Revision = 7;
    return &guarded->descriptor;
}

static void make(struct case_context *context) {
    struct guarded guarded;
    OBJECT_ATTRIBUTES attributes;
    UNICODE_STRING name;
    NTSTATUS status;
    ULONG64 kind = context->input[0];
    attributes_of(&attributes, &name, L"\\BaseNamedObjects\\RbMade", 0, NULL);
    if (kind == EVENTS_IO) {
        KEVENT *event = IoCreateSynchronizationEvent(&name, &made);
        status = event ? STATUS_SUCCESS : STATUS_UNSUCCESSFUL;
        if (event)
            KeClearEvent(event);
    } else {
        attributes.SecurityDescriptor = describe(&guarded, kind);
        status = ZwCreateEvent(&made, EVENT_ALL_ACCESS, &attributes, SynchronizationEvent, FALSE);
    }
    note(context, (ULONG)status);
}

static void set(struct case_context *context) {
    note(context, (ULONG)ZwSetEvent(made, NULL));
}

static void forget(struct case_context *context) {
    note(context, (ULONG)ZwClose(made));
}

// An open of an application's event for setting, with the flags of input 0.
static void open_theirs(struct case_context *context) {
    OBJECT_ATTRIBUTES attributes;
    UNICODE_STRING name;
    HANDLE event;
    attributes_of(&attributes, &name, L"\\BaseNamedObjects\\RbTheirs", (ULONG)context->input[0], NULL);
    NTSTATUS status = ZwOpenEvent(&event, EVENT_MODIFY_STATE, &attributes);
    note(context, (ULONG)status);
    if (NT_SUCCESS(status)) {
        note(context, (ULONG)ZwSetEvent(event, NULL));
        ZwClose(event);
    }
}

static case_routine *const cases[] = {
    [EVENTS_MAKE] = make,
    [EVENTS_SET] = set,
    [EVENTS_FORGET] = forget,
    [EVENTS_OPEN_THEIRS] = open_theirs,
};
static const ULONG case_count = ARRAYSIZE(cases);
