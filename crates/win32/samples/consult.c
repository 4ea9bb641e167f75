/* The application of a driver that talks through LPC ports (seed 000), in both directions: the driver connects to this program's port and
 * asks about a text that it shows, and this program connects to the driver's port and shows it a text of its own. */
#include <windows.h>
#include <winioctl.h>
#include "ntlpc.h"
#include <stdio.h>
#include <string.h>

#define IOCTL_CONSULT CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_BUFFERED, FILE_ANY_ACCESS)

struct message {
    PORT_MESSAGE header;
    union {
        char text[64];
        DWORD number;
    } data;
};

static UNICODE_STRING unicode(PCWSTR text) {
    UNICODE_STRING string;
    RtlInitUnicodeString(&string, text);
    return string;
}

/* A reply has its request's header, but for the lengths. */
static void number_as_reply(struct message *message, DWORD number) {
    message->header.DataLength = sizeof(DWORD);
    message->header.TotalLength = sizeof(PORT_MESSAGE) + sizeof(DWORD);
    message->header.DataInfoOffset = 0;
    message->data.number = number;
}

static DWORD count(const char *text, const char *what, size_t length) {
    DWORD words = 0, lines = 0;
    const char *at;
    for (at = text; *at; at++) {
        int ends = at[1] == 0 || at[1] == ' ' || at[1] == '\n';
        words += *at != ' ' && *at != '\n' && ends;
        lines += *at == '\n';
    }
    if (length == 5 && memcmp(what, "bytes", 5) == 0) {
        return (DWORD)(at - text);
    }
    return length == 5 && memcmp(what, "words", 5) == 0 ? words : lines;
}

/* Serves one client until that is gone. */
static DWORD WINAPI serve(LPVOID argument) {
    HANDLE listening = (HANDLE)argument, connection = NULL;
    REMOTE_PORT_VIEW shown;
    struct message message;
    NTSTATUS status;
    int answered = 0;
    memset(&shown, 0, sizeof(shown));
    shown.Length = sizeof(shown);
    status = NtReplyWaitReceivePort(listening, NULL, NULL, &message.header);
    if (!NT_SUCCESS(status) || (message.header.Type & 0xFF) != LPC_CONNECTION_REQUEST) {
        printf("no connection request: %08lx\n", status);
        return 1;
    }
    message.header.DataLength = 0;
    message.header.TotalLength = sizeof(PORT_MESSAGE);
    status = NtAcceptConnectPort(&connection, NULL, &message.header, TRUE, NULL, &shown);
    if (!NT_SUCCESS(status) || !NT_SUCCESS(status = NtCompleteConnectPort(connection))) {
        printf("not accepted: %08lx\n", status);
        return 1;
    }
    for (;;) {
        PVOID context = NULL;
        status = NtReplyWaitReceivePort(listening, &context, answered ? &message.header : NULL, &message.header);
        if (!NT_SUCCESS(status)) {
            printf("no message: %08lx\n", status);
            return 1;
        }
        if ((message.header.Type & 0xFF) != LPC_REQUEST) {
            break;
        }
        if (context != connection) {
            printf("which connection?\n");
            return 1;
        }
        number_as_reply(&message, count((const char *)shown.ViewBase, message.data.text, message.header.DataLength));
        answered = 1;
    }
    NtClose(connection);
    return 0;
}

static int is_consulted(void) {
    WCHAR name[64];
    UNICODE_STRING string;
    OBJECT_ATTRIBUTES attributes;
    HANDLE port, thread, device;
    DWORD told[3], returned, ended = 1;
    NTSTATUS status;
    swprintf(name, 64, L"\\BaseNamedObjects\\ConsultedC%lu", GetCurrentProcessId());
    string = unicode(name);
    InitializeObjectAttributes(&attributes, &string, 0, NULL, NULL);
    status = NtCreatePort(&port, &attributes, 16, sizeof(struct message), 0);
    if (!NT_SUCCESS(status)) {
        printf("no port: %08lx\n", status);
        return 1;
    }
    device = CreateFileA("\\\\.\\Consult", GENERIC_READ, 0, NULL, OPEN_EXISTING, 0, NULL);
    if (device == INVALID_HANDLE_VALUE) {
        printf("the device does not open: %lu\n", GetLastError());
        return 1;
    }
    thread = CreateThread(NULL, 0, serve, port, 0, NULL);
    if (!DeviceIoControl(device, IOCTL_CONSULT, name, string.Length, told, sizeof(told), &returned, NULL)) {
        printf("not consulted: %lu\n", GetLastError());
        return 1;
    }
    printf("the driver asked and was told %lu bytes, %lu words, %lu lines\n", told[0], told[1], told[2]);
    WaitForSingleObject(thread, INFINITE);
    GetExitCodeThread(thread, &ended);
    CloseHandle(thread);
    CloseHandle(device);
    NtClose(port);
    return (int)ended;
}

static int consults(void) {
    UNICODE_STRING name = unicode(L"\\BaseNamedObjects\\Consult");
    SECURITY_QUALITY_OF_SERVICE qos;
    PORT_VIEW own;
    HANDLE section = CreateFileMappingA(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE, 0, 0x10000, NULL), port;
    ULONG longest = 0;
    struct message message;
    NTSTATUS status;
    memset(&qos, 0, sizeof(qos));
    qos.Length = sizeof(qos);
    qos.ImpersonationLevel = SecurityImpersonation;
    memset(&own, 0, sizeof(own));
    own.Length = sizeof(own);
    own.SectionHandle = section;
    own.ViewSize = 0x10000;
    status = NtConnectPort(&port, &name, &qos, &own, NULL, &longest, NULL, NULL);
    CloseHandle(section);
    if (!NT_SUCCESS(status)) {
        printf("no connection: %08lx\n", status);
        return 1;
    }
    strcpy((char *)own.ViewBase, "what is shown is not sent");
    memset(&message, 0, sizeof(message));
    number_as_reply(&message, (DWORD)strlen((char *)own.ViewBase));
    status = NtRequestWaitReplyPort(port, &message.header, &message.header);
    if (!NT_SUCCESS(status)) {
        printf("no reply: %08lx\n", status);
        return 1;
    }
    printf("the driver changed %lu letters: %s\n", message.data.number, (char *)own.ViewBase);
    /* The view ends with the port. */
    NtClose(port);
    return 0;
}

int main(void) {
    return is_consulted() || consults();
}
