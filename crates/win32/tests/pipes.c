/* Named pipes between threads of one program, and what they say to wrong arguments. For any driver. */
#include <windows.h>
#include <string.h>
#include "check.h"

#define NAME "\\\\.\\pipe\\rb pipes in C"
#define DUPLEX (GENERIC_READ | GENERIC_WRITE)

static HANDLE make(DWORD mode, DWORD type, DWORD instances) {
    HANDLE pipe = CreateNamedPipeA(NAME, mode, type, instances, 512, 256, 0, NULL);
    CHECK(pipe != INVALID_HANDLE_VALUE);
    return pipe;
}

static HANDLE join(void) {
    HANDLE client = CreateFileW(L"\\\\.\\pipe\\RB PIPES IN C", DUPLEX, 0, NULL, OPEN_EXISTING, 0, NULL);
    CHECK(client != INVALID_HANDLE_VALUE);
    return client;
}

/* Answers one message with its length, as a message of four bytes, and then one that is longer than its reader has room for. */
static DWORD serves(LPVOID argument) {
    HANDLE pipe = (HANDLE)argument;
    char message[64];
    DWORD count, written, round;
    for (round = 0; round < 2; round++) {
        CHECK(ConnectNamedPipe(pipe, NULL) || GetLastError() == ERROR_PIPE_CONNECTED);
        CHECK(ReadFile(pipe, message, sizeof(message), &count, NULL));
        if (round == 0) {
            CHECK(WriteFile(pipe, &count, 4, &written, NULL));
        } else {
            CHECK(WriteFile(pipe, "longer than that", 16, &count, NULL));
        }
        /* Its reader may have gone with less. */
        CHECK(FlushFileBuffers(pipe) || GetLastError() == ERROR_BROKEN_PIPE || GetLastError() == ERROR_NO_DATA);
        CHECK(DisconnectNamedPipe(pipe));
    }
    return 0;
}

