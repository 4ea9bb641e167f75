// secure.sys: descriptors, tokens and access checks. The cases are described in cases.h.
#define CASE_DEVICE L"RbSecure"
#include <ntifs.h>

#include "case_driver.h"

typedef NTSTATUS NTAPI create_secure(DRIVER_OBJECT *, ULONG, UNICODE_STRING *, DEVICE_TYPE, ULONG, BOOLEAN,
                                     const UNICODE_STRING *, const GUID *, DEVICE_OBJECT **);

static ULONG64 created[4];

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

static NTSTATUS allow(struct guarded *guarded, PSID sid, ACCESS_MASK mask) {
    NTSTATUS status = RtlCreateSecurityDescriptor(&guarded->descriptor, SECURITY_DESCRIPTOR_REVISION);
    if (NT_SUCCESS(status))
        status = RtlCreateAcl(&guarded->list, sizeof guarded->bytes, ACL_REVISION);
    if (NT_SUCCESS(status))
        status = RtlAddAccessAllowedAce(&guarded->list, ACL_REVISION, mask, sid);
    if (NT_SUCCESS(status))
        status = RtlSetDaclSecurityDescriptor(&guarded->descriptor, TRUE, &guarded->list, FALSE);
    return status;
}

static void check(struct case_context *context) {
    struct guarded guarded;
    SECURITY_SUBJECT_CONTEXT subject;
    ACCESS_MASK granted = 0;
    GENERIC_MAPPING mapping = {FILE_GENERIC_READ, FILE_GENERIC_WRITE, FILE_GENERIC_EXECUTE, FILE_ALL_ACCESS};
    NTSTATUS status = allow(&guarded, SeExports->SeAliasUsersSid, FILE_GENERIC_READ);
    if (NT_SUCCESS(status)) {
        SeCaptureSubjectContext(&subject);
        note(context, SeAccessCheck(&guarded.descriptor, &subject, FALSE, (ACCESS_MASK)context->input[0], 0, NULL,
                                    &mapping, (KPROCESSOR_MODE)context->input[1], &granted, &status));
        SeReleaseSubjectContext(&subject);
        note(context, granted);
    }
    context->result->status = status;
}

static void protect(struct case_context *context) {
    struct guarded guarded;
    UCHAR buffer[256];
    HANDLE handle;
    ULONG needed = 0;
    NTSTATUS status = allow(&guarded, SeExports->SeLocalSystemSid, GENERIC_ALL);
    if (NT_SUCCESS(status))
        status = ObOpenObjectByPointer(context->device, OBJ_KERNEL_HANDLE, NULL, WRITE_DAC, NULL, KernelMode, &handle);
    if (NT_SUCCESS(status)) {
        status = ZwSetSecurityObject(handle, DACL_SECURITY_INFORMATION, &guarded.descriptor);
        note(context, (ULONG)ZwQuerySecurityObject(handle, DACL_SECURITY_INFORMATION, NULL, 0, &needed));
        ULONG length = needed;
        NTSTATUS queried = ZwQuerySecurityObject(handle, DACL_SECURITY_INFORMATION, buffer, length, &needed);
        note(context, NT_SUCCESS(queried) && needed == length && length <= sizeof buffer);
        note(context, (((SECURITY_DESCRIPTOR *)buffer)->Control & SE_SELF_RELATIVE) != 0);
        ZwClose(handle);
    }
    context->result->status = status;
}

static DEVICE_OBJECT *secured;

