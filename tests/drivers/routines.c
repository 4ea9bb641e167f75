// routines.sys: routines found by name at run time. The cases are described in cases.h.
#define CASE_DEVICE L"RbRoutines"
#include "case_driver.h"

// The slot of the import table holds the address of the kernel's variable.
extern POBJECT_TYPE *event_type __asm__("__imp_ExEventObjectType");

static NTSTATUS lower_device(IRP *irp, ULONG64 address) {
    UNREFERENCED_PARAMETER(address);
    return complete(irp, STATUS_INVALID_DEVICE_REQUEST, 0);
}

static PVOID find(const WCHAR *name) {
    UNICODE_STRING string;
    RtlInitUnicodeString(&string, name);
    return MmGetSystemRoutineAddress(&string);
}

// The slot of the import table: it holds the address of the kernel's variable.
extern POBJECT_TYPE *section_type __asm__("__imp_MmSectionObjectType");

static void by_name(struct case_context *context) {
    typedef KIRQL NTAPI get_irql(void);
    note(context, find(L"IoDeleteDevice") == (PVOID)IoDeleteDevice);
    note(context, find(L"IofCompleteRequest") != NULL);
    note(context, find(L"IofCompleteRequest") == find(L"IoCompleteRequest"));
    get_irql *irql = (get_irql *)find(L"KeGetCurrentIrql");
    note(context, irql ? irql() : 99);
    note(context, find(L"PsSuspendProcess") == NULL);
    note(context, find(L"RbNoSuchExport") == NULL);
    note(context, find(L"") == NULL);
    note(context, find(L"ExEventObjectType") == event_type);
    note(context, find(L"MmSectionObjectType") == (PVOID)section_type);
}

static case_routine *const cases[] = {[ROUTINES_BY_NAME] = by_name};
static const ULONG case_count = ARRAYSIZE(cases);
