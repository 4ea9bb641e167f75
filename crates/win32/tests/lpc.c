/* LPC ports between two threads of one program: views, memory that is lent, callbacks, datagrams, and wrong arguments. For any driver. */
#include <windows.h>
#include "ntlpc.h"
#include <ntstatus.h>
#include <string.h>
#include "check.h"

#define SAYS(call, status) CHECK((call) == (status))

struct message {
    PORT_MESSAGE header;
    union {
        char text[100];
        struct {
            ULONG count;
            PORT_DATA_ENTRY entries[2];
        } lent;
    } data;
};

static HANDLE port;
static UNICODE_STRING name;
static char context;

static void fill(struct message *message, const char *text) {
    message->header.DataLength = (USHORT)strlen(text);
    message->header.TotalLength = (USHORT)(sizeof(PORT_MESSAGE) + strlen(text));
    message->header.DataInfoOffset = 0;
    memcpy(message->data.text, text, strlen(text));
}

static int is(const struct message *message, const char *text) {
    return message->header.DataLength == strlen(text) && memcmp(message->data.text, text, strlen(text)) == 0;
}

static DWORD serves(LPVOID unused) {
    struct message message, callback;
    HANDLE client = NULL;
    REMOTE_PORT_VIEW shown;
    PVOID which;
    char text[64];
    SIZE_T copied = 77;
    (void)unused;
    /* The first is refused, with a reason. */
    SAYS(NtListenPort(port, &message.header), STATUS_SUCCESS);
    CHECK(is(&message, "first"));
    fill(&message, "no");
    SAYS(NtAcceptConnectPort(NULL, NULL, &message.header, FALSE, NULL, NULL), STATUS_SUCCESS);
    SAYS(NtReplyWaitReceivePort(port, NULL, NULL, &message.header), STATUS_SUCCESS);
    CHECK(message.header.Type == LPC_CONNECTION_REQUEST && is(&message, "second"));
    memset(&shown, 0, sizeof(shown));
    shown.Length = sizeof(shown) - 1;
    SAYS(NtAcceptConnectPort(&client, &context, &message.header, TRUE, NULL, &shown), STATUS_INVALID_PARAMETER);
    shown.Length = sizeof(shown);
    fill(&message, "welcome");
    SAYS(NtAcceptConnectPort(&client, &context, &message.header, TRUE, NULL, &shown), STATUS_SUCCESS);
    CHECK(shown.ViewSize == 0x10000 && strcmp((char *)shown.ViewBase, "shown") == 0);
    SAYS(NtCompleteConnectPort(client), STATUS_SUCCESS);
    /* A request that lends memory. */
    SAYS(NtReplyWaitReceivePort(port, &which, NULL, &message.header), STATUS_SUCCESS);
    CHECK(message.header.Type == LPC_REQUEST && which == &context);
    SAYS(NtReadRequestData(port, &message.header, 0, text, sizeof(text), &copied), STATUS_SUCCESS);
    CHECK(copied == 5 && memcmp(text, "heap!", 5) == 0);
    SAYS(NtReadRequestData(port, &message.header, 2, text, sizeof(text), &copied), STATUS_INVALID_PARAMETER);
    SAYS(NtReadRequestData(port, &message.header, 0, NULL, 5, &copied), STATUS_ACCESS_VIOLATION);
    SAYS(NtReadRequestData(port, &message.header, 0, text, (SIZE_T)-1, &copied), STATUS_INSUFFICIENT_RESOURCES);
    SAYS(NtWriteRequestData(port, &message.header, 1, "written here", 12, &copied), STATUS_SUCCESS);
    CHECK(copied == 8);
    /* It calls back before it replies. */
    callback = message;
    fill(&callback, "sure?");
    callback.header.Type = LPC_REQUEST;
    SAYS(NtRequestWaitReplyPort(client, &callback.header, &callback.header), STATUS_SUCCESS);
    CHECK(callback.header.Type == LPC_REPLY && is(&callback, "sure"));
    fill(&message, "done");
    SAYS(NtReplyPort(client, &message.header), STATUS_SUCCESS);
    SAYS(NtReplyPort(client, &message.header), STATUS_REPLY_MESSAGE_MISMATCH);
    SAYS(NtReplyWaitReceivePort(port, &which, NULL, &message.header), STATUS_SUCCESS);
    CHECK(message.header.Type == LPC_DATAGRAM && is(&message, "to nobody"));
    SAYS(NtReplyWaitReceivePort(port, &which, NULL, &message.header), STATUS_SUCCESS);
    CHECK(message.header.Type == LPC_PORT_CLOSED && which == &context);
    SAYS(NtClose(client), STATUS_SUCCESS);
    return 0;
}

