// impersonate.sys: drivers that act for their clients. The cases are described in cases.h.
#define CASE_DEVICE L"RbImpersonate"
#define CASE_START start
#define CASE_STOP stop
#include <ntifs.h>

#include "case_driver.h"

typedef NTSTATUS NTAPI create_secure(DRIVER_OBJECT *, ULONG, UNICODE_STRING *, DEVICE_TYPE, ULONG, BOOLEAN,
                                     const UNICODE_STRING *, const GUID *, DEVICE_OBJECT **);

// mingw's headers lack it.
NTKERNELAPI BOOLEAN NTAPI PsIsThreadImpersonating(PETHREAD thread);

#define SLOTS 2

// Of each slot; the scenarios use one at a time.
static SECURITY_CLIENT_CONTEXT kept[SLOTS];
static BOOLEAN is_kept[SLOTS];
static ULONG64 created[6];
static DEVICE_OBJECT *guarded;

static NTSTATUS lower_device(IRP *irp, ULONG64 address) {
    UNREFERENCED_PARAMETER(address);
    return complete(irp, STATUS_INVALID_DEVICE_REQUEST, 0);
}

static NTSTATUS other_code(IRP *irp, ULONG code) {
    UNREFERENCED_PARAMETER(code);
    return complete(irp, STATUS_INVALID_DEVICE_REQUEST, 0);
}

static NTSTATUS start(void) {
    return STATUS_SUCCESS;
}

static void let_go(ULONG64 slot) {
    if (is_kept[slot])
        SeDeleteClientSecurity(&kept[slot]);
    is_kept[slot] = FALSE;
}

static void stop(void) {
    UNICODE_STRING link;
    RtlInitUnicodeString(&link, L"\\??\\RbGuarded");
    if (guarded)
        IoDeleteSymbolicLink(&link);
    for (ULONG64 slot = 0; slot < SLOTS; slot++)
        let_go(slot);
}

static void guard(struct case_context *context) {
    UNICODE_STRING routine, name, link, text;
    RtlInitUnicodeString(&routine, L"IoCreateDeviceSecure");
    RtlInitUnicodeString(&name, L"\\Device\\RbGuarded");
    RtlInitUnicodeString(&link, L"\\??\\RbGuarded");
    RtlInitUnicodeString(&text, L"D:P(A;;GA;;;SY)(A;;GA;;;BA)");
    create_secure *make = (create_secure *)MmGetSystemRoutineAddress(&routine);
    context->result->status = make ? make(context->device->DriverObject, sizeof(struct extension), &name,
                                          FILE_DEVICE_UNKNOWN, FILE_DEVICE_SECURE_OPEN, FALSE, &text, NULL, &guarded)
                                   : STATUS_PROCEDURE_NOT_FOUND;
    if (!NT_SUCCESS(context->result->status))
        return;
    guarded->Flags &= ~DO_DEVICE_INITIALIZING;
    IoCreateSymbolicLink(&link, &name);
}

static void keep(struct case_context *context) {
    SECURITY_QUALITY_OF_SERVICE quality = {sizeof quality, (SECURITY_IMPERSONATION_LEVEL)context->input[1],
                                           (BOOLEAN)(context->input[2] & 1), (BOOLEAN)(context->input[2] >> 1 & 1)};
    BOOLEAN remote = (BOOLEAN)(context->input[2] >> 2 & 1);
    ULONG64 slot = context->input[0] % SLOTS;
    SECURITY_CLIENT_CONTEXT *client = &kept[slot];
    let_go(slot);
    if (context->input[3]) {
        SECURITY_SUBJECT_CONTEXT subject;
        SeCaptureSubjectContext(&subject);
        context->result->status = SeCreateClientSecurityFromSubjectContext(&subject, &quality, remote, client);
        SeReleaseSubjectContext(&subject);
    } else {
        context->result->status = SeCreateClientSecurity(PsGetCurrentThread(), &quality, remote, client);
    }
    if (!NT_SUCCESS(context->result->status))
        return;
    is_kept[slot] = TRUE;
    PACCESS_TOKEN own = PsReferencePrimaryToken(PsGetCurrentProcess());
    note(context, client->DirectlyAccessClientToken);
    note(context, client->DirectAccessEffectiveOnly);
    note(context, SeTokenType(client->ClientToken));
    note(context, client->ClientToken == own);
    PsDereferencePrimaryToken(own);
}