static void create(struct case_context *context) {
    UNICODE_STRING routine, name, link, text, wrong;
    FILE_OBJECT *file;
    DEVICE_OBJECT *device, *other;
    RtlInitUnicodeString(&routine, L"IoCreateDeviceSecure");
    RtlInitUnicodeString(&name, L"\\Device\\RbSecured");
    RtlInitUnicodeString(&link, L"\\??\\RbSecured");
    RtlInitUnicodeString(&text, L"D:P(A;;GA;;;SY)");
    RtlInitUnicodeString(&wrong, L"D:P(A;;GA;;;)");
    create_secure *make = (create_secure *)MmGetSystemRoutineAddress(&routine);
    DRIVER_OBJECT *driver = context->device->DriverObject;
    if (!make) {
        context->result->status = STATUS_PROCEDURE_NOT_FOUND;
        return;
    }
    NTSTATUS status = make(driver, sizeof(struct extension), &name, FILE_DEVICE_UNKNOWN, FILE_DEVICE_SECURE_OPEN,
                           FALSE, &text, NULL, &secured);
    context->result->status = status;
    if (!NT_SUCCESS(status))
        return;
    secured->Flags &= ~DO_DEVICE_INITIALIZING;
    IoCreateSymbolicLink(&link, &name);
    status = IoGetDeviceObjectPointer(&name, FILE_ALL_ACCESS, &file, &device);
    note(context, (ULONG)status);
    if (NT_SUCCESS(status))
        ObDereferenceObject(file);
    note(context, (ULONG)make(driver, 0, &name, FILE_DEVICE_UNKNOWN, 0, FALSE, &wrong, NULL, &other));
    note(context, (ULONG)make(driver, 0, NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &text, NULL, &other));
}

static void delete_secured(struct case_context *context) {
    UNICODE_STRING link;
    UNREFERENCED_PARAMETER(context);
    RtlInitUnicodeString(&link, L"\\??\\RbSecured");
    IoDeleteSymbolicLink(&link);
    IoDeleteDevice(secured);
}

static void token(struct case_context *context) {
    SECURITY_SUBJECT_CONTEXT subject;
    SeCaptureSubjectContext(&subject);
    note(context, SeTokenIsAdmin(SeQuerySubjectContextToken(&subject)));
    SeReleaseSubjectContext(&subject);
    note(context, SeSinglePrivilegeCheck(SeExports->SeChangeNotifyPrivilege, UserMode));
    note(context, SeSinglePrivilegeCheck(SeExports->SeTcbPrivilege, UserMode));
    note(context, SeSinglePrivilegeCheck(SeExports->SeTcbPrivilege, KernelMode));
}

static void share(struct case_context *context) {
    FILE_OBJECT first = {0}, later = {0};
    SHARE_ACCESS sums;
    const ULONG all = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
    IoSetShareAccess(FILE_READ_DATA, FILE_SHARE_READ, &first, &sums);
    note(context, (ULONG)IoCheckShareAccess(FILE_WRITE_DATA, all, &later, &sums, TRUE));
    note(context, (ULONG)IoCheckShareAccess(FILE_READ_DATA, FILE_SHARE_READ, &later, &sums, FALSE));
    note(context, (ULONG)IoCheckShareAccess(FILE_READ_DATA, 0, &later, &sums, TRUE));
    IoRemoveShareAccess(&first, &sums);
    note(context, (ULONG)IoCheckShareAccess(FILE_WRITE_DATA, 0, &later, &sums, TRUE));
    note(context, sums.OpenCount);
}

static void last_created(struct case_context *context) {
    for (int i = 0; i < 4; i++)
        note(context, created[i]);
}

static NTSTATUS NTAPI on_create(DEVICE_OBJECT *device, IRP *irp) {
    UNREFERENCED_PARAMETER(device);
    IO_SECURITY_CONTEXT *security = IoGetCurrentIrpStackLocation(irp)->Parameters.Create.SecurityContext;
    ACCESS_STATE *state = security->AccessState;
    created[0] = state->PreviouslyGrantedAccess;
    created[1] = state->OriginalDesiredAccess;
    created[2] = security->DesiredAccess;
    created[3] = SeTokenIsAdmin(SeQuerySubjectContextToken(&state->SubjectSecurityContext));
    return complete(irp, STATUS_SUCCESS, 0);
}

static void watch_creates(struct case_context *context) {
    context->device->DriverObject->MajorFunction[IRP_MJ_CREATE] = on_create;
}

static case_routine *const cases[] = {
    [SECURE_CHECK] = check,   [SECURE_PROTECT] = protect,
    [SECURE_CREATE] = create, [SECURE_DELETE] = delete_secured,
    [SECURE_TOKEN] = token,   [SECURE_SHARE] = share,
    [SECURE_CREATED] = last_created, [SECURE_WATCH] = watch_creates,
};
static const ULONG case_count = ARRAYSIZE(cases);
