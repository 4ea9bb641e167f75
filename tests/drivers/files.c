// files.sys: requests of drivers on files by handle. The cases are described in cases.h.
#define CASE_DEVICE L"RbFiles"
#include "case_driver.h"
#include "inner_device.h"

NTSYSAPI NTSTATUS NTAPI ZwCreateEvent(HANDLE *event, ACCESS_MASK access, OBJECT_ATTRIBUTES *attributes, EVENT_TYPE type, BOOLEAN state);
NTSYSAPI NTSTATUS NTAPI ZwWaitForSingleObject(HANDLE object, BOOLEAN alertable, LARGE_INTEGER *timeout);
NTSYSAPI NTSTATUS NTAPI IoOpenDriverRegistryKey(DRIVER_OBJECT *driver, int type, ACCESS_MASK access, ULONG flags, HANDLE *key);
NTSYSAPI NTSTATUS NTAPI IoQueryFileInformation(FILE_OBJECT *file, FILE_INFORMATION_CLASS class, ULONG length, PVOID information, ULONG *returned);
NTSYSAPI NTSTATUS NTAPI ObQueryNameString(PVOID object, OBJECT_NAME_INFORMATION *name, ULONG length, ULONG *needed);
NTSYSAPI NTSTATUS NTAPI ZwFlushBuffersFile(HANDLE file, IO_STATUS_BLOCK *block);

#define INNER L"\\Device\\RbFilesInner"
#define UNTOUCHED 0x1234

static KTIMER timer;
static KDPC dpc;
static NTSTATUS later_status;
static ULONG major_seen;
static struct {
    ULONG sum, own_buffer, own_input, locked;
    LONG64 offset;
} seen;
static UCHAR *own_buffer, *own_input;

static VOID NTAPI complete_later(KDPC *unused, PVOID context, PVOID first, PVOID second) {
    UNREFERENCED_PARAMETER(unused);
    UNREFERENCED_PARAMETER(first);
    UNREFERENCED_PARAMETER(second);
    struct inner *inner = context;
    IRP *irp = inner->kept;
    if (irp->AssociatedIrp.SystemBuffer)
        RtlFillMemory(irp->AssociatedIrp.SystemBuffer, 8, 0x5A);
    complete(irp, later_status, 4);
}

static VOID NTAPI answer_later(KDPC *unused, PVOID context, PVOID first, PVOID second) {
    UNREFERENCED_PARAMETER(unused);
    UNREFERENCED_PARAMETER(first);
    UNREFERENCED_PARAMETER(second);
    complete(((struct inner *)context)->kept, STATUS_SUCCESS, sizeof(FILE_STANDARD_INFORMATION));
}

static void start_timer(struct inner *inner) {
    LARGE_INTEGER due = {.QuadPart = -10000};
    KeInitializeDpc(&dpc, complete_later, inner);
    KeInitializeTimer(&timer);
    KeSetTimer(&timer, due, &dpc);
}

// Pends the request; a timer's DPC completes it.
static NTSTATUS pend(struct inner *inner, IRP *irp) {
    major_seen = IoGetCurrentIrpStackLocation(irp)->MajorFunction;
    keep_pending(inner, irp);
    start_timer(inner);
    return STATUS_PENDING;
}

// Pends the request until the case says so.
static NTSTATUS hold(struct inner *inner, IRP *irp) {
    major_seen = IoGetCurrentIrpStackLocation(irp)->MajorFunction;
    return keep_pending(inner, irp);
}

static NTSTATUS refuse(struct inner *inner, IRP *irp) {
    UNREFERENCED_PARAMETER(inner);
    major_seen = IoGetCurrentIrpStackLocation(irp)->MajorFunction;
    return complete(irp, later_status, 0);
}

static NTSTATUS open_inner(HANDLE *file, ULONG options) {
    OBJECT_ATTRIBUTES attributes;
    UNICODE_STRING name;
    IO_STATUS_BLOCK block;
    RtlInitUnicodeString(&name, INNER);
    InitializeObjectAttributes(&attributes, &name, OBJ_KERNEL_HANDLE, NULL, NULL);
    return ZwCreateFile(file, GENERIC_READ | GENERIC_WRITE | SYNCHRONIZE, &attributes, &block, NULL, 0, 0, FILE_OPEN, options, NULL, 0);
}

