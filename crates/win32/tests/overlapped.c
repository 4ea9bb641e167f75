/* Requests that go on: events, completion ports, APC routines, looking, cancelling. For the driver `delay`. */
#include <windows.h>
#include <winioctl.h>
#include <process.h>
#include <string.h>
#include "check.h"

#define IOCTL_SET CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_BUFFERED, FILE_ANY_ACCESS)

enum { THREAD, TIMER, WORK_ITEM };
#define NEVER 3600000

static HANDLE open_delay(DWORD way, DWORD milliseconds, DWORD flags) {
    DWORD setting[2] = {way, milliseconds}, count = 7;
    OVERLAPPED overlapped = {0};
    HANDLE device = CreateFileA("\\\\.\\Delay", GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING, flags, NULL);
    CHECK(device != INVALID_HANDLE_VALUE);
    CHECK(DeviceIoControl(device, IOCTL_SET, setting, sizeof(setting), NULL, 0, &count, flags ? &overlapped : NULL));
    CHECK(count == 0);
    return device;
}

static void is_all(const char *buffer, size_t length, char letter) {
    size_t index;
    for (index = 0; index < length; index++) {
        CHECK(buffer[index] == letter);
    }
}

static void an_event_tells_the_end_and_the_data_is_home_by_then(void) {
    static char buffer[100000];
    int round;
    HANDLE device = open_delay(TIMER, 5, FILE_FLAG_OVERLAPPED);
    OVERLAPPED overlapped = {0};
    DWORD count;
    overlapped.hEvent = CreateEvent(NULL, TRUE, TRUE, NULL);
    for (round = 0; round < 3; round++) {
        memset(buffer, 0, sizeof(buffer));
        FAILS(ReadFile(device, buffer, sizeof(buffer), NULL, &overlapped), ERROR_IO_PENDING);
        CHECK(WaitForSingleObject(overlapped.hEvent, INFINITE) == WAIT_OBJECT_0);
        CHECK(overlapped.Internal == 0 && overlapped.InternalHigh == sizeof(buffer));
        is_all(buffer, sizeof(buffer), 'd');
        CHECK(GetOverlappedResult(device, &overlapped, &count, FALSE) && count == sizeof(buffer));
    }
    CloseHandle(overlapped.hEvent);
    CHECK(CloseHandle(device));
}

static void without_an_event_the_result_is_waited_for(void) {
    char first[10], second[10];
    HANDLE device = open_delay(WORK_ITEM, 5, FILE_FLAG_OVERLAPPED);
    OVERLAPPED one = {0}, other = {0};
    DWORD count;
    FAILS(ReadFile(device, first, sizeof(first), NULL, &one), ERROR_IO_PENDING);
    FAILS(ReadFile(device, second, sizeof(second), NULL, &other), ERROR_IO_PENDING);
    CHECK(GetOverlappedResult(device, &one, &count, TRUE) && count == 10);
    is_all(first, 10, 'w');
    CHECK(GetOverlappedResult(device, &other, &count, TRUE) && count == 10);
    is_all(second, 10, 'w');
    CHECK(CloseHandle(device));
}

static void whoever_only_looks_at_the_overlapped_sees_the_end(void) {
    char buffer[10];
    HANDLE device = open_delay(TIMER, 5, FILE_FLAG_OVERLAPPED);
    OVERLAPPED overlapped = {0};
    int calls;
    for (calls = 0; calls < 2; calls++) {
        FAILS(ReadFile(device, buffer, sizeof(buffer), NULL, &overlapped), ERROR_IO_PENDING);
        if (calls) {
            while (!HasOverlappedIoCompleted(&overlapped)) {
            }
        } else {
            while (*(volatile ULONG_PTR *)&overlapped.Internal == STATUS_PENDING) {
            }
        }
        is_all(buffer, sizeof(buffer), 'd');
        CHECK(overlapped.InternalHigh == 10);
    }
    CHECK(CloseHandle(device));
}

struct two {
    HANDLE device;
    OVERLAPPED overlapped;
};

static DWORD WINAPI awaits(LPVOID argument) {
    struct two *two = argument;
    DWORD count = 0;
    return GetOverlappedResult(two->device, &two->overlapped, &count, TRUE) ? count : 0;
}

