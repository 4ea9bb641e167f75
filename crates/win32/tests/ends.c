/* Ends of the application, of its host, and of a child that it forks. For the driver `delay`; the test says what happens. */
#include <windows.h>
#include <winioctl.h>
#include <string.h>
#include "check.h"
#ifndef _WIN32
#include <sys/wait.h>
#include <unistd.h>
#endif

#define IOCTL_SET CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_BUFFERED, FILE_ANY_ACCESS)

static HANDLE device;
static OVERLAPPED looked_at, waited_for, with_event;
static char buffers[3][100000];

static DWORD WINAPI looks(LPVOID parameter) {
    UNREFERENCED_PARAMETER(parameter);
    while (*(volatile ULONG_PTR *)&looked_at.Internal == STATUS_PENDING) {
        YieldProcessor();
    }
    return (DWORD)looked_at.Internal;
}

static void begin(void) {
    DWORD setting[2] = {1, 3600000}, count;
    OVERLAPPED overlapped = {0};
    device = CreateFileA("\\\\.\\Delay", GENERIC_READ, 0, NULL, OPEN_EXISTING, FILE_FLAG_OVERLAPPED, NULL);
    CHECK(device != INVALID_HANDLE_VALUE);
    CHECK(DeviceIoControl(device, IOCTL_SET, setting, sizeof(setting), NULL, 0, &count, &overlapped));
    with_event.hEvent = CreateEvent(NULL, TRUE, FALSE, NULL);
    FAILS(ReadFile(device, buffers[0], sizeof(buffers[0]), NULL, &looked_at), ERROR_IO_PENDING);
    FAILS(ReadFile(device, buffers[1], sizeof(buffers[1]), NULL, &waited_for), ERROR_IO_PENDING);
    FAILS(ReadFile(device, buffers[2], sizeof(buffers[2]), NULL, &with_event), ERROR_IO_PENDING);
}

static BOOL has_ended(void) {
    return GetLastError() == ERROR_DEVICE_NOT_CONNECTED || GetLastError() == ERROR_OPERATION_ABORTED;
}

static void the_host_ends(void) {
    HANDLE thread = CreateThread(NULL, 0, looks, NULL, 0, NULL);
    DWORD count, code;
    CHECK(thread != NULL);
    printf("ready\n");
    fflush(stdout);
    /* A host that stops in order cancels them first. */
    CHECK(!GetOverlappedResult(device, &waited_for, &count, TRUE) && has_ended());
    CHECK(!GetOverlappedResult(device, &with_event, &count, TRUE) && has_ended());
    do {
        CHECK(GetExitCodeThread(thread, &code));
    } while (code == STILL_ACTIVE);
    CHECK(code == 0xC000009D || code == 0xC0000120);
    do {
        SetLastError(0);
        CreateEvent(NULL, TRUE, FALSE, NULL);
    } while (GetLastError() != ERROR_DEVICE_NOT_CONNECTED);
    FAILS(WaitForSingleObject(with_event.hEvent, INFINITE) != WAIT_FAILED, ERROR_DEVICE_NOT_CONNECTED);
    FAILS(ReadFile(device, buffers[0], 10, NULL, &looked_at), ERROR_DEVICE_NOT_CONNECTED);
    FAILS(CloseHandle(device), ERROR_DEVICE_NOT_CONNECTED);
}

static void a_child_is_forked(void) {
#ifndef _WIN32
    DWORD count;
    int status = 1;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        FAILS(ReadFile(device, buffers[0], 10, NULL, &waited_for), ERROR_DEVICE_NOT_CONNECTED);
        FAILS(GetOverlappedResult(device, &with_event, &count, TRUE), ERROR_DEVICE_NOT_CONNECTED);
        FAILS(WaitForSingleObject(device, INFINITE) != WAIT_FAILED, ERROR_DEVICE_NOT_CONNECTED);
        FAILS(CreateEvent(NULL, TRUE, TRUE, NULL), ERROR_DEVICE_NOT_CONNECTED);
        CHECK(VirtualAlloc(NULL, 4096, MEM_COMMIT, PAGE_READWRITE) == NULL);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(CancelIoEx(device, NULL));
    FAILS(GetOverlappedResult(device, &waited_for, &count, TRUE), ERROR_OPERATION_ABORTED);
    FAILS(GetOverlappedResult(device, &with_event, &count, TRUE), ERROR_OPERATION_ABORTED);
    CHECK(CloseHandle(with_event.hEvent) && CloseHandle(device));
#endif
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "";
    begin();
    if (strcmp(what, "host") == 0) {
        the_host_ends();
    } else if (strcmp(what, "fork") == 0) {
        a_child_is_forked();
    } else {
        printf("ready\n");
        fflush(stdout);
        Sleep(INFINITE);
    }
    printf("content\n");
    return 0;
}