static void arguments(void) {
    DWORD count, mode;
    HANDLE pipe, device = CreateFileA("\\\\.\\My_Device", GENERIC_READ, 0, NULL, OPEN_EXISTING, 0, NULL);
    CHECK(device != INVALID_HANDLE_VALUE);
    FAILS(CreateNamedPipeA(NULL, 3, 0, 1, 0, 0, 0, NULL) != INVALID_HANDLE_VALUE, ERROR_INVALID_PARAMETER);
    FAILS(CreateNamedPipeA(NAME, 0, 0, 1, 0, 0, 0, NULL) != INVALID_HANDLE_VALUE, ERROR_INVALID_PARAMETER);
    FAILS(CreateNamedPipeA(NAME, 3, 0, 0, 0, 0, 0, NULL) != INVALID_HANDLE_VALUE, ERROR_INVALID_PARAMETER);
    FAILS(CreateNamedPipeA(NAME, 3, 0, 256, 0, 0, 0, NULL) != INVALID_HANDLE_VALUE, ERROR_INVALID_PARAMETER);
    FAILS(CreateNamedPipeA(NAME, 3, 0x100, 1, 0, 0, 0, NULL) != INVALID_HANDLE_VALUE, ERROR_INVALID_PARAMETER);
    FAILS(CreateNamedPipeA(NAME, 3 | 0x800, 0, 1, 0, 0, 0, NULL) != INVALID_HANDLE_VALUE, ERROR_INVALID_PARAMETER);
    FAILS(CreateNamedPipeA(NAME, 3, PIPE_READMODE_MESSAGE, 1, 0, 0, 0, NULL) != INVALID_HANDLE_VALUE, ERROR_INVALID_PARAMETER);
    FAILS(WaitNamedPipeA(NAME, 1), ERROR_FILE_NOT_FOUND);
    FAILS(WaitNamedPipeA("\\\\.\\nopipe", 1), ERROR_BAD_PATHNAME);
    FAILS(WaitNamedPipeW(NULL, 1), ERROR_INVALID_PARAMETER);
    FAILS(ConnectNamedPipe(NULL, NULL), ERROR_INVALID_HANDLE);
    FAILS(ConnectNamedPipe(INVALID_HANDLE_VALUE, NULL), ERROR_INVALID_HANDLE);
    FAILS(ConnectNamedPipe(device, NULL), ERROR_INVALID_FUNCTION);
    FAILS(DisconnectNamedPipe((HANDLE)(ULONG_PTR)0x7777770), ERROR_INVALID_HANDLE);
    FAILS(GetNamedPipeClientProcessId(NULL, &count), ERROR_INVALID_HANDLE);
    FAILS(CallNamedPipeA(NAME, NULL, 0, NULL, 0, &count, 1), ERROR_FILE_NOT_FOUND);
    pipe = make(PIPE_ACCESS_DUPLEX | FILE_FLAG_OVERLAPPED, PIPE_TYPE_MESSAGE, 2);
    FAILS(CreateNamedPipeA(NAME, 3 | FILE_FLAG_FIRST_PIPE_INSTANCE, PIPE_TYPE_MESSAGE, 2, 0, 0, 0, NULL) != INVALID_HANDLE_VALUE, ERROR_ACCESS_DENIED);
    FAILS(ConnectNamedPipe(pipe, (OVERLAPPED *)(ULONG_PTR)0x10), ERROR_NOACCESS);
    FAILS(PeekNamedPipe(pipe, NULL, 0, NULL, &count, NULL), ERROR_BAD_PIPE);
    FAILS(TransactNamedPipe(pipe, NULL, 0, NULL, 0, NULL, NULL), ERROR_INVALID_PARAMETER);
    FAILS(GetNamedPipeClientProcessId(pipe, NULL), ERROR_INVALID_PARAMETER);
    FAILS(GetNamedPipeHandleStateA(pipe, NULL, NULL, &count, NULL, NULL, 0), ERROR_INVALID_PARAMETER);
    mode = 0x10;
    FAILS(SetNamedPipeHandleState(pipe, &mode, NULL, NULL), ERROR_INVALID_PARAMETER);
    FAILS(SetNamedPipeHandleState(pipe, NULL, &count, NULL), ERROR_INVALID_PARAMETER);
    CHECK(SetNamedPipeHandleState(pipe, NULL, NULL, NULL));
    FAILS(ImpersonateNamedPipeClient(pipe), ERROR_PIPE_LISTENING);
    FAILS(CreatePipe(NULL, NULL, NULL, 0), ERROR_NOACCESS);
    CHECK(CloseHandle(pipe) && CloseHandle(device));
}

static void messages_are_told_apart(void) {
    HANDLE server = make(PIPE_ACCESS_DUPLEX, PIPE_TYPE_MESSAGE | PIPE_READMODE_MESSAGE, 1), client, thread;
    DWORD mode = PIPE_READMODE_MESSAGE, count, length = 0, flags, out, in, instances, available, left;
    char answer[8];
    CHECK(GetNamedPipeInfo(server, &flags, &out, &in, &instances));
    CHECK(flags == (PIPE_SERVER_END | PIPE_TYPE_MESSAGE) && out == 512 && in == 256 && instances == 1);
    CHECK(GetNamedPipeInfo(server, NULL, NULL, NULL, NULL));
    thread = CreateThread(NULL, 0, serves, server, 0, NULL);
    client = join();
    CHECK(GetNamedPipeHandleStateW(client, &flags, &instances, NULL, NULL, NULL, 0) && flags == 0 && instances == 1);
    FAILS(TransactNamedPipe(client, "twelve bytes", 12, &length, 4, &count, NULL), ERROR_BAD_PIPE);
    CHECK(SetNamedPipeHandleState(client, &mode, NULL, NULL));
    CHECK(GetNamedPipeHandleStateW(client, &flags, NULL, NULL, NULL, NULL, 0) && flags == PIPE_READMODE_MESSAGE);
    CHECK(GetNamedPipeServerProcessId(client, &count) && count != 0 && GetNamedPipeClientProcessId(client, &flags) && flags == count);
    CHECK(TransactNamedPipe(client, "twelve bytes", 12, &length, 4, &count, NULL) && count == 4 && length == 12);
    CHECK(CloseHandle(client));
    /* The same in one call; the server comes round to listen. */
    FAILS(CallNamedPipeA(NAME, "x", 1, answer, 8, &count, NMPWAIT_WAIT_FOREVER), ERROR_MORE_DATA);
    CHECK(count == 8 && memcmp(answer, "longer t", 8) == 0);
    CHECK(WaitForSingleObject(thread, INFINITE) == WAIT_OBJECT_0 && CloseHandle(thread));
    FAILS(WaitNamedPipeA(NAME, 1), ERROR_SEM_TIMEOUT);
    FAILS(CallNamedPipeA(NAME, "x", 1, answer, 8, &count, NMPWAIT_NOWAIT), ERROR_PIPE_BUSY);
    FAILS(PeekNamedPipe(server, answer, 8, &count, &available, &left), ERROR_PIPE_NOT_CONNECTED);
    CHECK(CloseHandle(server));
}