static void whoever_waits_is_told_also_when_another_has_looked_first(void) {
    char buffer[10];
    struct two two = {0};
    int round;
    two.device = open_delay(TIMER, 5, FILE_FLAG_OVERLAPPED);
    for (round = 0; round < 50; round++) {
        HANDLE thread;
        DWORD count = 0;
        FAILS(ReadFile(two.device, buffer, sizeof(buffer), NULL, &two.overlapped), ERROR_IO_PENDING);
        thread = CreateThread(NULL, 0, awaits, &two, 0, NULL);
        CHECK(thread != NULL);
        while (!HasOverlappedIoCompleted(&two.overlapped)) {
        }
        CHECK(WaitForSingleObject(thread, INFINITE) == WAIT_OBJECT_0);
        CHECK(GetExitCodeThread(thread, &count) && count == 10);
        CHECK(CloseHandle(thread));
    }
    CHECK(CloseHandle(two.device));
}

static void a_cancelled_request_is_operation_aborted(void) {
    char buffer[10];
    HANDLE device = open_delay(TIMER, NEVER, FILE_FLAG_OVERLAPPED);
    OVERLAPPED one = {0}, other = {0};
    DWORD count;
    one.hEvent = CreateEvent(NULL, FALSE, FALSE, NULL);
    FAILS(ReadFile(device, buffer, sizeof(buffer), NULL, &one), ERROR_IO_PENDING);
    FAILS(GetOverlappedResult(device, &one, &count, FALSE), ERROR_IO_INCOMPLETE);
    FAILS(GetOverlappedResultEx(device, &one, &count, 5, FALSE), WAIT_TIMEOUT);
    FAILS(CancelIoEx(device, &other), ERROR_NOT_FOUND);
    CHECK(CancelIoEx(device, &one));
    FAILS(GetOverlappedResult(device, &one, &count, TRUE), ERROR_OPERATION_ABORTED);
    FAILS(CancelIoEx(device, NULL), ERROR_NOT_FOUND);
    FAILS(ReadFile(device, buffer, sizeof(buffer), NULL, &one), ERROR_IO_PENDING);
    CHECK(CancelIo(device));
    CHECK(WaitForSingleObject(one.hEvent, INFINITE) == WAIT_OBJECT_0);
    FAILS(GetOverlappedResult(device, &one, &count, FALSE), ERROR_OPERATION_ABORTED);
    /* The file is closed with a request that goes on. */
    FAILS(ReadFile(device, buffer, sizeof(buffer), NULL, &one), ERROR_IO_PENDING);
    CHECK(CloseHandle(device));
    CHECK(WaitForSingleObject(one.hEvent, INFINITE) == WAIT_OBJECT_0);
    CHECK(one.Internal == 0xC0000120);
    CloseHandle(one.hEvent);
}

static int ran;
static DWORD ran_with[2];
static OVERLAPPED *ran_for;

static VOID CALLBACK routine(DWORD code, DWORD bytes, LPOVERLAPPED overlapped) {
    ran++;
    ran_with[0] = code;
    ran_with[1] = bytes;
    ran_for = overlapped;
}

static void a_completion_routine_runs_in_an_alertable_wait(void) {
    char buffer[10];
    HANDLE device = open_delay(TIMER, 5, FILE_FLAG_OVERLAPPED), event = CreateEvent(NULL, FALSE, FALSE, NULL);
    OVERLAPPED overlapped = {0};
    ran = 0;
    CHECK(ReadFileEx(device, buffer, sizeof(buffer), &overlapped, routine));
    CHECK(WaitForSingleObject(event, 20) == WAIT_TIMEOUT && ran == 0);
    CHECK(SleepEx(INFINITE, TRUE) == WAIT_IO_COMPLETION);
    CHECK(ran == 1 && ran_with[0] == 0 && ran_with[1] == 10 && ran_for == &overlapped);
    is_all(buffer, sizeof(buffer), 'd');
    CHECK(ReadFileEx(device, buffer, 3, &overlapped, routine));
    CHECK(WaitForSingleObjectEx(event, INFINITE, TRUE) == WAIT_IO_COMPLETION);
    CHECK(ran == 2 && ran_with[1] == 3);
    CHECK(SleepEx(0, TRUE) == 0);
    CHECK(CloseHandle(device));
    device = open_delay(TIMER, NEVER, FILE_FLAG_OVERLAPPED);
    CHECK(ReadFileEx(device, buffer, 3, &overlapped, routine));
    CHECK(CancelIo(device));
    CHECK(WaitForMultipleObjectsEx(1, &event, FALSE, INFINITE, TRUE) == WAIT_IO_COMPLETION);
    CHECK(ran == 3 && ran_with[0] == ERROR_OPERATION_ABORTED && ran_with[1] == 0);
    CloseHandle(event);
    CHECK(CloseHandle(device));
}

