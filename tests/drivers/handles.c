// handles.sys (\\.\RbHandles): handles, references and names. Cases: cases.h.
#include <ntifs.h>

#define CASE_DEVICE L"RbHandles"
#include "case_driver.h"

// The slots of the import table: each holds the address of the kernel's variable, as the WDK's import library has it.
extern POBJECT_TYPE *file_type __asm__("__imp_IoFileObjectType");
extern POBJECT_TYPE *event_type __asm__("__imp_ExEventObjectType");

struct handle_flags {
    BOOLEAN inherit, protect_from_close;
};
NTKERNELAPI NTSTATUS NTAPI ObSetHandleAttributes(HANDLE handle, struct handle_flags *flags, KPROCESSOR_MODE mode);
NTSYSAPI NTSTATUS NTAPI ZwDuplicateObject(HANDLE, HANDLE, HANDLE, PHANDLE, ACCESS_MASK, ULONG, ULONG);

static void attributes_of(OBJECT_ATTRIBUTES *attributes, UNICODE_STRING *name, const WCHAR *text, ULONG flags) {
    RtlInitUnicodeString(name, text);
    InitializeObjectAttributes(attributes, text ? name : NULL, OBJ_CASE_INSENSITIVE | flags, NULL, NULL);
}

static void reference(struct case_context *context) {
    HANDLE user = (HANDLE)context->input[0], kernel;
    FILE_OBJECT *file = NULL;
    PVOID other = NULL;
    OBJECT_HANDLE_INFORMATION information;
    note(context, (ULONG)ObReferenceObjectByHandle(user, FILE_READ_DATA, *file_type, UserMode, (PVOID *)&file, &information));
    note(context, file && file->DeviceObject == context->device);
    note(context, (ULONG)ObReferenceObjectByHandle(user, 0, *event_type, UserMode, &other, NULL));
    note(context, (ULONG)ObReferenceObjectByHandle(user, WRITE_DAC, *file_type, UserMode, &other, NULL));
    note(context, (ULONG)ObReferenceObjectByHandle(user, WRITE_DAC, *file_type, KernelMode, &other, NULL));
    ObDereferenceObject(other);
    note(context, (ULONG)ObReferenceObjectByHandle((HANDLE)0x7770, 0, NULL, UserMode, &other, NULL));
    note(context, other == NULL);
    note(context, (ULONG)ObReferenceObjectByHandle(NULL, 0, NULL, UserMode, &other, NULL));
    note(context, (ULONG)ObOpenObjectByPointer(file, OBJ_KERNEL_HANDLE, NULL, FILE_READ_DATA, *file_type, KernelMode, &kernel));
    note(context, ((ULONG64)kernel >> 31) == 0x1FFFFFFFF);
    note(context, (ULONG)ObReferenceObjectByHandle(kernel, 0, NULL, UserMode, &other, NULL));
    note(context, (ULONG)ObReferenceObjectByHandle(kernel, 0, NULL, KernelMode, &other, NULL));
    note(context, other == file);
    ObDereferenceObject(other);
    ZwClose(kernel);
    ObDereferenceObject(file);
    struct handle_flags flags = {FALSE, TRUE};
    note(context, (ULONG)ObSetHandleAttributes(user, &flags, UserMode));
    note(context, (ULONG)ZwClose(user));
    flags.protect_from_close = FALSE;
    ObSetHandleAttributes(user, &flags, UserMode);
}

static void duplicate(struct case_context *context) {
    HANDLE event, copy;
    OBJECT_ATTRIBUTES attributes;
    UNICODE_STRING name;
    PVOID object;
    attributes_of(&attributes, &name, NULL, 0);
    ZwCreateEvent(&event, SYNCHRONIZE, &attributes, NotificationEvent, FALSE);
    note(context, (ULONG)ZwDuplicateObject(NtCurrentProcess(), event, NtCurrentProcess(), &copy, 0, 0, 2));
    note(context, copy != event);
    note(context, (ULONG)ObReferenceObjectByHandle(copy, SYNCHRONIZE, *event_type, UserMode, &object, NULL));
    ObDereferenceObject(object);
    ZwClose(copy);
    note(context, (ULONG)ZwDuplicateObject(NtCurrentProcess(), event, NtCurrentProcess(), &copy, EVENT_MODIFY_STATE, 0, 0));
    // DUPLICATE_CLOSE_SOURCE | DUPLICATE_SAME_ACCESS
    note(context, (ULONG)ZwDuplicateObject(NtCurrentProcess(), event, NtCurrentProcess(), &copy, 0, 0, 3));
    note(context, (ULONG)ZwClose(event) == (ULONG)STATUS_INVALID_HANDLE || copy == event);
    note(context, (ULONG)ZwClose(copy));
}

static void close_kernel(struct case_context *context) {
    ZwClose((HANDLE)0xFFFFFFFF80007770);
    note(context, 1);
}

