// mdl.sys: what a driver gets to see of an application's buffers, by every METHOD and every mode of read and write.
//
// Devices \\.\RbBuffered, \\.\RbDirect and \\.\RbNeither, for the three modes. Control codes are
// CTL_CODE(FILE_DEVICE_UNKNOWN, 0x900 + n, any METHOD, FILE_ANY_ACCESS) on any of them. Requests 0 to 4 make checksums
// of both buffers as they came, fill the second one with a pattern that begins with the first one's checksum, and end:
//   0 with success; 1 with STATUS_BUFFER_OVERFLOW; 2 with STATUS_BUFFER_TOO_SMALL, each with the second buffer's length;
//   3 with success and 100 bytes more than the buffer has; 4 as 0, but the second buffer is left alone.
// Request 6, of a direct METHOD, touches the second buffer's first and last byte only (for timing).
// A write makes a checksum of its data; a read is filled with the pattern of the last write's checksum.
// Requests 16 and up are METHOD_BUFFERED; their input is 64-bit words and they answer with a struct report:
//   16 the report of the last request of any kind;
//   17 under __try: ProbeForRead (word 2 is 0) or ProbeForWrite (1) of address word 0, length word 1; then its checksum,
//      or the pattern of seed word 3;
//   18 the same by MmProbeAndLockPages, in the mode that word 4 says (0 KernelMode, 1 UserMode);
//   19 as 18, and the pages stay locked; 20 writes the pattern of seed word 0 to them, and unlocks them;
//   21 MDLs of nonpaged pool, partial MDLs, MmAllocatePagesForMdl: the number of the first check that fails, else 0;
//   23 adds a secondary MDL to the request's own IRP and leaves it there; 24 MmUnlockPages of an MDL that locks nothing: stop 4Eh; 25 IoFreeMdl twice: stop C2h; 26 IoBuildPartialMdl
//      with a target that is too small: stop 40h; 27 writes the pattern of seed word 3 without a probe.
// IoFreeMdl of the request's own MDL, request 5 with a direct METHOD: stop C2h.
#include <ntddk.h>

#include "complete.h"

#define TAG 'fuBR'
#define FIRST 0x900u

struct report {
    ULONG64 status;        // what was raised, or 0
    ULONG64 first;         // checksum of the first buffer, or what a request notes
    ULONG64 second;        // checksum of the second buffer as it came
    ULONG64 first_address; // where they were
    ULONG64 second_address;
    ULONG64 mdl_flags;     // of Irp->MdlAddress as it came; 0 without one
    ULONG64 mdl_size;
    ULONG64 mdl_length;
    ULONG64 has_mdl;
    ULONG64 has_system_buffer;
};

enum mode { BUFFERED, DIRECT, NEITHER };

static struct report last;
static MDL *kept;
static ULONG64 last_write;

static ULONG64 checksum(const volatile UCHAR *bytes, ULONG64 length) {
    ULONG64 sum = 0xCBF29CE484222325;
    for (ULONG64 i = 0; i < length; i++)
        sum = (sum ^ bytes[i]) * 0x100000001B3;
    return sum;
}

static void fill(volatile UCHAR *bytes, ULONG64 length, ULONG64 seed) {
    for (ULONG64 i = 0; i < length; i++)
        bytes[i] = (UCHAR)(seed + i * 31 + (i >> 8));
}

static enum mode mode_of(DEVICE_OBJECT *device) {
    return device->Flags & DO_BUFFERED_IO ? BUFFERED : device->Flags & DO_DIRECT_IO ? DIRECT : NEITHER;
}

static void look(IRP *irp) {
    RtlZeroMemory(&last, sizeof last);
    last.has_system_buffer = irp->AssociatedIrp.SystemBuffer != NULL;
    last.has_mdl = irp->MdlAddress != NULL;
    if (irp->MdlAddress) {
        last.mdl_flags = irp->MdlAddress->MdlFlags;
        last.mdl_size = irp->MdlAddress->Size;
        last.mdl_length = MmGetMdlByteCount(irp->MdlAddress);
    }
}

