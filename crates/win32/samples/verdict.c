/* The application of a minifilter with a communication port (seed 000): the driver asks it who may be opened. It answers in two ways, by
 * FilterGetMessage that waits and by FilterGetMessage with an OVERLAPPED, and asks the driver for its counts by FilterSendMessage.
 *
 *     verdict wait|event|port */
#include <windows.h>
#include <fltuser.h>
#include <stdio.h>
#include <string.h>

enum { ALLOW = 1, DENY = 2 };

struct question {
    FILTER_MESSAGE_HEADER header;
    WCHAR name[512];
};

/* Its size without the padding at the end is what the filter manager wants to see. */
struct answer {
    FILTER_REPLY_HEADER header;
    DWORD verdict;
};
#define ANSWER_SIZE (sizeof(FILTER_REPLY_HEADER) + sizeof(DWORD))

static HANDLE port, stop, completion;
static const char *way;

static DWORD decide(const WCHAR *name) {
    size_t length = wcslen(name);
    return length >= 4 && wcscmp(name + length - 4, L".exe") == 0 ? DENY : ALLOW;
}

static HRESULT reply_to(const struct question *question) {
    struct answer answer;
    memset(&answer, 0, sizeof(answer));
    answer.header.MessageId = question->header.MessageId;
    answer.verdict = decide(question->name);
    return FilterReplyMessage(port, &answer.header, ANSWER_SIZE);
}

/* Waits for the message that was asked for; 0 when it will not come. */
static int comes(OVERLAPPED *overlapped) {
    DWORD count;
    if (completion != NULL) {
        ULONG_PTR key;
        OVERLAPPED *ended = NULL;
        return GetQueuedCompletionStatus(completion, &count, &key, &ended, INFINITE) && ended == overlapped;
    } else {
        HANDLE both[2];
        both[0] = overlapped->hEvent;
        both[1] = stop;
        return WaitForMultipleObjects(2, both, FALSE, INFINITE) == WAIT_OBJECT_0 && GetOverlappedResult(port, overlapped, &count, FALSE);
    }
}

static DWORD WINAPI guard(LPVOID unused) {
    struct question question;
    OVERLAPPED overlapped;
    HRESULT result;
    (void)unused;
    for (;;) {
        memset(&question, 0, sizeof(question));
        if (strcmp(way, "wait") == 0) {
            result = FilterGetMessage(port, &question.header, sizeof(question), NULL);
            if (FAILED(result)) {
                return (DWORD)result;
            }
        } else {
            memset(&overlapped, 0, sizeof(overlapped));
            overlapped.hEvent = completion == NULL ? CreateEvent(NULL, TRUE, FALSE, NULL) : NULL;
            result = FilterGetMessage(port, &question.header, sizeof(question), &overlapped);
            if (result != HRESULT_FROM_WIN32(ERROR_IO_PENDING) && result != S_OK) {
                return (DWORD)result;
            }
            if (!comes(&overlapped)) {
                /* The question that nobody has asked yet is taken back, before its memory goes. */
                DWORD count;
                if (CancelIoEx(port, &overlapped)) {
                    GetOverlappedResult(port, &overlapped, &count, TRUE);
                }
                if (overlapped.hEvent != NULL) {
                    CloseHandle(overlapped.hEvent);
                }
                return 0;
            }
            if (overlapped.hEvent != NULL) {
                CloseHandle(overlapped.hEvent);
            }
        }
        result = reply_to(&question);
        if (FAILED(result)) {
            printf("no reply: %08lx\n", result);
        }
        if (wcscmp(question.name, L"\\last") == 0) {
            return 0;
        }
    }
}

static void opens(const WCHAR *name) {
    WCHAR path[128] = L"\\\\.\\Verdict";
    HANDLE file;
    wcscat(path, name);
    file = CreateFileW(path, GENERIC_READ, 0, NULL, OPEN_EXISTING, 0, NULL);
    if (file == INVALID_HANDLE_VALUE) {
        printf("%ls: %lu\n", name, GetLastError());
    } else {
        printf("%ls: opened\n", name);
        CloseHandle(file);
    }
}

int main(int argc, char **argv) {
    DWORD milliseconds = 30000, count = 0;
    ULONGLONG counts[4];
    HANDLE thread;
    HRESULT result;
    way = argc > 1 ? argv[1] : "wait";
    result = FilterConnectCommunicationPort(L"\\Nobody", 0, NULL, 0, NULL, &port);
    printf("no such port: %08lx\n", result);
    result = FilterConnectCommunicationPort(L"\\Verdict", 0, &milliseconds, sizeof(milliseconds), NULL, &port);
    if (FAILED(result)) {
        printf("no connection: %08lx\n", result);
        return 1;
    }
    if (strcmp(way, "port") == 0) {
        completion = CreateIoCompletionPort(port, NULL, 1, 1);
    }
    stop = CreateEvent(NULL, TRUE, FALSE, NULL);
    thread = CreateThread(NULL, 0, guard, NULL, 0, NULL);
    opens(L"\\letter.txt");
    opens(L"\\letter.exe");
    opens(L"\\another.txt");
    result = FilterSendMessage(port, NULL, 0, counts, sizeof(counts), &count);
    if (FAILED(result) || count != sizeof(counts)) {
        printf("no counts: %08lx\n", result);
        return 1;
    }
    printf("allowed %I64u, denied %I64u, unanswered %I64u\n", counts[0], counts[1], counts[2]);
    /* Each way has its own end. */
    if (strcmp(way, "wait") == 0) {
        opens(L"\\last");
    } else if (completion != NULL) {
        PostQueuedCompletionStatus(completion, 0, 0, NULL);
    } else {
        SetEvent(stop);
    }
    WaitForSingleObject(thread, INFINITE);
    GetExitCodeThread(thread, &count);
    printf("the guard ends: %08lx\n", count);
    CloseHandle(thread);
    CloseHandle(stop);
    CloseHandle(port);
    if (completion != NULL) {
        CloseHandle(completion);
    }
    return 0;
}