static void a_completion_port_tells_each_end_with_its_key(void) {
    char buffers[4][16];
    OVERLAPPED overlapped[4], *told;
    OVERLAPPED_ENTRY entries[8];
    ULONG_PTR key;
    ULONG number, seen = 0;
    DWORD count, index;
    HANDLE device = open_delay(THREAD, 1, FILE_FLAG_OVERLAPPED);
    HANDLE port = CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, 0);
    CHECK(port != NULL);
    CHECK(CreateIoCompletionPort(device, port, 42, 0) == port);
    CHECK(CreateIoCompletionPort(device, port, 43, 0) == NULL && GetLastError() == ERROR_INVALID_PARAMETER);
    FAILS(GetQueuedCompletionStatus(port, &count, &key, &told, 0), WAIT_TIMEOUT);
    CHECK(told == NULL);
    memset(overlapped, 0, sizeof(overlapped));
    FAILS(ReadFile(device, buffers[0], 16, NULL, &overlapped[0]), ERROR_IO_PENDING);
    CHECK(GetQueuedCompletionStatus(port, &count, &key, &told, INFINITE));
    CHECK(told == &overlapped[0] && key == 42 && count == 16);
    is_all(buffers[0], 16, 't');
    for (index = 0; index < 4; index++) {
        memset(buffers[index], 0, 16);
        FAILS(ReadFile(device, buffers[index], 16, NULL, &overlapped[index]), ERROR_IO_PENDING);
    }
    while (seen < 4) {
        CHECK(GetQueuedCompletionStatusEx(port, entries, 8, &number, INFINITE, FALSE));
        for (index = 0; index < number; index++) {
            CHECK(entries[index].lpCompletionKey == 42 && entries[index].dwNumberOfBytesTransferred == 16);
            CHECK(entries[index].lpOverlapped->Internal == 0);
            is_all(buffers[entries[index].lpOverlapped - overlapped], 16, 't');
        }
        seen += number;
    }
    CHECK(PostQueuedCompletionStatus(port, 5, 6, &overlapped[1]));
    CHECK(GetQueuedCompletionStatus(port, &count, &key, &told, INFINITE) && count == 5 && key == 6 && told == &overlapped[1]);
    CHECK(CloseHandle(device));
    device = open_delay(TIMER, NEVER, FILE_FLAG_OVERLAPPED);
    CHECK(CreateIoCompletionPort(device, port, 7, 0) == port);
    FAILS(ReadFile(device, buffers[0], 16, NULL, &overlapped[0]), ERROR_IO_PENDING);
    CHECK(CancelIoEx(device, &overlapped[0]));
    FAILS(GetQueuedCompletionStatus(port, &count, &key, &told, INFINITE), ERROR_OPERATION_ABORTED);
    CHECK(told == &overlapped[0] && key == 7);
    FAILS(ReadFileEx(device, buffers[0], 16, &overlapped[0], routine), ERROR_INVALID_PARAMETER);
    CHECK(CloseHandle(device));
    CHECK(CloseHandle(port));
}

static DWORD WINAPI reads(LPVOID device) {
    char buffer[10];
    DWORD count;
    if (ReadFile(device, buffer, sizeof(buffer), &count, NULL)) {
        ExitThread(0);
    }
    ExitThread(GetLastError());
}

