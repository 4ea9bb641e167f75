/* NT's own calls. For the driver `delay`. */
#include <windows.h>
#include <winioctl.h>
#include <winternl.h>
#include <string.h>
#include "check.h"

#define IOCTL_SET CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_BUFFERED, FILE_ANY_ACCESS)
#define PENDING ((NTSTATUS)0x103)

#ifdef _WIN32
/* winternl.h has no declarations of these. */
NTSYSAPI NTSTATUS NTAPI NtReadFile(HANDLE, HANDLE, PIO_APC_ROUTINE, PVOID, PIO_STATUS_BLOCK, PVOID, ULONG, PLARGE_INTEGER, PULONG);
#endif

static PVOID ran_with;

static VOID NTAPI routine(PVOID context, PIO_STATUS_BLOCK block, ULONG reserved) {
    CHECK(block->Information == 10 && reserved == 0);
    ran_with = context;
}

int main(void) {
    DWORD setting[2] = {1, 5};
    char buffer[10];
    HANDLE device = NULL, event;
    UNICODE_STRING name;
    OBJECT_ATTRIBUTES attributes;
    IO_STATUS_BLOCK block;
    LARGE_INTEGER start;
    start.QuadPart = 0;
    RtlInitUnicodeString(&name, L"\\??\\Nobody");
    CHECK(name.Length == 20 && name.MaximumLength == 22);
    InitializeObjectAttributes(&attributes, &name, OBJ_CASE_INSENSITIVE, NULL, NULL);
    CHECK(NtCreateFile(&device, GENERIC_READ | SYNCHRONIZE, &attributes, &block, NULL, 0, 0, FILE_OPEN, 0, NULL, 0) == (NTSTATUS)0xC0000034);
    RtlInitUnicodeString(&name, L"\\Device\\Delay");
    CHECK(NtCreateFile(&device, GENERIC_READ | SYNCHRONIZE, &attributes, NULL, NULL, 0, 0, FILE_OPEN, 0, NULL, 0) == (NTSTATUS)0xC0000005);
    CHECK(NtCreateFile(&device, GENERIC_READ | SYNCHRONIZE, &attributes, &block, NULL, 0, 0, FILE_OPEN, 0, NULL, 0) == 0);
    CHECK(block.Status == 0);
    CHECK(NtDeviceIoControlFile(device, NULL, NULL, NULL, &block, IOCTL_SET, setting, sizeof(setting), NULL, 0) == 0);
    event = CreateEvent(NULL, TRUE, FALSE, NULL);
    CHECK(NtReadFile(device, event, NULL, NULL, &block, buffer, 10, &start, NULL) == PENDING);
    CHECK(WaitForSingleObject(event, INFINITE) == WAIT_OBJECT_0);
    CHECK(block.Status == 0 && block.Information == 10 && memcmp(buffer, "dddddddddd", 10) == 0);
    CHECK(NtReadFile(device, NULL, routine, buffer, &block, buffer, 10, &start, NULL) == PENDING);
    CHECK(SleepEx(INFINITE, TRUE) == WAIT_IO_COMPLETION && ran_with == buffer);
    CHECK(NtReadFile(device, NULL, NULL, NULL, &block, buffer, 10, NULL, NULL) == (NTSTATUS)0xC000000D);
    CHECK(NtClose(event) == 0 && NtClose(device) == 0);
    CHECK(NtClose(device) == (NTSTATUS)0xC0000008);
    CHECK(RtlNtStatusToDosError((NTSTATUS)0xC0000034) == ERROR_FILE_NOT_FOUND);
    printf("content\n");
    return 0;
}