static void forget(struct case_context *context) {
    let_go(context->input[0] % SLOTS);
}

static NTSTATUS open_guarded(ULONG attributes) {
    UNICODE_STRING name;
    OBJECT_ATTRIBUTES named;
    IO_STATUS_BLOCK block;
    HANDLE handle;
    RtlInitUnicodeString(&name, L"\\Device\\RbGuarded");
    InitializeObjectAttributes(&named, &name, OBJ_KERNEL_HANDLE | attributes, NULL, NULL);
    NTSTATUS status = ZwCreateFile(&handle, FILE_READ_DATA, &named, &block, NULL, 0, 0, FILE_OPEN, 0, NULL, 0);
    if (NT_SUCCESS(status))
        ZwClose(handle);
    return status;
}

// Whom the current thread impersonates: 0, or 1 and level, copy on open, effective only, administrator.
static void whom(struct case_context *context) {
    BOOLEAN copy, effective;
    SECURITY_IMPERSONATION_LEVEL level;
    PACCESS_TOKEN token = PsReferenceImpersonationToken(PsGetCurrentThread(), &copy, &effective, &level);
    note(context, token != NULL);
    if (!token)
        return;
    note(context, level);
    note(context, copy);
    note(context, effective);
    note(context, SeTokenIsAdmin(token));
    PsDereferenceImpersonationToken(token);
}

static void act(struct case_context *context) {
    context->result->status = SeImpersonateClientEx(&kept[context->input[0] % SLOTS], NULL);
    note(context, (ULONG)open_guarded(OBJ_FORCE_ACCESS_CHECK));
    note(context, (ULONG)open_guarded(0));
    PsRevertToSelf();
    note(context, (ULONG)open_guarded(OBJ_FORCE_ACCESS_CHECK));
}

static void NTAPI act_there(PVOID context) {
    act(context);
    // What is left impersonated ends with the thread.
    SeImpersonateClientEx(&kept[((struct case_context *)context)->input[0] % SLOTS], NULL);
}

static void act_in_thread(struct case_context *context) {
    HANDLE thread;
    PVOID object;
    context->result->status = PsCreateSystemThread(&thread, THREAD_ALL_ACCESS, NULL, NULL, NULL, act_there, context);
    if (!NT_SUCCESS(context->result->status))
        return;
    ObReferenceObjectByHandle(thread, SYNCHRONIZE, NULL, KernelMode, &object, NULL);
    ZwClose(thread);
    KeWaitForSingleObject(object, Executive, KernelMode, FALSE, NULL);
    BOOLEAN copy, effective;
    SECURITY_IMPERSONATION_LEVEL level;
    note(context, PsReferenceImpersonationToken(object, &copy, &effective, &level) != NULL);
    ObDereferenceObject(object);
}

static void stay(struct case_context *context) {
    context->result->status = SeImpersonateClientEx(&kept[context->input[0] % SLOTS], NULL);
    whom(context);
}

static void revert(struct case_context *context) {
    UNREFERENCED_PARAMETER(context);
    PsRevertToSelf();
}

// By PsImpersonateClient, with a token that is not the kept client's level; NULL ends it.
static void act_with(struct case_context *context) {
    PACCESS_TOKEN token = context->input[0] < SLOTS ? kept[context->input[0]].ClientToken : NULL;
    context->result->status = PsImpersonateClient(PsGetCurrentThread(), token, TRUE, FALSE,
                                                  (SECURITY_IMPERSONATION_LEVEL)context->input[1]);
    whom(context);
}

static void disable(struct case_context *context) {
    SE_IMPERSONATION_STATE state;
    note(context, PsDisableImpersonation(PsGetCurrentThread(), &state));
    note(context, PsIsThreadImpersonating(PsGetCurrentThread()));
    note(context, (ULONG)open_guarded(OBJ_FORCE_ACCESS_CHECK));
    PsRestoreImpersonation(PsGetCurrentThread(), &state);
    note(context, PsIsThreadImpersonating(PsGetCurrentThread()));
    note(context, (ULONG)open_guarded(OBJ_FORCE_ACCESS_CHECK));
}

static void subject(struct case_context *context) {
    SECURITY_SUBJECT_CONTEXT subject;
    SeCaptureSubjectContext(&subject);
    note(context, subject.ClientToken != NULL);
    note(context, subject.ClientToken ? (ULONG64)subject.ImpersonationLevel : 0);
    note(context, SeTokenIsAdmin(SeQuerySubjectContextToken(&subject)));
    note(context, SeTokenIsAdmin(subject.PrimaryToken));
    note(context, SeSinglePrivilegeCheck(SeExports->SeCreateGlobalPrivilege, UserMode));
    SeReleaseSubjectContext(&subject);
}