static void waits_are_overlapped(void) {
    HANDLE server = make(PIPE_ACCESS_DUPLEX | FILE_FLAG_OVERLAPPED, PIPE_TYPE_BYTE, 1), client;
    HANDLE port = CreateIoCompletionPort(server, NULL, 7, 1);
    OVERLAPPED connecting, *told = NULL;
    DWORD count, available, left;
    ULONG_PTR key;
    char bytes[16], *more;
    memset(&connecting, 0, sizeof(connecting));
    FAILS(ConnectNamedPipe(server, &connecting), ERROR_IO_PENDING);
    CHECK(CancelIoEx(server, &connecting));
    FAILS(GetQueuedCompletionStatus(port, &count, &key, &told, INFINITE), ERROR_OPERATION_ABORTED);
    CHECK(told == &connecting && key == 7);
    FAILS(ConnectNamedPipe(server, &connecting), ERROR_IO_PENDING);
    client = join();
    CHECK(GetQueuedCompletionStatus(port, &count, &key, &told, INFINITE) && told == &connecting);
    FAILS(ConnectNamedPipe(server, &connecting), ERROR_PIPE_CONNECTED);
    CHECK(WriteFile(client, "abcdef", 6, &count, NULL) && count == 6);
    /* On a file for overlapped I/O, too, and with a size that nothing has. */
    CHECK(PeekNamedPipe(server, bytes, 4, &count, &available, &left));
    CHECK(count == 4 && available == 6 && left == 0 && memcmp(bytes, "abcd", 4) == 0);
    more = malloc(0x20000);
    CHECK(more != NULL && PeekNamedPipe(server, more, 0x20000, &count, NULL, NULL) && count == 6 && memcmp(more, "abcdef", 6) == 0);
    CHECK(PeekNamedPipe(server, more, 0xFFFFFFFF, &count, NULL, NULL) && count == 6);
    free(more);
    CHECK(PeekNamedPipe(server, NULL, 100, NULL, NULL, NULL));
    CHECK(CloseHandle(client));
    FAILS(ConnectNamedPipe(server, &connecting), ERROR_NO_DATA);
    CHECK(DisconnectNamedPipe(server));
    FAILS(DisconnectNamedPipe(server), ERROR_PIPE_NOT_CONNECTED);
    CHECK(CloseHandle(server) && CloseHandle(port));
}

static void servers_act_as_their_clients(void) {
    HANDLE server = make(PIPE_ACCESS_INBOUND, PIPE_TYPE_BYTE, 1), client;
    DWORD count;
    char byte;
    FAILS(CreateFileA(NAME, GENERIC_READ, 0, NULL, OPEN_EXISTING, 0, NULL) != INVALID_HANDLE_VALUE, ERROR_ACCESS_DENIED);
    client = CreateFileA(NAME, GENERIC_WRITE, 0, NULL, OPEN_EXISTING, SECURITY_SQOS_PRESENT | SECURITY_IDENTIFICATION, NULL);
    CHECK(client != INVALID_HANDLE_VALUE);
    FAILS(ImpersonateNamedPipeClient(server), ERROR_CANNOT_IMPERSONATE);
    CHECK(WriteFile(client, "x", 1, &count, NULL) && ReadFile(server, &byte, 1, &count, NULL));
    CHECK(ImpersonateNamedPipeClient(server));
    /* It may be looked at, not acted for. */
    FAILS(CreateFileA("\\\\.\\My_Device", GENERIC_READ, 0, NULL, OPEN_EXISTING, 0, NULL) != INVALID_HANDLE_VALUE, ERROR_BAD_IMPERSONATION_LEVEL);
    CHECK(RevertToSelf() && RevertToSelf());
    CHECK(CloseHandle(client) && CloseHandle(server));
}