static HANDLE new_event(void) {
    HANDLE event = NULL;
    OBJECT_ATTRIBUTES attributes;
    InitializeObjectAttributes(&attributes, NULL, OBJ_KERNEL_HANDLE, NULL, NULL);
    ZwCreateEvent(&event, EVENT_ALL_ACCESS, &attributes, NotificationEvent, TRUE);
    return event;
}

static void start(struct case_context *context, inner_routine *routine, ULONG options, struct inner **inner, HANDLE *file) {
    *inner = new_inner(context, INNER, routine);
    (*inner)->device->Flags |= DO_BUFFERED_IO;
    NTSTATUS status = open_inner(file, options);
    if (!NT_SUCCESS(status))
        context->result->status = status;
}

static void stop(struct inner *inner, HANDLE file) {
    KeFlushQueuedDpcs();
    ZwClose(file);
    IoDeleteDevice(inner->device);
}

static NTSTATUS wait_now(HANDLE object) {
    LARGE_INTEGER now = {0};
    return ZwWaitForSingleObject(object, FALSE, &now);
}

static void pended(struct case_context *context) {
    struct inner *inner;
    HANDLE file, event = context->input[1] ? new_event() : NULL;
    IO_STATUS_BLOCK block = {0};
    UCHAR buffer[16] = {0};
    LARGE_INTEGER offset = {0};
    NTSTATUS status;
    start(context, hold, 0, &inner, &file);
    block.Status = UNTOUCHED;
    later_status = STATUS_SUCCESS;
    if (context->input[0] == 0)
        status = ZwReadFile(file, event, NULL, NULL, &block, buffer, sizeof buffer, &offset, NULL);
    else if (context->input[0] == 1)
        status = ZwWriteFile(file, event, NULL, NULL, &block, buffer, sizeof buffer, &offset, NULL);
    else
        status = ZwDeviceIoControlFile(file, event, NULL, NULL, &block, CASE_CODE(50), NULL, 0, buffer, sizeof buffer);
    note(context, (ULONG)status);
    note(context, (ULONG)block.Status);
    HANDLE waited = event ? event : file;
    note(context, (ULONG)wait_now(waited));
    start_timer(inner);
    note(context, (ULONG)ZwWaitForSingleObject(waited, FALSE, NULL));
    note(context, (ULONG)block.Status);
    note(context, block.Information);
    note(context, buffer[0]);
    note(context, (ULONG)wait_now(file));
    if (event)
        ZwClose(event);
    stop(inner, file);
}

static ULONG64 raise_when;
static MDL *raised_mdl;

static NTSTATUS raise(struct inner *inner, IRP *irp) {
    UNREFERENCED_PARAMETER(inner);
    raised_mdl = irp->MdlAddress;
    if (raise_when == 1)
        complete(irp, STATUS_SUCCESS, 3);
    else if (raise_when == 2)
        complete(irp, STATUS_UNSUCCESSFUL, 0);
    ExRaiseStatus((NTSTATUS)0xC0000123);
    return STATUS_SUCCESS;
}

static void raised(struct case_context *context) {
    struct inner *inner;
    HANDLE file, event = new_event();
    IO_STATUS_BLOCK block = {0};
    LARGE_INTEGER offset = {0};
    UCHAR *buffer = ExAllocatePoolWithTag(NonPagedPool, 64, 'rFbR');
    start(context, raise, (ULONG)context->input[1], &inner, &file);
    inner->device->Flags = (inner->device->Flags & ~DO_BUFFERED_IO) | DO_DIRECT_IO;
    block.Status = UNTOUCHED;
    raise_when = context->input[0];
    __try {
        note(context, (ULONG)ZwReadFile(file, event, NULL, NULL, &block, buffer, 64, &offset, NULL));
    } __except (TAKE) {
        note(context, CODE);
    }
    note(context, (ULONG)block.Status);
    note(context, (ULONG)wait_now(event));
    note(context, (raised_mdl->MdlFlags & MDL_PAGES_LOCKED) != 0);
    ZwClose(event);
    ZwClose(file);
    note(context, inner->cleanups);
    note(context, inner->closes);
    IoDeleteDevice(inner->device);
    ExFreePool(buffer);
}

