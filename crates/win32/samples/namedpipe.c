/* The application of a driver that opens named pipes (seeds 000 and 001): it serves a pipe of messages and, overlapped, one of bytes; the
 * driver comes to each, turns messages around and makes bytes capitals. */
#include <windows.h>
#include <winioctl.h>
#include <stdio.h>
#include <string.h>

#define IOCTL_TALK CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_BUFFERED, FILE_ANY_ACCESS)

/* Has the driver come to the pipe of this name. */
static int invite(HANDLE device, int messages, const char *name) {
    struct {
        WORD messages;
        WCHAR path[64];
    } talk;
    DWORD count;
    int length = swprintf(talk.path, 64, L"\\??\\pipe\\%hs", name);
    talk.messages = (WORD)messages;
    return DeviceIoControl(device, IOCTL_TALK, &talk, (DWORD)(sizeof(WORD) + length * sizeof(WCHAR)), NULL, 0, &count, NULL);
}

static int failed(const char *what) {
    printf("%s: %lu\n", what, GetLastError());
    return 1;
}

static int in_messages(HANDLE device) {
    static const char *const said[] = {"was it a car", "or a cat i saw"};
    char name[32], path[64], answer[64];
    DWORD count, available = 0, left = 0, index;
    HANDLE pipe;
    sprintf(name, "TalkMC%lu", GetCurrentProcessId());
    sprintf(path, "\\\\.\\pipe\\%s", name);
    pipe = CreateNamedPipe(path, PIPE_ACCESS_DUPLEX | FILE_FLAG_FIRST_PIPE_INSTANCE, PIPE_TYPE_MESSAGE | PIPE_READMODE_MESSAGE | PIPE_WAIT, 1, 4096, 4096, 0, NULL);
    if (pipe == INVALID_HANDLE_VALUE) {
        return failed("no pipe");
    }
    if (!invite(device, 1, name)) {
        return failed("the driver does not come");
    }
    /* It may have come before this waits. */
    if (!ConnectNamedPipe(pipe, NULL) && GetLastError() != ERROR_PIPE_CONNECTED) {
        return failed("no client");
    }
    if (!ReadFile(pipe, answer, sizeof(answer), &count, NULL)) {
        return failed("no greeting");
    }
    printf("the driver connects: %.*s\n", (int)count, answer);
    for (index = 0; index < 2; index++) {
        /* Of an answer that is longer than its buffer the rest can be read. */
        if (!WriteFile(pipe, said[index], (DWORD)strlen(said[index]), &count, NULL)) {
            return failed("no write");
        }
        if (ReadFile(pipe, answer, 4, &count, NULL) || GetLastError() != ERROR_MORE_DATA || count != 4) {
            return failed("no first part");
        }
        if (!PeekNamedPipe(pipe, NULL, 0, NULL, &available, &left) || available != strlen(said[index]) - 4 || left != available) {
            return failed("no rest");
        }
        if (!ReadFile(pipe, answer + 4, sizeof(answer) - 4, &count, NULL)) {
            return failed("no answer");
        }
        printf("%s comes back as %.*s\n", said[index], (int)count + 4, answer);
    }
    return DisconnectNamedPipe(pipe) && CloseHandle(pipe) ? 0 : failed("no end");
}

static int in_bytes(HANDLE device) {
    char name[32], path[64], answer[64];
    DWORD count, all = 0;
    HANDLE pipe;
    OVERLAPPED overlapped;
    memset(&overlapped, 0, sizeof(overlapped));
    overlapped.hEvent = CreateEvent(NULL, TRUE, FALSE, NULL);
    sprintf(name, "TalkBC%lu", GetCurrentProcessId());
    sprintf(path, "\\\\.\\pipe\\%s", name);
    pipe = CreateNamedPipe(path, PIPE_ACCESS_DUPLEX | FILE_FLAG_OVERLAPPED, PIPE_TYPE_BYTE | PIPE_WAIT, PIPE_UNLIMITED_INSTANCES, 4096, 4096, 0, NULL);
    if (pipe == INVALID_HANDLE_VALUE) {
        return failed("no pipe");
    }
    /* It waits for its client before there is one. */
    if (ConnectNamedPipe(pipe, &overlapped) || GetLastError() != ERROR_IO_PENDING) {
        return failed("it does not wait");
    }
    if (!invite(device, 0, name)) {
        return failed("the driver does not come");
    }
    if (WaitForSingleObject(overlapped.hEvent, INFINITE) != WAIT_OBJECT_0 || !GetOverlappedResult(pipe, &overlapped, &count, FALSE)) {
        return failed("no client");
    }
    /* The greeting comes first. */
    if (!ReadFile(pipe, answer, sizeof(answer), NULL, &overlapped) && GetLastError() != ERROR_IO_PENDING) {
        return failed("no greeting");
    }
    if (!GetOverlappedResult(pipe, &overlapped, &count, TRUE)) {
        return failed("no greeting");
    }
    printf("the driver connects: %.*s\n", (int)count, answer);
    if (!WriteFile(pipe, "no bound", 8, NULL, &overlapped) && GetLastError() != ERROR_IO_PENDING) {
        return failed("no write");
    }
    if (!GetOverlappedResult(pipe, &overlapped, &count, TRUE) || count != 8) {
        return failed("no write");
    }
    while (all < 8) {
        if (!ReadFile(pipe, answer + all, sizeof(answer) - all, NULL, &overlapped) && GetLastError() != ERROR_IO_PENDING) {
            return failed("no read");
        }
        if (!GetOverlappedResult(pipe, &overlapped, &count, TRUE)) {
            return failed("no answer");
        }
        all += count;
    }
    printf("no bound comes back as %.*s\n", (int)all, answer);
    CloseHandle(overlapped.hEvent);
    return CloseHandle(pipe) ? 0 : failed("no end");
}

int main(void) {
    HANDLE device = CreateFileA("\\\\.\\Talker", GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING, 0, NULL);
    if (device == INVALID_HANDLE_VALUE) {
        return failed("the device does not open");
    }
    return in_messages(device) || in_bytes(device);
}