static VOID *system_address(MDL *mdl) {
    return mdl ? MmGetSystemAddressForMdlSafe(mdl, NormalPagePriority) : NULL;
}

static NTSTATUS NTAPI write(DEVICE_OBJECT *device, IRP *irp) {
    ULONG length = IoGetCurrentIrpStackLocation(irp)->Parameters.Write.Length;
    look(irp);
    enum mode mode = mode_of(device);
    VOID *data = mode == BUFFERED ? irp->AssociatedIrp.SystemBuffer
        : mode == DIRECT ? system_address(irp->MdlAddress) : irp->UserBuffer;
    __try {
        if (mode == NEITHER)
            ProbeForRead(data, length, 1);
        last_write = last.first = checksum(data, length);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        return complete(irp, GetExceptionCode(), 0);
    }
    last.first_address = (ULONG64)data;
    return complete(irp, STATUS_SUCCESS, length);
}

static NTSTATUS NTAPI read(DEVICE_OBJECT *device, IRP *irp) {
    ULONG length = IoGetCurrentIrpStackLocation(irp)->Parameters.Read.Length;
    look(irp);
    enum mode mode = mode_of(device);
    VOID *data = mode == BUFFERED ? irp->AssociatedIrp.SystemBuffer
        : mode == DIRECT ? system_address(irp->MdlAddress) : irp->UserBuffer;
    __try {
        if (mode == NEITHER)
            ProbeForWrite(data, length, 1);
        if (mode != BUFFERED)
            last.second = checksum(data, length);
        fill(data, length, last_write);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        return complete(irp, GetExceptionCode(), 0);
    }
    last.second_address = (ULONG64)data;
    return complete(irp, STATUS_SUCCESS, length);
}

static NTSTATUS transfer(IRP *irp, ULONG number) {
    IO_STACK_LOCATION *location = IoGetCurrentIrpStackLocation(irp);
    ULONG method = location->Parameters.DeviceIoControl.IoControlCode & 3;
    ULONG first_length = location->Parameters.DeviceIoControl.InputBufferLength;
    ULONG second_length = location->Parameters.DeviceIoControl.OutputBufferLength;
    VOID *first = irp->AssociatedIrp.SystemBuffer, *second = first;
    look(irp);
    if (method == METHOD_IN_DIRECT || method == METHOD_OUT_DIRECT)
        second = system_address(irp->MdlAddress);
    __try {
        if (method == METHOD_NEITHER) {
            first = location->Parameters.DeviceIoControl.Type3InputBuffer;
            second = irp->UserBuffer;
            ProbeForRead(first, first_length, 1);
            ProbeForWrite(second, second_length, 1);
        }
        last.first = checksum(first, first_length);
        if (method != METHOD_BUFFERED)
            last.second = checksum(second, second_length);
        if (number != 4)
            fill(second, second_length, last.first);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        return complete(irp, GetExceptionCode(), 0);
    }
    last.first_address = (ULONG64)first;
    last.second_address = (ULONG64)second;
    switch (number) {
    case 1:
        return complete(irp, STATUS_BUFFER_OVERFLOW, second_length);
    case 2:
        return complete(irp, STATUS_BUFFER_TOO_SMALL, second_length);
    case 3:
        return complete(irp, STATUS_SUCCESS, second_length + 100);
    case 5:
        IoFreeMdl(irp->MdlAddress);
        return complete(irp, STATUS_SUCCESS, 0);
    default:
        return complete(irp, STATUS_SUCCESS, second_length);
    }
}