static void as_pending(struct case_context *context) {
    struct inner *inner;
    HANDLE file;
    IO_STATUS_BLOCK block = {0};
    UCHAR buffer[16] = {0};
    LARGE_INTEGER offset = {0};
    start(context, refuse, 0, &inner, &file);
    later_status = STATUS_PENDING;
    note(context, (ULONG)ZwReadFile(file, NULL, NULL, NULL, &block, buffer, sizeof buffer, &offset, NULL));
    note(context, (ULONG)wait_now(file));
    stop(inner, file);
}

static void no_offset(struct case_context *context) {
    struct inner *inner;
    HANDLE file;
    IO_STATUS_BLOCK block = {0};
    UCHAR buffer[16] = {0};
    LARGE_INTEGER current = {.LowPart = FILE_USE_FILE_POINTER_POSITION, .HighPart = -1};
    start(context, pend, 0, &inner, &file);
    note(context, (ULONG)ZwReadFile(file, NULL, NULL, NULL, &block, buffer, sizeof buffer, NULL, NULL));
    note(context, (ULONG)ZwReadFile(file, NULL, NULL, NULL, &block, buffer, sizeof buffer, &current, NULL));
    note(context, (ULONG)ZwWriteFile(file, NULL, NULL, NULL, &block, buffer, sizeof buffer, NULL, NULL));
    note(context, inner->requests);
    note(context, (ULONG)ZwWaitForSingleObject(file, FALSE, NULL));
    stop(inner, file);
}

static void flush(struct case_context *context) {
    struct inner *inner;
    HANDLE file;
    IO_STATUS_BLOCK block = {.Information = 99};
    block.Status = UNTOUCHED;
    ULONG way = (ULONG)context->input[0];
    major_seen = 0;
    later_status = way >= 2 ? STATUS_UNSUCCESSFUL : STATUS_SUCCESS;
    start(context, way == 2 ? refuse : pend, way == 1 ? FILE_SYNCHRONOUS_IO_NONALERT : 0, &inner, &file);
    note(context, (ULONG)ZwFlushBuffersFile(file, &block));
    note(context, major_seen);
    note(context, (ULONG)block.Status);
    note(context, block.Information);
    stop(inner, file);
}

static NTSTATUS transfer(struct inner *inner, IRP *irp) {
    UNREFERENCED_PARAMETER(inner);
    IO_STACK_LOCATION *location = IoGetCurrentIrpStackLocation(irp);
    ULONG length = location->Parameters.Read.Length;
    UCHAR *buffer = MmGetSystemAddressForMdlSafe(irp->MdlAddress, NormalPagePriority);
    SHORT flags = irp->MdlAddress->MdlFlags;
    seen.own_buffer = buffer == own_buffer && MmGetMdlByteCount(irp->MdlAddress) == length;
    seen.locked = !!(flags & MDL_PAGES_LOCKED) + 10 * !!(flags & MDL_WRITE_OPERATION);
    seen.offset = location->Parameters.Read.ByteOffset.QuadPart;
    seen.sum = 0;
    for (ULONG i = 0; i < length; i++)
        if (location->MajorFunction == IRP_MJ_READ)
            buffer[i] = (UCHAR)i;
        else
            seen.sum += buffer[i];
    return complete(irp, STATUS_SUCCESS, length);
}