static void names(struct case_context *context) {
    HANDLE link, event, again;
    OBJECT_ATTRIBUTES attributes;
    UNICODE_STRING name, target, answer;
    WCHAR text[40];
    ULONG length;
    RtlInitUnicodeString(&target, L"\\BaseNamedObjects");
    attributes_of(&attributes, &name, L"\\??\\RbTemporary", OBJ_KERNEL_HANDLE);
    note(context, (ULONG)ZwCreateSymbolicLinkObject(&link, SYMBOLIC_LINK_ALL_ACCESS, &attributes, &target));
    attributes_of(&attributes, &name, L"\\DosDevices\\rbtemporary", OBJ_KERNEL_HANDLE);
    note(context, (ULONG)ZwOpenSymbolicLinkObject(&again, GENERIC_READ, &attributes));
    answer.Buffer = text;
    answer.Length = 0;
    answer.MaximumLength = 4;
    note(context, (ULONG)ZwQuerySymbolicLinkObject(again, &answer, &length));
    answer.MaximumLength = sizeof text;
    note(context, (ULONG)ZwQuerySymbolicLinkObject(again, &answer, &length));
    note(context, RtlEqualUnicodeString(&answer, &target, FALSE));
    ZwClose(again);
    attributes_of(&attributes, &name, L"\\??\\RbTemporary\\RbEvent", OBJ_KERNEL_HANDLE);
    note(context, (ULONG)ZwCreateEvent(&event, EVENT_ALL_ACCESS, &attributes, NotificationEvent, FALSE));
    attributes_of(&attributes, &name, L"\\BaseNamedObjects\\RBEVENT", OBJ_KERNEL_HANDLE);
    note(context, (ULONG)ZwOpenEvent(&again, EVENT_ALL_ACCESS, &attributes));
    ZwSetEvent(again, NULL);
    note(context, (ULONG)ZwWaitForSingleObject(event, FALSE, NULL));
    ZwClose(again);
    note(context, (ULONG)ZwCreateEvent(&again, EVENT_ALL_ACCESS, &attributes, NotificationEvent, FALSE));
    ZwClose(event);
    note(context, (ULONG)ZwOpenEvent(&again, EVENT_ALL_ACCESS, &attributes));
    ZwClose(link);
    attributes_of(&attributes, &name, L"\\??\\RbTemporary", OBJ_KERNEL_HANDLE);
    note(context, (ULONG)ZwOpenSymbolicLinkObject(&again, GENERIC_READ, &attributes));
    RtlInitUnicodeString(&name, L"\\BaseNamedObjects\\RbSignal");
    KEVENT *signal = IoCreateNotificationEvent(&name, &event);
    note(context, signal ? KeReadStateEvent(signal) : 99);
    ZwClose(event);
}

static void files(struct case_context *context) {
    HANDLE file;
    OBJECT_ATTRIBUTES attributes;
    UNICODE_STRING name;
    IO_STATUS_BLOCK block;
    UCHAR buffer[16];
    attributes_of(&attributes, &name, L"\\??\\My_Device", OBJ_KERNEL_HANDLE);
    note(context, (ULONG)ZwCreateFile(&file, GENERIC_READ | GENERIC_WRITE | SYNCHRONIZE, &attributes, &block, NULL, 0, 0,
                                      FILE_OPEN, FILE_SYNCHRONOUS_IO_NONALERT, NULL, 0));
    RtlZeroMemory(buffer, sizeof buffer);
    note(context, (ULONG)ZwReadFile(file, NULL, NULL, NULL, &block, buffer, 10, NULL, NULL));
    note(context, block.Information);
    note(context, buffer[0]);
    note(context, buffer[10]);
    note(context, (ULONG)ZwDeviceIoControlFile(file, NULL, NULL, NULL, &block, 0x222000, "hello", 5, buffer, sizeof buffer));
    note(context, block.Information);
    note(context, buffer[4]);
    note(context, (ULONG)ZwClose(file));
    attributes_of(&attributes, &name, L"\\??\\No_Device", OBJ_KERNEL_HANDLE);
    note(context, (ULONG)ZwCreateFile(&file, GENERIC_READ | SYNCHRONIZE, &attributes, &block, NULL, 0, 0, FILE_OPEN,
                                      FILE_SYNCHRONOUS_IO_NONALERT, NULL, 0));
}

static NTSTATUS lower_device(IRP *irp, ULONG64 address) {
    UNREFERENCED_PARAMETER(address);
    return complete(irp, STATUS_INVALID_DEVICE_REQUEST, 0);
}

static case_routine *const cases[] = {
    [HANDLES_REFERENCE] = reference,
    [HANDLES_DUPLICATE] = duplicate,
    [HANDLES_CLOSE_KERNEL] = close_kernel,
    [HANDLES_NAMES] = names,
    [HANDLES_FILES] = files,
};
static const ULONG case_count = ARRAYSIZE(cases);