static void information(struct case_context *context) {
    PACCESS_TOKEN token = kept[context->input[0] % SLOTS].ClientToken;
    ULONG *word = NULL;
    NTSTATUS status = SeQueryInformationToken(token, TokenType, (PVOID *)&word);
    note(context, (ULONG)status);
    note(context, NT_SUCCESS(status) ? *word : 0);
    if (NT_SUCCESS(status))
        ExFreePool(word);
    status = SeQueryInformationToken(token, TokenImpersonationLevel, (PVOID *)&word);
    note(context, (ULONG)status);
    note(context, NT_SUCCESS(status) ? *word : 0);
    if (NT_SUCCESS(status))
        ExFreePool(word);
    TOKEN_PRIVILEGES *privileges = NULL;
    status = SeQueryInformationToken(token, TokenPrivileges, (PVOID *)&privileges);
    note(context, NT_SUCCESS(status) ? privileges->PrivilegeCount : 0);
    if (NT_SUCCESS(status))
        ExFreePool(privileges);
}

static NTSTATUS NTAPI on_create(DEVICE_OBJECT *device, IRP *irp) {
    UNREFERENCED_PARAMETER(device);
    IO_SECURITY_CONTEXT *security = IoGetCurrentIrpStackLocation(irp)->Parameters.Create.SecurityContext;
    SECURITY_SUBJECT_CONTEXT *subject = &security->AccessState->SubjectSecurityContext;
    created[0] = security->SecurityQos->ImpersonationLevel;
    created[1] = security->SecurityQos->ContextTrackingMode;
    created[2] = security->SecurityQos->EffectiveOnly;
    created[3] = subject->ClientToken != NULL;
    created[4] = subject->ClientToken ? (ULONG64)subject->ImpersonationLevel : 0;
    created[5] = SeTokenIsAdmin(SeQuerySubjectContextToken(subject));
    return complete(irp, STATUS_SUCCESS, 0);
}

static void watch(struct case_context *context) {
    context->device->DriverObject->MajorFunction[IRP_MJ_CREATE] = on_create;
}

static void last_created(struct case_context *context) {
    for (int i = 0; i < 6; i++)
        note(context, created[i]);
}

// Opens this driver's own device with a quality of service.
static void open_with(struct case_context *context) {
    UNICODE_STRING name;
    OBJECT_ATTRIBUTES named;
    IO_STATUS_BLOCK block;
    HANDLE handle;
    SECURITY_QUALITY_OF_SERVICE quality = {(ULONG)context->input[2], (SECURITY_IMPERSONATION_LEVEL)context->input[0],
                                           (BOOLEAN)(context->input[1] & 1), (BOOLEAN)(context->input[1] >> 1)};
    RtlInitUnicodeString(&name, L"\\Device\\RbImpersonate");
    InitializeObjectAttributes(&named, &name, OBJ_KERNEL_HANDLE, NULL, NULL);
    named.SecurityQualityOfService = &quality;
    context->result->status = ZwOpenFile(&handle, FILE_READ_DATA, &named, &block, FILE_SHARE_READ, 0);
    if (NT_SUCCESS(context->result->status))
        ZwClose(handle);
}

static case_routine *const cases[] = {
    [IMPERSONATE_GUARD] = guard,
    [IMPERSONATE_KEEP] = keep,
    [IMPERSONATE_FORGET] = forget,
    [IMPERSONATE_ACT] = act,
    [IMPERSONATE_ACT_IN_THREAD] = act_in_thread,
    [IMPERSONATE_STAY] = stay,
    [IMPERSONATE_REVERT] = revert,
    [IMPERSONATE_ACT_WITH] = act_with,
    [IMPERSONATE_WHOM] = whom,
    [IMPERSONATE_DISABLE] = disable,
    [IMPERSONATE_SUBJECT] = subject,
    [IMPERSONATE_INFORMATION] = information,
    [IMPERSONATE_WATCH] = watch,
    [IMPERSONATE_CREATED] = last_created,
    [IMPERSONATE_OPEN_WITH] = open_with,
};
static const ULONG case_count = ARRAYSIZE(cases);