static void direct(struct case_context *context) {
    struct inner *inner;
    HANDLE file;
    UCHAR buffer[10];
    LARGE_INTEGER offset = {.QuadPart = 0x123456789};
    start(context, transfer, 0, &inner, &file);
    inner->device->Flags = (inner->device->Flags & ~DO_BUFFERED_IO) | DO_DIRECT_IO;
    own_buffer = buffer;
    RtlFillMemory(buffer, sizeof buffer, 3);
    for (int i = 0; i < 2; i++) {
        IO_STATUS_BLOCK block = {0};
        if (i == 0)
            note(context, (ULONG)ZwWriteFile(file, NULL, NULL, NULL, &block, buffer, sizeof buffer, &offset, NULL));
        else
            note(context, (ULONG)ZwReadFile(file, NULL, NULL, NULL, &block, buffer, sizeof buffer, &offset, NULL));
        note(context, block.Information);
        note(context, seen.sum);
        note(context, seen.own_buffer);
        note(context, seen.locked);
        note(context, seen.offset == offset.QuadPart);
    }
    note(context, buffer[9]);
    stop(inner, file);
}

// Sums what comes in, and fills what goes out with the sum.
static NTSTATUS control_below(struct inner *inner, IRP *irp) {
    UNREFERENCED_PARAMETER(inner);
    IO_STACK_LOCATION *location = IoGetCurrentIrpStackLocation(irp);
    ULONG method = location->Parameters.DeviceIoControl.IoControlCode & 3;
    ULONG in = location->Parameters.DeviceIoControl.InputBufferLength;
    ULONG out = location->Parameters.DeviceIoControl.OutputBufferLength;
    UCHAR *input = irp->AssociatedIrp.SystemBuffer, *output = input;
    if (method == METHOD_NEITHER) {
        input = location->Parameters.DeviceIoControl.Type3InputBuffer;
        output = irp->UserBuffer;
    } else if (method != METHOD_BUFFERED) {
        output = MmGetSystemAddressForMdlSafe(irp->MdlAddress, NormalPagePriority);
    }
    seen.own_input = input == own_input;
    seen.own_buffer = output == own_buffer;
    seen.sum = 0;
    for (ULONG i = 0; i < in; i++)
        seen.sum += input[i];
    if (method == METHOD_IN_DIRECT)
        for (ULONG i = 0; i < out; i++)
            seen.sum += output[i];
    else
        RtlFillMemory(output, out, (UCHAR)seen.sum);
    return complete(irp, STATUS_SUCCESS, out);
}

static void methods(struct case_context *context) {
    struct inner *inner;
    HANDLE file;
    start(context, control_below, 0, &inner, &file);
    for (ULONG method = 0; method < 4; method++) {
        UCHAR input[4] = {1, 2, 3, 4}, buffer[10];
        IO_STATUS_BLOCK block = {0};
        own_input = input;
        own_buffer = buffer;
        RtlFillMemory(buffer, sizeof buffer, 100);
        ULONG code = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x850, method, FILE_ANY_ACCESS);
        note(context, (ULONG)ZwDeviceIoControlFile(file, NULL, NULL, NULL, &block, code, input, sizeof input, buffer, sizeof buffer));
        note(context, block.Information);
        note(context, seen.own_input);
        note(context, seen.own_buffer);
        note(context, seen.sum);
        note(context, buffer[9]);
    }
    stop(inner, file);
}

static struct inner *armed_inner;
static HANDLE armed_file;
static ULONG armed_runs, armed_returned, armed_waited, armed_status;

static NTSTATUS NTAPI cleanup(DEVICE_OBJECT *device, IRP *irp) {
    struct inner *inner = device->DeviceExtension;
    if (!inner->head.lower && armed_inner && !armed_runs) {
        IO_STATUS_BLOCK block = {0};
        UCHAR buffer[8];
        LARGE_INTEGER offset = {0};
        HANDLE event = new_event();
        armed_runs++;
        later_status = STATUS_SUCCESS;
        armed_returned = (ULONG)ZwReadFile(armed_file, event, NULL, NULL, &block, buffer, sizeof buffer, &offset, NULL);
        armed_waited = (ULONG)ZwWaitForSingleObject(event, FALSE, NULL);
        armed_status = (ULONG)block.Status;
        ZwClose(event);
    }
    return complete(irp, STATUS_SUCCESS, 0);
}