static void wrong_arguments(void) {
    OBJECT_ATTRIBUTES attributes;
    HANDLE none = (HANDLE)(ULONG_PTR)0x7777770, made;
    SECURITY_QUALITY_OF_SERVICE qos = {sizeof(qos), SecurityImpersonation, SECURITY_DYNAMIC_TRACKING, FALSE};
    struct message message;
    LARGE_INTEGER now;
    UNICODE_STRING nobody;
    InitializeObjectAttributes(&attributes, &name, 0, NULL, NULL);
    SAYS(NtCreatePort(NULL, &attributes, 16, 100, 0), STATUS_ACCESS_VIOLATION);
    SAYS(NtCreatePort(&made, &attributes, 16, 600, 0), STATUS_INVALID_PARAMETER_4);
    SAYS(NtCreatePort(&made, &attributes, 16, 100, 0), STATUS_OBJECT_NAME_COLLISION);
    RtlInitUnicodeString(&nobody, L"\\RPC Control\\Nobody in C");
    SAYS(NtConnectPort(&made, &nobody, &qos, NULL, NULL, NULL, NULL, NULL), STATUS_OBJECT_NAME_NOT_FOUND);
    SAYS(NtConnectPort(&made, NULL, &qos, NULL, NULL, NULL, NULL, NULL), STATUS_ACCESS_VIOLATION);
    SAYS(NtConnectPort(&made, &name, NULL, NULL, NULL, NULL, NULL, NULL), STATUS_ACCESS_VIOLATION);
    memset(&message, 0, sizeof(message));
    SAYS(NtRequestPort(port, &message.header), STATUS_INVALID_PARAMETER);
    message.header.TotalLength = 600;
    SAYS(NtRequestPort(port, &message.header), STATUS_PORT_MESSAGE_TOO_LONG);
    fill(&message, "x");
    SAYS(NtRequestPort(none, &message.header), STATUS_INVALID_HANDLE);
    SAYS(NtRequestPort((HANDLE)(ULONG_PTR)0x123456789abc, &message.header), STATUS_INVALID_HANDLE);
    SAYS(NtRequestPort(port, NULL), STATUS_ACCESS_VIOLATION);
    SAYS(NtRequestWaitReplyPort(none, &message.header, &message.header), STATUS_INVALID_HANDLE);
    SAYS(NtReplyPort(port, &message.header), STATUS_INVALID_CID);
    SAYS(NtReplyWaitReceivePort(port, NULL, NULL, NULL), STATUS_ACCESS_VIOLATION);
    now.QuadPart = 0;
    SAYS(NtReplyWaitReceivePortEx(port, NULL, NULL, &message.header, &now), STATUS_TIMEOUT);
    SAYS(NtListenPort(none, &message.header), STATUS_INVALID_HANDLE);
    SAYS(NtCompleteConnectPort(none), STATUS_INVALID_HANDLE);
    SAYS(NtImpersonateClientOfPort(none, &message.header), STATUS_INVALID_HANDLE);
}