static NTSTATUS touch(IRP *irp) {
    ULONG length = IoGetCurrentIrpStackLocation(irp)->Parameters.DeviceIoControl.OutputBufferLength;
    if (irp->MdlAddress) {
        volatile UCHAR *bytes = system_address(irp->MdlAddress);
        if (!bytes)
            return complete(irp, STATUS_INSUFFICIENT_RESOURCES, 0);
        bytes[length - 1] = bytes[0] + 1;
    }
    return complete(irp, STATUS_SUCCESS, length);
}

static void probe(struct report *report, const ULONG64 *words) {
    volatile UCHAR *bytes = (volatile UCHAR *)words[0];
    __try {
        if (words[2])
            ProbeForWrite((VOID *)bytes, words[1], 1);
        else
            ProbeForRead((VOID *)bytes, words[1], 1);
        if (words[2])
            fill(bytes, words[1], words[3]);
        else
            report->first = checksum(bytes, words[1]);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        report->status = (ULONG)GetExceptionCode();
    }
}

static MDL *lock(struct report *report, const ULONG64 *words) {
    MDL *mdl = IoAllocateMdl((VOID *)words[0], (ULONG)words[1], FALSE, FALSE, NULL);
    if (!mdl) {
        report->status = (ULONG)STATUS_INSUFFICIENT_RESOURCES;
        return NULL;
    }
    __try {
        MmProbeAndLockPages(mdl, (KPROCESSOR_MODE)words[4], words[2] ? IoWriteAccess : IoReadAccess);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        report->status = (ULONG)GetExceptionCode();
        IoFreeMdl(mdl);
        return NULL;
    }
    report->mdl_flags = mdl->MdlFlags;
    VOID *bytes = system_address(mdl);
    if (words[2])
        fill(bytes, words[1], words[3]);
    else
        report->first = checksum(bytes, words[1]);
    return mdl;
}

static void unlock(MDL *mdl) {
    MmUnlockPages(mdl);
    IoFreeMdl(mdl);
}

#define CHECK(n, condition) do { if (!(condition)) return (n); } while (0)

static ULONG64 check_partial(MDL *mdl, UCHAR *pool) {
    MDL *part = IoAllocateMdl(pool + 4000, 200, FALSE, FALSE, NULL);
    CHECK(20, part);
    IoBuildPartialMdl(mdl, part, pool + 4000, 200);
    CHECK(21, part->MdlFlags & MDL_PARTIAL);
    CHECK(22, MmGetMdlByteCount(part) == 200 && MmGetMdlByteOffset(part) == 4000);
    CHECK(23, MmGetMdlVirtualAddress(part) == pool + 4000);
    CHECK(24, MmGetMdlPfnArray(part)[0] == MmGetMdlPfnArray(mdl)[0]);
    CHECK(25, MmGetMdlPfnArray(part)[1] == MmGetMdlPfnArray(mdl)[1]);
    UCHAR *bytes = system_address(part);
    CHECK(26, bytes == pool + 4000);
    bytes[199] = 0x5A;
    CHECK(27, pool[4199] == 0x5A);
    MmPrepareMdlForReuse(part);
    IoBuildPartialMdl(mdl, part, pool + 9990, 0);
    CHECK(28, MmGetMdlByteCount(part) == 10 && system_address(part) == pool + 9990);
    IoFreeMdl(part);
    return 0;
}

static ULONG64 check_pages(void) {
    PHYSICAL_ADDRESS low = {.QuadPart = 0}, high = {.QuadPart = -1}, skip = {.QuadPart = 0};
    MDL *mdl = MmAllocatePagesForMdl(low, high, skip, 5000);
    CHECK(40, mdl);
    CHECK(41, MmGetMdlByteCount(mdl) == 8192 && MmGetMdlByteOffset(mdl) == 0);
    CHECK(42, mdl->MdlFlags & MDL_PAGES_LOCKED);
    volatile UCHAR *bytes = system_address(mdl);
    CHECK(43, bytes);
    for (ULONG i = 0; i < 8192; i++)
        CHECK(44, bytes[i] == 0);
    fill(bytes, 8192, 1);
    CHECK(45, checksum(bytes, 8192) != 0);
    MmUnmapLockedPages((VOID *)bytes, mdl);
    MmFreePagesFromMdl(mdl);
    ExFreePool(mdl);
    return 0;
}