static void arm(struct case_context *context) {
    start(context, pend, 0, &armed_inner, &armed_file);
    context->device->DriverObject->MajorFunction[IRP_MJ_CLEANUP] = cleanup;
}

static void armed(struct case_context *context) {
    note(context, armed_runs);
    note(context, armed_returned);
    note(context, armed_waited);
    note(context, armed_status);
    stop(armed_inner, armed_file);
    armed_inner = NULL;
}

static VOID NTAPI cancelled(DEVICE_OBJECT *device, IRP *irp) {
    UNREFERENCED_PARAMETER(device);
    IoReleaseCancelSpinLock(irp->CancelIrql);
    complete(irp, STATUS_CANCELLED, 0);
}

static NTSTATUS pend_cancelable(struct inner *inner, IRP *irp) {
    keep_pending(inner, irp);
    IoSetCancelRoutine(irp, cancelled);
    return STATUS_PENDING;
}

static struct inner *left_inner;
static HANDLE left_file, left_event;
static IO_STATUS_BLOCK left_block;
static UCHAR left_buffer[8];

static void leave(struct case_context *context) {
    LARGE_INTEGER offset = {0};
    start(context, pend_cancelable, 0, &left_inner, &left_file);
    left_event = new_event();
    left_block.Status = UNTOUCHED;
    note(context, (ULONG)ZwReadFile(left_file, left_event, NULL, NULL, &left_block, left_buffer, sizeof left_buffer, &offset, NULL));
}

static void left(struct case_context *context) {
    note(context, (ULONG)left_block.Status);
    note(context, (ULONG)wait_now(left_event));
    ZwClose(left_event);
    stop(left_inner, left_file);
}

static struct {
    ULONG runs, right, irql, status;
} apc_seen;
static IO_STATUS_BLOCK apc_block;
static PVOID apc_thread;
static KEVENT completed;

static VOID NTAPI apc(PVOID context, IO_STATUS_BLOCK *block, ULONG reserved) {
    apc_seen.runs++;
    apc_seen.right = context == &apc_seen && block == &apc_block && reserved == 0 && apc_thread == KeGetCurrentThread();
    apc_seen.irql = KeGetCurrentIrql();
    apc_seen.status = (ULONG)block->Status;
}

static VOID NTAPI complete_and_say_so(KDPC *unused, PVOID context, PVOID first, PVOID second) {
    complete_later(unused, context, first, second);
    KeSetEvent(&completed, IO_NO_INCREMENT, FALSE);
}

static NTSTATUS pend_and_say_so(struct inner *inner, IRP *irp) {
    LARGE_INTEGER due = {.QuadPart = -10000};
    keep_pending(inner, irp);
    KeInitializeDpc(&dpc, complete_and_say_so, inner);
    KeInitializeTimer(&timer);
    KeSetTimer(&timer, due, &dpc);
    return STATUS_PENDING;
}

static void with_apc(struct case_context *context) {
    struct inner *inner;
    HANDLE file;
    UCHAR buffer[8];
    LARGE_INTEGER offset = {0};
    KIRQL irql = PASSIVE_LEVEL;
    ULONG way = (ULONG)context->input[0];
    later_status = way == 5 ? STATUS_UNSUCCESSFUL : STATUS_SUCCESS;
    start(context, way >= 4 ? refuse : pend_and_say_so, 0, &inner, &file);
    RtlZeroMemory(&apc_seen, sizeof apc_seen);
    apc_block.Status = UNTOUCHED;
    apc_thread = KeGetCurrentThread();
    KeInitializeEvent(&completed, NotificationEvent, way >= 4);
    note(context, (ULONG)ZwReadFile(file, NULL, apc, &apc_seen, &apc_block, buffer, sizeof buffer, &offset, NULL));
    if (way == 2)
        KeEnterCriticalRegion();
    if (way == 3)
        KeRaiseIrql(APC_LEVEL, &irql);
    note(context, (ULONG)KeWaitForSingleObject(&completed, Executive, KernelMode, way == 1, NULL));
    note(context, apc_seen.runs);
    if (way == 2)
        KeLeaveCriticalRegion();
    if (way == 3)
        KeLowerIrql(irql);
    note(context, apc_seen.runs);
    note(context, apc_seen.right);
    note(context, apc_seen.irql);
    note(context, apc_seen.status);
    stop(inner, file);
}