static void client(void) {
    SECURITY_QUALITY_OF_SERVICE qos = {sizeof(qos), SecurityImpersonation, SECURITY_DYNAMIC_TRACKING, FALSE};
    HANDLE connection, section;
    PORT_VIEW own;
    struct message message;
    ULONG longest = 0, length = 5;
    char info[16] = "first", heap[] = "heap!", answer[8] = "........";
    SAYS(NtConnectPort(&connection, &name, &qos, NULL, NULL, NULL, info, &length), STATUS_PORT_CONNECTION_REFUSED);
    CHECK(length == 2 && memcmp(info, "no", 2) == 0);
    section = CreateFileMappingA(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE, 0, 0x10000, NULL);
    {
        char *view = (char *)MapViewOfFile(section, FILE_MAP_WRITE, 0, 0, 0);
        CHECK(view != NULL);
        strcpy(view, "shown");
        CHECK(UnmapViewOfFile(view));
    }
    memset(&own, 0, sizeof(own));
    own.Length = sizeof(own);
    own.SectionHandle = section;
    length = 16;
    memset(info, 0, sizeof(info));
    strcpy(info, "second");
    length = 6;
    SAYS(NtConnectPort(&connection, &name, &qos, &own, NULL, &longest, info, &length), STATUS_SUCCESS);
    CHECK(longest == sizeof(struct message) && length == 6 && memcmp(info, "welcom", 6) == 0);
    CHECK(own.ViewSize == 0x10000 && own.ViewBase != NULL && own.ViewRemoteBase != NULL);
    CHECK(CloseHandle(section));
    memset(&message, 0, sizeof(message));
    message.header.DataLength = sizeof(message.data.lent);
    message.header.TotalLength = sizeof(PORT_MESSAGE) + sizeof(message.data.lent);
    message.header.DataInfoOffset = sizeof(PORT_MESSAGE);
    message.data.lent.count = 2;
    message.data.lent.entries[0].Base = heap;
    message.data.lent.entries[0].Size = 5;
    message.data.lent.entries[1].Base = answer;
    message.data.lent.entries[1].Size = 8;
    SAYS(NtRequestWaitReplyPort(connection, &message.header, &message.header), STATUS_SUCCESS);
    CHECK((message.header.Type & 0xFF) == LPC_REQUEST && is(&message, "sure?"));
    CHECK(memcmp(answer, "........", 8) == 0);
    fill(&message, "sure");
    SAYS(NtReplyWaitReplyPort(connection, &message.header), STATUS_SUCCESS);
    CHECK(message.header.Type == LPC_REPLY && is(&message, "done"));
    CHECK(memcmp(answer, "written ", 8) == 0 && memcmp(heap, "heap!", 5) == 0);
    memset(&message, 0, sizeof(message));
    fill(&message, "to nobody");
    SAYS(NtRequestPort(connection, &message.header), STATUS_SUCCESS);
    SAYS(NtClose(connection), STATUS_SUCCESS);
}

static void ports_are_waited_for(void) {
    OBJECT_ATTRIBUTES attributes;
    HANDLE waited;
    UNICODE_STRING other;
    struct message message;
    LARGE_INTEGER now;
    now.QuadPart = 0;
    RtlInitUnicodeString(&other, L"\\RPC Control\\Rb Waitable in C");
    InitializeObjectAttributes(&attributes, &other, 0, NULL, NULL);
    SAYS(NtCreateWaitablePort(&waited, &attributes, 16, sizeof(struct message), 0), STATUS_SUCCESS);
    CHECK(WaitForSingleObject(waited, 0) == WAIT_TIMEOUT);
    memset(&message, 0, sizeof(message));
    fill(&message, "to itself");
    SAYS(NtRequestPort(waited, &message.header), STATUS_SUCCESS);
    CHECK(WaitForSingleObject(waited, INFINITE) == WAIT_OBJECT_0);
    SAYS(NtReplyWaitReceivePortEx(waited, NULL, NULL, &message.header, &now), STATUS_SUCCESS);
    CHECK(is(&message, "to itself") && WaitForSingleObject(waited, 0) == WAIT_TIMEOUT);
    SAYS(NtClose(waited), STATUS_SUCCESS);
    CHECK(WaitForSingleObject(port, 0) == WAIT_FAILED && GetLastError() == ERROR_INVALID_HANDLE);
}

int main(void) {
    OBJECT_ATTRIBUTES attributes;
    HANDLE thread;
    RtlInitUnicodeString(&name, L"\\RPC Control\\Rb Ports in C");
    InitializeObjectAttributes(&attributes, &name, 0, NULL, NULL);
    SAYS(NtCreatePort(&port, &attributes, 16, sizeof(struct message), 0), STATUS_SUCCESS);
    wrong_arguments();
    ports_are_waited_for();
    thread = CreateThread(NULL, 0, serves, NULL, 0, NULL);
    client();
    CHECK(WaitForSingleObject(thread, INFINITE) == WAIT_OBJECT_0 && CloseHandle(thread));
    SAYS(NtClose(port), STATUS_SUCCESS);
    SAYS(NtClose(port), STATUS_INVALID_HANDLE);
    printf("content\n");
    return 0;
}
