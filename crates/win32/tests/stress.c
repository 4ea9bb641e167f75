/* Threads that begin, await and cancel requests in all orders, on files of their own and on one that they share. For the driver `delay`. */
#include <windows.h>
#include <winioctl.h>
#include <string.h>
#include "check.h"

#define IOCTL_SET CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_BUFFERED, FILE_ANY_ACCESS)
enum { THREADS = 4, ROUNDS = 150, AT_ONCE = 8 };

static HANDLE shared;

static HANDLE open_delay(void) {
    DWORD setting[2] = {1, 1}, count;
    OVERLAPPED overlapped = {0};
    HANDLE device = CreateFileA("\\\\.\\Delay", GENERIC_READ, 0, NULL, OPEN_EXISTING, FILE_FLAG_OVERLAPPED, NULL);
    CHECK(device != INVALID_HANDLE_VALUE);
    CHECK(DeviceIoControl(device, IOCTL_SET, setting, sizeof(setting), NULL, 0, &count, &overlapped));
    return device;
}

static unsigned next(unsigned *seed) {
    *seed = *seed * 1103515245u + 12345u;
    return *seed >> 16;
}

/* Each is read whole or cancelled, and nothing else. */
static void ends(HANDLE device, OVERLAPPED *overlapped, const char *buffer, DWORD length, unsigned way) {
    DWORD count = 0, index;
    if (way % 4 == 0) {
        while (!HasOverlappedIoCompleted(overlapped)) {
            Sleep(0);
        }
    } else if (way % 4 == 1) {
        CHECK(WaitForSingleObject(overlapped->hEvent, INFINITE) == WAIT_OBJECT_0);
        CHECK(overlapped->Internal != STATUS_PENDING);
    }
    if (GetOverlappedResult(device, overlapped, &count, TRUE)) {
        CHECK(count == length);
        for (index = 0; index < length; index++) {
            CHECK(buffer[index] == 'd');
        }
    } else {
        CHECK(GetLastError() == ERROR_OPERATION_ABORTED && way % 3 == 0);
    }
}

static DWORD WINAPI works(LPVOID number) {
    unsigned seed = (unsigned)(ULONG_PTR)number, round, index, ways[AT_ONCE];
    static char buffers[THREADS][AT_ONCE][20000];
    char(*buffer)[20000] = buffers[(ULONG_PTR)number];
    OVERLAPPED overlapped[AT_ONCE];
    DWORD lengths[AT_ONCE];
    HANDLE own = open_delay(), device;
    memset(overlapped, 0, sizeof(overlapped));
    for (index = 0; index < AT_ONCE; index++) {
        overlapped[index].hEvent = CreateEvent(NULL, TRUE, FALSE, NULL);
        CHECK(overlapped[index].hEvent != NULL);
    }
    for (round = 0; round < ROUNDS; round++) {
        device = next(&seed) % 2 ? own : shared;
        for (index = 0; index < AT_ONCE; index++) {
            ways[index] = next(&seed);
            lengths[index] = 1 + next(&seed) % 20000;
            memset(buffer[index], 0, lengths[index]);
            if (!ReadFile(device, buffer[index], lengths[index], NULL, &overlapped[index])) {
                CHECK(GetLastError() == ERROR_IO_PENDING);
            }
        }
        for (index = 0; index < AT_ONCE; index++) {
            if (ways[index] % 3 == 0 && !CancelIoEx(device, &overlapped[index])) {
                CHECK(GetLastError() == ERROR_NOT_FOUND);
            }
        }
        for (index = AT_ONCE; index-- > 0;) {
            ends(device, &overlapped[index], buffer[index], lengths[index], ways[index]);
        }
    }
    for (index = 0; index < AT_ONCE; index++) {
        CHECK(CloseHandle(overlapped[index].hEvent));
    }
    CHECK(CloseHandle(own));
    return 0;
}

int main(void) {
    HANDLE threads[THREADS];
    ULONG_PTR index;
    shared = open_delay();
    for (index = 0; index < THREADS; index++) {
        threads[index] = CreateThread(NULL, 0, works, (LPVOID)index, 0, NULL);
        CHECK(threads[index] != NULL);
    }
    CHECK(WaitForMultipleObjects(THREADS, threads, TRUE, INFINITE) == WAIT_OBJECT_0);
    for (index = 0; index < THREADS; index++) {
        CHECK(CloseHandle(threads[index]));
    }
    CHECK(CloseHandle(shared));
    printf("content\n");
    return 0;
}