static unsigned __stdcall adds(void *number) {
    InterlockedIncrement((LONG *)number);
    return 5;
}

static void a_thread_is_waited_for_and_what_it_waits_for_cancelled(void) {
    HANDLE device = open_delay(TIMER, NEVER, 0), threads[2], again;
    DWORD identifier = 0, code = 0;
    LONG number = 0;
    threads[0] = CreateThread(NULL, 0, reads, device, 0, &identifier);
    CHECK(threads[0] != NULL && identifier != 0 && identifier != GetCurrentThreadId());
    CHECK(GetThreadId(threads[0]) == identifier);
    CHECK(GetExitCodeThread(threads[0], &code) && code == STILL_ACTIVE);
    CHECK(WaitForSingleObject(threads[0], 0) == WAIT_TIMEOUT);
    while (!CancelSynchronousIo(threads[0])) {
        CHECK(GetLastError() == ERROR_NOT_FOUND);
        Sleep(0);
    }
    threads[1] = (HANDLE)_beginthreadex(NULL, 0, adds, &number, CREATE_SUSPENDED, NULL);
    CHECK(threads[1] != NULL && number == 0);
    CHECK(ResumeThread(threads[1]) == 1);
    CHECK(WaitForMultipleObjects(2, threads, TRUE, INFINITE) == WAIT_OBJECT_0);
    CHECK(GetExitCodeThread(threads[0], &code) && code == ERROR_OPERATION_ABORTED);
    CHECK(DuplicateHandle(GetCurrentProcess(), threads[1], GetCurrentProcess(), &again, 0, FALSE, DUPLICATE_SAME_ACCESS));
    CHECK(CloseHandle(threads[1]));
    CHECK(GetExitCodeThread(again, &code) && code == 5 && number == 1);
    CHECK(CloseHandle(again) && CloseHandle(threads[0]) && CloseHandle(device));
}

static void memory_of_virtual_alloc_is_used_in_place(void) {
    HANDLE device = open_delay(TIMER, 5, FILE_FLAG_OVERLAPPED);
    char *memory = (char *)VirtualAlloc(NULL, 100000, MEM_COMMIT | MEM_RESERVE, PAGE_READWRITE);
    OVERLAPPED *overlapped = (OVERLAPPED *)(memory + 4096 * 20);
    DWORD count;
    CHECK(memory != NULL && memory[0] == 0 && memory[99999] == 0);
    FAILS(ReadFile(device, memory, 4096 * 20, NULL, overlapped), ERROR_IO_PENDING);
    CHECK(GetOverlappedResult(device, overlapped, &count, TRUE) && count == 4096 * 20);
    is_all(memory, 4096 * 20, 'd');
    CHECK(CloseHandle(device));
    CHECK(VirtualFree(memory, 0, MEM_RELEASE));
}

static void many_requests_go_on_at_once(void) {
    enum { MANY = 200 };
    static char buffers[MANY][64];
    static OVERLAPPED overlapped[MANY];
    HANDLE device = open_delay(THREAD, 2, FILE_FLAG_OVERLAPPED);
    DWORD index, count;
    for (index = 0; index < MANY; index++) {
        FAILS(ReadFile(device, buffers[index], 64, NULL, &overlapped[index]), ERROR_IO_PENDING);
    }
    for (index = 0; index < MANY; index++) {
        CHECK(GetOverlappedResult(device, &overlapped[index], &count, TRUE) && count == 64);
        is_all(buffers[index], 64, 't');
    }
    CHECK(CloseHandle(device));
}

int main(void) {
    an_event_tells_the_end_and_the_data_is_home_by_then();
    without_an_event_the_result_is_waited_for();
    whoever_only_looks_at_the_overlapped_sees_the_end();
    whoever_waits_is_told_also_when_another_has_looked_first();
    a_cancelled_request_is_operation_aborted();
    a_completion_routine_runs_in_an_alertable_wait();
    a_completion_port_tells_each_end_with_its_key();
    a_thread_is_waited_for_and_what_it_waits_for_cancelled();
    memory_of_virtual_alloc_is_used_in_place();
    many_requests_go_on_at_once();
    printf("content\n");
    return 0;
}
