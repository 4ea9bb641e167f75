/* A driver that tells the application when there is something to read (seed 002): by an event of the driver's that has a name, and by
 * an event of the application's, whose handle the driver is given. An event has one bit, so behind it is a loop that reads to the end.
 *
 *     notify named|own COUNT */
#include <windows.h>
#include <winioctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IOCTL_NAME CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_BUFFERED, FILE_READ_ACCESS)
#define IOCTL_START CTL_CODE(FILE_DEVICE_UNKNOWN, 0x801, METHOD_BUFFERED, FILE_READ_ACCESS)

struct start {
    DWORD way;
    DWORD count;
    ULONGLONG event;
};

int main(int argc, char **argv) {
    int own = argc > 1 && strcmp(argv[1], "own") == 0;
    ULONGLONG expected = 0, total = argc > 2 ? strtoul(argv[2], NULL, 10) : 10;
    struct start start;
    DWORD size = own ? sizeof(start) : 8, count;
    HANDLE event, device = CreateFileA("\\\\.\\Notify", GENERIC_READ, 0, NULL, OPEN_EXISTING, 0, NULL);
    if (device == INVALID_HANDLE_VALUE) {
        printf("the device does not open: %lu\n", GetLastError());
        return 1;
    }
    if (own) {
        event = CreateEvent(NULL, FALSE, FALSE, NULL);
    } else {
        WCHAR name[128] = L"Global\\";
        if (!DeviceIoControl(device, IOCTL_NAME, NULL, 0, name + 7, sizeof(name) - 16, &count, NULL)) {
            printf("no name: %lu\n", GetLastError());
            return 1;
        }
        name[7 + count / sizeof(WCHAR)] = 0;
        event = OpenEventW(SYNCHRONIZE, FALSE, name);
    }
    if (event == NULL) {
        printf("no event: %lu\n", GetLastError());
        return 1;
    }
    start.way = own ? 1 : 0;
    start.count = (DWORD)total;
    start.event = (ULONGLONG)(ULONG_PTR)event;
    if (!DeviceIoControl(device, IOCTL_START, &start, size, NULL, 0, &count, NULL)) {
        printf("no start: %lu\n", GetLastError());
        return 1;
    }
    while (expected < total) {
        ULONGLONG number;
        if (WaitForSingleObject(event, INFINITE) != WAIT_OBJECT_0) {
            printf("no wait: %lu\n", GetLastError());
            return 1;
        }
        while (ReadFile(device, &number, sizeof(number), &count, NULL)) {
            if (number != expected++) {
                printf("got %I64u instead of %I64u\n", number, expected - 1);
                return 1;
            }
        }
        if (GetLastError() != ERROR_NO_MORE_ITEMS) {
            printf("the read fails: %lu\n", GetLastError());
            return 1;
        }
    }
    printf("%I64u notifications\n", expected);
    if (!own && !SetEvent(event)) {
        printf("the driver's event is not ours to set: %lu\n", GetLastError());
    }
    CloseHandle(event);
    CloseHandle(device);
    return 0;
}