static VOID NTAPI in_thread(PVOID context) {
    with_apc(context);
    PsTerminateSystemThread(STATUS_SUCCESS);
}

static void apc_routine(struct case_context *context) {
    HANDLE thread;
    if (!context->input[1]) {
        with_apc(context);
        return;
    }
    PsCreateSystemThread(&thread, THREAD_ALL_ACCESS, NULL, NULL, NULL, in_thread, context);
    ZwWaitForSingleObject(thread, FALSE, NULL);
    ZwClose(thread);
}

// FILE_ALL_INFORMATION, which ntifs.h has.
struct all_of_it {
    FILE_BASIC_INFORMATION basic;
    FILE_STANDARD_INFORMATION standard;
    LARGE_INTEGER index;
    ULONG ea_size, access;
    LARGE_INTEGER position;
    ULONG mode, alignment;
    FILE_NAME_INFORMATION name;
};

// Knows the standard information, and pends it; refuses other classes of queries; takes every change.
static NTSTATUS inform(struct inner *inner, IRP *irp) {
    IO_STACK_LOCATION *location = IoGetCurrentIrpStackLocation(irp);
    FILE_STANDARD_INFORMATION *standard = irp->AssociatedIrp.SystemBuffer;
    if (location->MajorFunction == IRP_MJ_SET_INFORMATION)
        return complete(irp, STATUS_SUCCESS, 0);
    switch (location->Parameters.QueryFile.FileInformationClass) {
    case FilePositionInformation:
        ((FILE_POSITION_INFORMATION *)irp->AssociatedIrp.SystemBuffer)->CurrentByteOffset.QuadPart = 123;
        return complete(irp, STATUS_SUCCESS, sizeof(FILE_POSITION_INFORMATION));
    case FileAllInformation:
        standard = &((struct all_of_it *)irp->AssociatedIrp.SystemBuffer)->standard;
        standard->EndOfFile.QuadPart = 77;
        return complete(irp, STATUS_SUCCESS, location->Parameters.QueryFile.Length);
    case FileStandardInformation: {
        LARGE_INTEGER due = {.QuadPart = -10000};
        RtlZeroMemory(standard, sizeof *standard);
        standard->EndOfFile.QuadPart = 77;
        keep_pending(inner, irp);
        KeInitializeDpc(&dpc, answer_later, inner);
        KeInitializeTimer(&timer);
        KeSetTimer(&timer, due, &dpc);
        return STATUS_PENDING;
    }
    default:
        return complete(irp, STATUS_INVALID_PARAMETER, 0);
    }
}

static ULONG query_word(struct case_context *context, HANDLE file, FILE_INFORMATION_CLASS class) {
    IO_STATUS_BLOCK block;
    ULONG word = 0;
    NTSTATUS status = ZwQueryInformationFile(file, &block, &word, sizeof word, class);
    if (!NT_SUCCESS(status) || block.Information != sizeof word)
        context->result->status = (ULONG)STATUS_UNSUCCESSFUL;
    return word;
}

