// The driver around a table of cases: devices, link, and control codes as cases.h describes. A source file defines
// CASE_DEVICE (the device's name as a wide string) and `cases`, and includes this header before them. It may define
// CASE_START and CASE_STOP, routines that DriverEntry and DriverUnload call; `other_code` then gets the codes that are
// no cases.
#pragma once

#include <ntddk.h>

#include "cases.h"
#include "complete.h"

#define CODE ((ULONG)GetExceptionCode())
#define TAKE EXCEPTION_EXECUTE_HANDLER
#define PASS EXCEPTION_CONTINUE_SEARCH
#define RETRY EXCEPTION_CONTINUE_EXECUTION
// clang before 21 lets a scope begin at the address to which the call before it returns: this keeps them apart.
#define APART __asm__ volatile("nop")

struct case_context {
    struct case_result *result;
    ULONG64 input[CASE_INPUTS];
    DEVICE_OBJECT *device;
    IRP *irp;
};

static void note(struct case_context *context, ULONG64 value) {
    if (context->result->count < CASE_VALUES)
        context->result->values[context->result->count++] = value;
}

static inline LONG asked(struct case_context *context, LONG answer) {
    context->result->executed++;
    return answer;
}

typedef void case_routine(struct case_context *context);

// Defined by the driver.
static case_routine *const cases[];
static const ULONG case_count;
// The dispatch routine of the second device, if the driver makes one.
static NTSTATUS lower_device(IRP *irp, ULONG64 address);

#ifdef CASE_START
static NTSTATUS CASE_START(void);
static void CASE_STOP(void);
static NTSTATUS other_code(IRP *irp, ULONG code);
#endif

struct extension {
    BOOLEAN lower;
    DEVICE_OBJECT *other;
    ULONG64 address;
};

static NTSTATUS NTAPI control(DEVICE_OBJECT *device, IRP *irp) {
    struct extension *extension = device->DeviceExtension;
    if (extension->lower)
        return lower_device(irp, extension->address);
    IO_STACK_LOCATION *location = IoGetCurrentIrpStackLocation(irp);
    ULONG code = location->Parameters.DeviceIoControl.IoControlCode;
    ULONG number = (code >> 2) - (CASE_CODE(0) >> 2);
#ifdef CASE_START
    if (number >= case_count)
        return other_code(irp, code);
#endif
    if ((code & 3) != METHOD_BUFFERED || number >= case_count)
        return complete(irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    if (location->Parameters.DeviceIoControl.OutputBufferLength < sizeof(struct case_result))
        return complete(irp, STATUS_BUFFER_TOO_SMALL, 0);

    struct case_result *result = irp->AssociatedIrp.SystemBuffer;
    struct case_context context = {.result = result, .device = device, .irp = irp};
    ULONG length = location->Parameters.DeviceIoControl.InputBufferLength;
    ULONG words = length / sizeof(ULONG64);
    for (ULONG i = 0; i < words && i < CASE_INPUTS; i++)
        context.input[i] = ((ULONG64 *)irp->AssociatedIrp.SystemBuffer)[i];
    RtlZeroMemory(result, sizeof *result);
    result->size = sizeof *result;
    result->number = number;
    cases[number](&context);
    return complete(irp, STATUS_SUCCESS, sizeof *result);
}

static VOID NTAPI unload(DRIVER_OBJECT *driver) {
    UNICODE_STRING link;
#ifdef CASE_START
    CASE_STOP();
#endif
    RtlInitUnicodeString(&link, L"\\??\\" CASE_DEVICE);
    IoDeleteSymbolicLink(&link);
    while (driver->DeviceObject)
        IoDeleteDevice(driver->DeviceObject);
}

NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *driver, UNICODE_STRING *path) {
    UNREFERENCED_PARAMETER(path);
    UNICODE_STRING name, link;
    DEVICE_OBJECT *device, *lower;
    RtlInitUnicodeString(&name, L"\\Device\\" CASE_DEVICE);
    RtlInitUnicodeString(&link, L"\\??\\" CASE_DEVICE);
    NTSTATUS status = IoCreateDevice(driver, sizeof(struct extension), NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &lower);
    if (!NT_SUCCESS(status))
        return status;
    status = IoCreateDevice(driver, sizeof(struct extension), &name, FILE_DEVICE_UNKNOWN, 0, FALSE, &device);
    if (!NT_SUCCESS(status)) {
        IoDeleteDevice(lower);
        return status;
    }
    ((struct extension *)lower->DeviceExtension)->lower = TRUE;
    ((struct extension *)device->DeviceExtension)->other = lower;
    status = IoCreateSymbolicLink(&link, &name);
#ifdef CASE_START
    if (NT_SUCCESS(status))
        status = CASE_START();
#endif
    if (!NT_SUCCESS(status)) {
        IoDeleteDevice(device);
        IoDeleteDevice(lower);
        return status;
    }
    driver->MajorFunction[IRP_MJ_CREATE] = open_or_close;
    driver->MajorFunction[IRP_MJ_CLEANUP] = open_or_close;
    driver->MajorFunction[IRP_MJ_CLOSE] = open_or_close;
    driver->MajorFunction[IRP_MJ_DEVICE_CONTROL] = control;
    driver->DriverUnload = unload;
    device->Flags &= ~DO_DEVICE_INITIALIZING;
    lower->Flags &= ~DO_DEVICE_INITIALIZING;
    return STATUS_SUCCESS;
}