static ULONG64 check_mdls(void) {
    UCHAR *pool = ExAllocatePoolWithTag(NonPagedPoolNx, 10000, TAG);
    CHECK(1, pool);
    MDL *mdl = IoAllocateMdl(pool, 10000, FALSE, FALSE, NULL);
    CHECK(2, mdl);
    CHECK(3, mdl->Size == 0x30 + 3 * 8 && mdl->MdlFlags == 0 && mdl->Next == NULL);
    CHECK(4, MmSizeOfMdl(pool, 10000) == 0x30 + 3 * 8 && MmSizeOfMdl((VOID *)1, 4096) == 0x30 + 2 * 8);
    MmBuildMdlForNonPagedPool(mdl);
    CHECK(5, mdl->MdlFlags & MDL_SOURCE_IS_NONPAGED_POOL);
    CHECK(6, system_address(mdl) == pool);
    CHECK(7, MmGetMdlPfnArray(mdl)[0] && MmGetMdlPfnArray(mdl)[0] != MmGetMdlPfnArray(mdl)[1]);
    ULONG64 failed = check_partial(mdl, pool);
    CHECK(failed, !failed);
    IoFreeMdl(mdl);
    CHECK(8, IoAllocateMdl(pool, 0xFFFFFFFF, FALSE, FALSE, NULL) == NULL);
    // Pool can be locked too, and the driver's own memory can hold an MDL.
    ULONG64 room[16];
    mdl = (MDL *)room;
    MmInitializeMdl(mdl, pool + 1, 5000);
    MmProbeAndLockPages(mdl, KernelMode, IoModifyAccess);
    CHECK(9, (mdl->MdlFlags & (MDL_PAGES_LOCKED | MDL_WRITE_OPERATION)) == (MDL_PAGES_LOCKED | MDL_WRITE_OPERATION));
    CHECK(10, system_address(mdl) == pool + 1 && mdl->MdlFlags & MDL_MAPPED_TO_SYSTEM_VA);
    MmUnmapLockedPages(pool + 1, mdl);
    CHECK(11, !(mdl->MdlFlags & MDL_MAPPED_TO_SYSTEM_VA));
    MmUnlockPages(mdl);
    CHECK(12, !(mdl->MdlFlags & MDL_PAGES_LOCKED));
    ExFreePoolWithTag(pool, TAG);
    return check_pages();
}

static void wrong(ULONG number) {
    MDL *mdl = IoAllocateMdl((VOID *)0x1000, 8192, FALSE, FALSE, NULL);
    MDL *small = IoAllocateMdl((VOID *)0x1000, 10, FALSE, FALSE, NULL);
    if (number == 24)
        MmUnlockPages(mdl);
    if (number == 25) {
        IoFreeMdl(mdl);
        IoFreeMdl(mdl);
    }
    if (number == 26)
        IoBuildPartialMdl(mdl, small, (VOID *)0x1000, 8192);
}