static void information(struct case_context *context) {
    struct inner *inner;
    HANDLE file;
    IO_STATUS_BLOCK block = {0};
    FILE_POSITION_INFORMATION position = {.CurrentByteOffset.QuadPart = 40};
    FILE_STANDARD_INFORMATION standard = {0};
    UCHAR name[64];
    start(context, inform, (ULONG)context->input[0] | FILE_WRITE_THROUGH, &inner, &file);
    inner->device->AlignmentRequirement = FILE_QUAD_ALIGNMENT;
    note(context, query_word(context, file, FileModeInformation));
    note(context, query_word(context, file, FileAlignmentInformation));
    note(context, query_word(context, file, FileAccessInformation));
    note(context, (ULONG)ZwSetInformationFile(file, &block, &position, sizeof position, FilePositionInformation));
    position.CurrentByteOffset.QuadPart = 0;
    note(context, (ULONG)ZwQueryInformationFile(file, &block, &position, sizeof position, FilePositionInformation));
    note(context, position.CurrentByteOffset.QuadPart);
    note(context, inner->requests);
    note(context, (ULONG)ZwQueryInformationFile(file, &block, &standard, sizeof standard, FileStandardInformation));
    note(context, block.Information);
    note(context, standard.EndOfFile.QuadPart);
    note(context, (ULONG)ZwQueryInformationFile(file, &block, name, sizeof name, FileNameInformation));
    note(context, (ULONG)ZwQueryInformationFile(file, &block, &standard, sizeof standard - 1, FileStandardInformation));
    note(context, (ULONG)ZwQueryInformationFile(file, &block, name, sizeof name, (FILE_INFORMATION_CLASS)0));
    note(context, (ULONG)ZwQueryInformationFile(file, &block, name, sizeof name, (FILE_INFORMATION_CLASS)999));
    stop(inner, file);
}

static void all_information(struct case_context *context) {
    struct inner *inner;
    HANDLE file;
    IO_STATUS_BLOCK block = {0};
    struct all_of_it all = {0};
    FILE_STANDARD_INFORMATION standard = {0};
    FILE_OBJECT *object;
    ULONG returned = 0;
    start(context, inform, FILE_SEQUENTIAL_ONLY, &inner, &file);
    inner->device->AlignmentRequirement = FILE_LONG_ALIGNMENT;
    note(context, (ULONG)ZwQueryInformationFile(file, &block, &all, sizeof all, FileAllInformation));
    note(context, block.Information == sizeof all);
    note(context, all.access);
    note(context, all.mode);
    note(context, all.alignment);
    note(context, all.standard.EndOfFile.QuadPart);
    if (NT_SUCCESS(ObReferenceObjectByHandle(file, 0, *IoFileObjectType, KernelMode, (PVOID *)&object, NULL))) {
        note(context, (ULONG)IoQueryFileInformation(object, FileStandardInformation, sizeof standard, &standard, &returned));
        ObDereferenceObject(object);
    }
    note(context, returned);
    note(context, standard.EndOfFile.QuadPart);
    stop(inner, file);
}

static FILE_OBJECT *related_seen;
static ULONG name_seen, first_seen, create_flags;

static NTSTATUS NTAPI create(DEVICE_OBJECT *device, IRP *irp) {
    IO_STACK_LOCATION *location = IoGetCurrentIrpStackLocation(irp);
    UNREFERENCED_PARAMETER(device);
    related_seen = location->FileObject->RelatedFileObject;
    name_seen = location->FileObject->FileName.Length;
    first_seen = name_seen ? location->FileObject->FileName.Buffer[0] : 0;
    create_flags = location->Flags;
    return complete(irp, STATUS_SUCCESS, 0);
}

static NTSTATUS open_relative(HANDLE *file, HANDLE root, const WCHAR *text) {
    OBJECT_ATTRIBUTES attributes;
    UNICODE_STRING name;
    IO_STATUS_BLOCK block;
    RtlInitUnicodeString(&name, text);
    InitializeObjectAttributes(&attributes, &name, OBJ_KERNEL_HANDLE, root, NULL);
    return ZwOpenFile(file, GENERIC_READ, &attributes, &block, 0, 0);
}

