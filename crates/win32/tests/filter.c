/* What no application should do with a filter's port, and what it learns then. For the driver `verdict`. */
#include <windows.h>
#include <fltuser.h>
#include <string.h>
#include "check.h"

#define ANSWERS(call, result) CHECK((call) == (HRESULT)(result))
#define NO_ACCESS 0x800703E6
#define INVALID_ARGUMENT 0x80070057
#define INVALID_HANDLE 0x80070006

int main(void) {
    HANDLE port = NULL, none = (HANDLE)(ULONG_PTR)0x7777770;
    DWORD milliseconds = 1000, count = 77;
    ULONGLONG counts[4];
    OVERLAPPED overlapped;
    struct {
        FILTER_MESSAGE_HEADER header;
        WCHAR text[64];
    } message;
    struct {
        FILTER_REPLY_HEADER header;
        DWORD verdict;
    } reply;
    static WCHAR long_name[40000];
    size_t index;
    for (index = 0; index < 39999; index++) {
        long_name[index] = L'n';
    }
    ANSWERS(FilterConnectCommunicationPort(L"\\Verdict", 0, &milliseconds, 4, NULL, NULL), INVALID_ARGUMENT);
    ANSWERS(FilterConnectCommunicationPort(NULL, 0, NULL, 0, NULL, &port), INVALID_ARGUMENT);
    ANSWERS(FilterConnectCommunicationPort(long_name, 0, NULL, 0, NULL, &port), 0x8007007B);
    ANSWERS(FilterConnectCommunicationPort(L"\\Verdict", 0, NULL, 4, NULL, &port), NO_ACCESS);
    ANSWERS(FilterConnectCommunicationPort(L"\\Verdict", 0, &milliseconds, 3, NULL, &port), INVALID_ARGUMENT);
    CHECK(port == INVALID_HANDLE_VALUE);
    ANSWERS(FilterConnectCommunicationPort(L"\\Verdict", 0, &milliseconds, 4, NULL, &port), S_OK);
    ANSWERS(FilterConnectCommunicationPort(L"\\Verdict", 0, &milliseconds, 4, NULL, &none), 0x800704D6);
    none = (HANDLE)(ULONG_PTR)0x7777770;
    ANSWERS(FilterGetMessage(none, &message.header, sizeof(message), NULL), INVALID_HANDLE);
    ANSWERS(FilterGetMessage(port, &message.header, 15, NULL), INVALID_ARGUMENT);
    ANSWERS(FilterGetMessage(port, NULL, sizeof(message), NULL), NO_ACCESS);
    ANSWERS(FilterGetMessage(port, &message.header, sizeof(message), (OVERLAPPED *)(ULONG_PTR)0x10), NO_ACCESS);
    memset(&overlapped, 0, sizeof(overlapped));
    ANSWERS(FilterGetMessage(port, &message.header, sizeof(message), &overlapped), 0x800703E5);
    CHECK(CancelIoEx(port, &overlapped));
    FAILS(GetOverlappedResult(port, &overlapped, &count, TRUE), ERROR_OPERATION_ABORTED);
    memset(&reply, 0, sizeof(reply));
    ANSWERS(FilterReplyMessage(none, &reply.header, sizeof(reply)), INVALID_HANDLE);
    ANSWERS(FilterReplyMessage(port, &reply.header, 15), INVALID_ARGUMENT);
    ANSWERS(FilterReplyMessage(port, NULL, sizeof(reply)), NO_ACCESS);
    ANSWERS(FilterReplyMessage(port, &reply.header, sizeof(reply)), 0x801F0020);
    ANSWERS(FilterSendMessage(port, NULL, 0, counts, sizeof(counts), NULL), INVALID_ARGUMENT);
    ANSWERS(FilterSendMessage(port, NULL, 8, counts, sizeof(counts), &count), NO_ACCESS);
    ANSWERS(FilterSendMessage(port, NULL, 0, NULL, sizeof(counts), &count), NO_ACCESS);
    ANSWERS(FilterSendMessage(port, NULL, 0, counts, 31, &count), 0x8007007A);
    CHECK(count == 0);
    ANSWERS(FilterSendMessage(none, NULL, 0, counts, sizeof(counts), &count), INVALID_HANDLE);
    ANSWERS(FilterSendMessage(port, NULL, 0, counts, sizeof(counts), &count), S_OK);
    CHECK(count == 32);
    CHECK(CloseHandle(port));
    ANSWERS(FilterSendMessage(port, NULL, 0, counts, sizeof(counts), &count), INVALID_HANDLE);
    ANSWERS(FilterUnload(L"Nobody"), 0x801F0013);
    ANSWERS(FilterUnload(NULL), INVALID_ARGUMENT);
    CHECK(FAILED(FilterLoad(L"Nobody")));
    ANSWERS(FilterLoad(NULL), INVALID_ARGUMENT);
    printf("content\n");
    return 0;
}
