/* Opens \\.\My_Device, reads, writes and controls it (seeds 000, 001 and 004). Nothing here knows of Ringbridge.
 *
 *     Windows:  cl hello.c          Linux:  ringbridge cc hello.c -o hello */
#define UNICODE
#define _UNICODE
#include <windows.h>
#include <winioctl.h>
#include <stdio.h>

#define IOCTL_ECHO CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_BUFFERED, FILE_ANY_ACCESS)
#define IOCTL_LAST_WRITE CTL_CODE(FILE_DEVICE_UNKNOWN, 0x802, METHOD_BUFFERED, FILE_ANY_ACCESS)

int main(void) {
    UCHAR buffer[10];
    char text[] = "from an application in C", answer[64];
    DWORD count = 0;
    ULONG index;
    HANDLE device = CreateFile(L"\\\\.\\My_Device", GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, NULL);
    if (device == INVALID_HANDLE_VALUE) {
        printf("the device does not open: %lu\n", GetLastError());
        return 1;
    }
    if (!ReadFile(device, buffer, sizeof(buffer), &count, NULL)) {
        if (GetLastError() != ERROR_IO_PENDING) {
            printf("the read fails: %lu\n", GetLastError());
            return 1;
        }
        WaitForSingleObject(device, INFINITE);
    }
    printf("read %lu:", count);
    for (index = 0; index < count; index++) {
        printf(" %02x", buffer[index]);
    }
    printf("\n");
    if (!WriteFile(device, text, sizeof(text), &count, NULL)) {
        printf("the write fails: %lu\n", GetLastError());
        return 1;
    }
    printf("wrote %lu\n", count);
    if (!DeviceIoControl(device, IOCTL_LAST_WRITE, NULL, 0, answer, sizeof(answer), &count, NULL)) {
        printf("the control fails: %lu\n", GetLastError());
        return 1;
    }
    printf("the driver has: %s\n", answer);
    if (!DeviceIoControl(device, IOCTL_ECHO, text, 4, answer, sizeof(answer), &count, NULL)) {
        printf("the echo fails: %lu\n", GetLastError());
        return 1;
    }
    printf("echo of %lu: %.4s\n", count, answer);
    /* One buffer for both. */
    if (!DeviceIoControl(device, IOCTL_ECHO, text, sizeof(text), text, sizeof(text), &count, NULL)) {
        printf("the echo in place fails: %lu\n", GetLastError());
        return 1;
    }
    printf("echo of %lu: %s\n", count, text);
    CloseHandle(device);
    return 0;
}