static void relative(struct case_context *context) {
    struct inner *inner;
    HANDLE file, other = NULL;
    FILE_OBJECT *root, *object;
    UCHAR text[256];
    OBJECT_NAME_INFORMATION *name = (OBJECT_NAME_INFORMATION *)text;
    ULONG length;
    start(context, answer, 0, &inner, &file);
    context->device->DriverObject->MajorFunction[IRP_MJ_CREATE] = create;
    ObReferenceObjectByHandle(file, 0, *IoFileObjectType, KernelMode, (PVOID *)&root, NULL);
    note(context, (ULONG)open_relative(&other, file, L"part\\deep"));
    note(context, related_seen == root);
    note(context, name_seen);
    note(context, first_seen);
    ObReferenceObjectByHandle(other, 0, *IoFileObjectType, KernelMode, (PVOID *)&object, NULL);
    note(context, object->RelatedFileObject == NULL);
    note(context, NT_SUCCESS(ObQueryNameString(object, name, sizeof text, &length)) ? name->Name.Length : 0);
    ObDereferenceObject(object);
    ZwClose(other);
    note(context, (ULONG)open_relative(&other, file, L""));
    note(context, name_seen);
    ZwClose(other);
    note(context, (ULONG)open_relative(&other, file, L"\\part"));
    ObDereferenceObject(root);
    stop(inner, file);
}

static void io_create(struct case_context *context) {
    struct inner *inner;
    HANDLE file, other = NULL;
    OBJECT_ATTRIBUTES attributes;
    UNICODE_STRING name;
    IO_STATUS_BLOCK block;
    start(context, answer, 0, &inner, &file);
    context->device->DriverObject->MajorFunction[IRP_MJ_CREATE] = create;
    RtlInitUnicodeString(&name, INNER);
    InitializeObjectAttributes(&attributes, &name, OBJ_KERNEL_HANDLE, NULL, NULL);
    note(context, (ULONG)IoCreateFile(&other, GENERIC_READ, &attributes, &block, NULL, 0, 0, FILE_OPEN, 0, NULL, 0, CreateFileTypeNone, NULL, 0));
    ZwClose(other);
    note(context, (ULONG)IoCreateFile(&other, GENERIC_READ, &attributes, &block, NULL, 0, 0, FILE_OPEN, 0, NULL, 0, CreateFileTypeMailslot, NULL, 0));
    NTSTATUS status = IoCreateFile(&other, GENERIC_READ, &attributes, &block, NULL, 0, 0, FILE_OPEN, 0, NULL, 0, CreateFileTypeNone, NULL, IO_FORCE_ACCESS_CHECK);
    note(context, (ULONG)status);
    note(context, create_flags);
    if (NT_SUCCESS(status))
        ZwClose(other);
    stop(inner, file);
}

static void parameters(struct case_context *context) {
    DRIVER_OBJECT *driver = context->device->DriverObject;
    HANDLE key = NULL;
    UNICODE_STRING name = RTL_CONSTANT_STRING(L"Depth");
    ULONG64 space[8] = {0};
    KEY_VALUE_PARTIAL_INFORMATION *value = (KEY_VALUE_PARTIAL_INFORMATION *)space;
    ULONG length;
    note(context, (ULONG)IoOpenDriverRegistryKey(driver, 0, KEY_READ, 0, &key));
    note(context, (LONG64)key < 0);
    note(context, (ULONG)ZwQueryValueKey(key, &name, KeyValuePartialInformation, value, sizeof space, &length));
    note(context, *(ULONG *)value->Data);
    ZwClose(key);
    note(context, (ULONG)IoOpenDriverRegistryKey(driver, 0, KEY_READ, 1, &key));
    note(context, (ULONG)IoOpenDriverRegistryKey(driver, 9, KEY_READ, 0, &key));
}

static case_routine *const cases[] = {
    [FILES_INFORMATION] = information,
    [FILES_ALL] = all_information,
    [FILES_RELATIVE] = relative,
    [FILES_CREATE] = io_create,
    [FILES_PARAMETERS] = parameters,
    [FILES_APC] = apc_routine,
    [FILES_PENDED] = pended,
    [FILES_RAISE] = raised,
    [FILES_AS_PENDING] = as_pending,
    [FILES_NO_OFFSET] = no_offset,
    [FILES_FLUSH] = flush,
    [FILES_DIRECT] = direct,
    [FILES_METHODS] = methods,
    [FILES_ARM] = arm,
    [FILES_ARMED] = armed,
    [FILES_LEAVE] = leave,
    [FILES_LEFT] = left,
};
static const ULONG case_count = ARRAYSIZE(cases);