static NTSTATUS service(IRP *irp, ULONG number) {
    IO_STACK_LOCATION *location = IoGetCurrentIrpStackLocation(irp);
    ULONG64 words[5] = {0};
    struct report report = {0};
    ULONG length = location->Parameters.DeviceIoControl.InputBufferLength;
    if ((location->Parameters.DeviceIoControl.IoControlCode & 3) != METHOD_BUFFERED)
        return complete(irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    if (location->Parameters.DeviceIoControl.OutputBufferLength < sizeof report)
        return complete(irp, STATUS_BUFFER_TOO_SMALL, 0);
    RtlCopyMemory(words, irp->AssociatedIrp.SystemBuffer, length < sizeof words ? length : sizeof words);
    MDL *mdl;
    switch (number) {
    case 16:
        report = last;
        break;
    case 17:
        probe(&report, words);
        break;
    case 18:
        mdl = lock(&report, words);
        if (mdl)
            unlock(mdl);
        break;
    case 19:
        kept = lock(&report, words);
        break;
    case 20:
        fill(system_address(kept), MmGetMdlByteCount(kept), words[0]);
        unlock(kept);
        kept = NULL;
        break;
    case 21:
        report.first = check_mdls();
        break;
    case 23:
        report.first = IoAllocateMdl((VOID *)words, 8, TRUE, FALSE, irp) != NULL;
        report.first += IoAllocateMdl((VOID *)words, 8, TRUE, FALSE, irp) == irp->MdlAddress->Next;
        break;
    case 27:
        __try {
            fill((volatile UCHAR *)words[0], words[1], words[3]);
        } __except (EXCEPTION_EXECUTE_HANDLER) {
            report.status = (ULONG)GetExceptionCode();
        }
        break;
    default:
        wrong(number);
    }
    RtlCopyMemory(irp->AssociatedIrp.SystemBuffer, &report, sizeof report);
    return complete(irp, STATUS_SUCCESS, sizeof report);
}

static NTSTATUS NTAPI control(DEVICE_OBJECT *device, IRP *irp) {
    UNREFERENCED_PARAMETER(device);
    ULONG code = IoGetCurrentIrpStackLocation(irp)->Parameters.DeviceIoControl.IoControlCode;
    ULONG number = ((code >> 2) & 0xFFF) - FIRST;
    if (number <= 5)
        return transfer(irp, number);
    if (number == 6)
        return touch(irp);
    if (number >= 16 && number <= 27)
        return service(irp, number);
    return complete(irp, STATUS_INVALID_DEVICE_REQUEST, 0);
}

static const struct {
    const WCHAR *name, *link;
    ULONG flags;
} devices[] = {
    {L"\\Device\\RbBuffered", L"\\??\\RbBuffered", DO_BUFFERED_IO},
    {L"\\Device\\RbDirect", L"\\??\\RbDirect", DO_DIRECT_IO},
    {L"\\Device\\RbNeither", L"\\??\\RbNeither", 0},
};

static VOID NTAPI unload(DRIVER_OBJECT *driver) {
    UNICODE_STRING link;
    for (ULONG i = 0; i < 3; i++) {
        RtlInitUnicodeString(&link, devices[i].link);
        IoDeleteSymbolicLink(&link);
    }
    while (driver->DeviceObject)
        IoDeleteDevice(driver->DeviceObject);
}

NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *driver, UNICODE_STRING *path) {
    UNREFERENCED_PARAMETER(path);
    for (ULONG i = 0; i < 3; i++) {
        UNICODE_STRING name, link;
        DEVICE_OBJECT *device;
        RtlInitUnicodeString(&name, devices[i].name);
        RtlInitUnicodeString(&link, devices[i].link);
        NTSTATUS status = IoCreateDevice(driver, 0, &name, FILE_DEVICE_UNKNOWN, 0, FALSE, &device);
        if (NT_SUCCESS(status))
            status = IoCreateSymbolicLink(&link, &name);
        if (!NT_SUCCESS(status)) {
            unload(driver);
            return status;
        }
        device->Flags |= devices[i].flags;
        device->Flags &= ~DO_DEVICE_INITIALIZING;
    }
    driver->MajorFunction[IRP_MJ_CREATE] = open_or_close;
    driver->MajorFunction[IRP_MJ_CLEANUP] = open_or_close;
    driver->MajorFunction[IRP_MJ_CLOSE] = open_or_close;
    driver->MajorFunction[IRP_MJ_READ] = read;
    driver->MajorFunction[IRP_MJ_WRITE] = write;
    driver->MajorFunction[IRP_MJ_DEVICE_CONTROL] = control;
    driver->DriverUnload = unload;
    return STATUS_SUCCESS;
}