static void pipes_without_names(void) {
    HANDLE read, write, second_read, second_write;
    DWORD count;
    char text[8];
    CHECK(CreatePipe(&read, &write, NULL, 0) && CreatePipe(&second_read, &second_write, NULL, 100));
    CHECK(WriteFile(write, "one", 3, &count, NULL) && WriteFile(second_write, "two", 3, &count, NULL));
    CHECK(ReadFile(second_read, text, 8, &count, NULL) && count == 3 && memcmp(text, "two", 3) == 0);
    CHECK(ReadFile(read, text, 8, &count, NULL) && count == 3 && memcmp(text, "one", 3) == 0);
    FAILS(WriteFile(read, "x", 1, &count, NULL), ERROR_ACCESS_DENIED);
    CHECK(CloseHandle(write));
    FAILS(ReadFile(read, text, 8, &count, NULL), ERROR_BROKEN_PIPE);
    CHECK(CloseHandle(second_read));
    FAILS(WriteFile(second_write, "x", 1, &count, NULL), ERROR_NO_DATA);
    CHECK(CloseHandle(read) && CloseHandle(second_write));
}

/* By a descriptor of four addresses, and by the same in one piece. */
static void makers_say_who_may(void) {
    /* Everyone, S-1-1-0, may read. */
    static BYTE list[] = {2, 0, 28, 0, 1, 0, 0, 0, 0, 0, 20, 0, 0x89, 0, 0x12, 0, 1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0};
    struct {
        BYTE revision, zero;
        WORD control;
        PVOID owner, group, sacl, dacl;
    } absolute = {1, 0, 4, NULL, NULL, NULL, list};
    BYTE relative[20 + sizeof(list)] = {1, 0, 4, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 20};
    SECURITY_ATTRIBUTES attributes = {sizeof(attributes), &absolute, FALSE};
    int round;
    memcpy(relative + 20, list, sizeof(list));
    for (round = 0; round < 2; round++) {
        HANDLE client, server = CreateNamedPipeA(NAME, PIPE_ACCESS_DUPLEX, 0, 2, 512, 256, 0, &attributes);
        CHECK(server != INVALID_HANDLE_VALUE);
        FAILS(CreateNamedPipeA(NAME, PIPE_ACCESS_DUPLEX, 0, 2, 512, 256, 0, NULL) != INVALID_HANDLE_VALUE, ERROR_ACCESS_DENIED);
        FAILS(CreateFileA(NAME, DUPLEX, 0, NULL, OPEN_EXISTING, 0, NULL) != INVALID_HANDLE_VALUE, ERROR_ACCESS_DENIED);
        client = CreateFileA(NAME, GENERIC_READ, 0, NULL, OPEN_EXISTING, 0, NULL);
        CHECK(client != INVALID_HANDLE_VALUE && CloseHandle(client) && CloseHandle(server));
        attributes.lpSecurityDescriptor = relative;
    }
    absolute.revision = 2;
    attributes.lpSecurityDescriptor = &absolute;
    FAILS(CreateNamedPipeA(NAME, PIPE_ACCESS_DUPLEX, 0, 2, 512, 256, 0, &attributes) != INVALID_HANDLE_VALUE, 1338);
}

int main(void) {
    arguments();
    makers_say_who_may();
    messages_are_told_apart();
    waits_are_overlapped();
    servers_act_as_their_clients();
    pipes_without_names();
    printf("content\n");
    return 0;
}
