/* LPC ports, which Microsoft's headers do not declare: so this one serves on Windows, too. Written from the public literature on the
 * native API. There the functions are in ntdll.dll. */
#ifndef RINGBRIDGE_NTLPC_H
#define RINGBRIDGE_NTLPC_H

#include <windows.h>
#include <winternl.h>

#define LPC_REQUEST 1
#define LPC_REPLY 2
#define LPC_DATAGRAM 3
#define LPC_LOST_REPLY 4
#define LPC_PORT_CLOSED 5
#define LPC_CLIENT_DIED 6
#define LPC_EXCEPTION 7
#define LPC_DEBUG_EVENT 8
#define LPC_ERROR_EVENT 9
#define LPC_CONNECTION_REQUEST 10

#define PORT_CONNECT 0x0001
#define PORT_ALL_ACCESS (STANDARD_RIGHTS_REQUIRED | SYNCHRONIZE | 0x1)
#define PORT_MAXIMUM_MESSAGE_LENGTH 512

typedef struct _PORT_MESSAGE {
    USHORT DataLength;
    USHORT TotalLength;
    USHORT Type;
    USHORT DataInfoOffset;
    CLIENT_ID ClientId;
    ULONG MessageId;
    __extension__ union {
        SIZE_T ClientViewSize;
        ULONG CallbackId;
    };
} PORT_MESSAGE, *PPORT_MESSAGE;

/* Memory that a request gives its server, at DataInfoOffset. */
typedef struct _PORT_DATA_ENTRY {
    PVOID Base;
    ULONG Size;
} PORT_DATA_ENTRY, *PPORT_DATA_ENTRY;

typedef struct _PORT_DATA_INFORMATION {
    ULONG CountDataEntries;
    PORT_DATA_ENTRY DataEntries[1];
} PORT_DATA_INFORMATION, *PPORT_DATA_INFORMATION;

typedef struct _PORT_VIEW {
    ULONG Length;
    HANDLE SectionHandle;
    ULONG SectionOffset;
    SIZE_T ViewSize;
    PVOID ViewBase;
    PVOID ViewRemoteBase;
} PORT_VIEW, *PPORT_VIEW;

typedef struct _REMOTE_PORT_VIEW {
    ULONG Length;
    SIZE_T ViewSize;
    PVOID ViewBase;
} REMOTE_PORT_VIEW, *PREMOTE_PORT_VIEW;

#ifdef __cplusplus
extern "C" {
#endif

NTSTATUS NTAPI NtCreatePort(PHANDLE port, POBJECT_ATTRIBUTES attributes, ULONG max_connection_info, ULONG max_message, ULONG max_pool);
NTSTATUS NTAPI NtCreateWaitablePort(PHANDLE port, POBJECT_ATTRIBUTES attributes, ULONG max_connection_info, ULONG max_message, ULONG max_pool);
NTSTATUS NTAPI NtConnectPort(PHANDLE port, PUNICODE_STRING name, PSECURITY_QUALITY_OF_SERVICE qos, PPORT_VIEW client_view, PREMOTE_PORT_VIEW server_view, PULONG max_message, PVOID info, PULONG info_length);
NTSTATUS NTAPI NtSecureConnectPort(PHANDLE port, PUNICODE_STRING name, PSECURITY_QUALITY_OF_SERVICE qos, PPORT_VIEW client_view, PSID server, PREMOTE_PORT_VIEW server_view, PULONG max_message, PVOID info, PULONG info_length);
NTSTATUS NTAPI NtListenPort(HANDLE port, PPORT_MESSAGE request);
NTSTATUS NTAPI NtAcceptConnectPort(PHANDLE port, PVOID context, PPORT_MESSAGE request, BOOLEAN accept, PPORT_VIEW server_view, PREMOTE_PORT_VIEW client_view);
NTSTATUS NTAPI NtCompleteConnectPort(HANDLE port);
NTSTATUS NTAPI NtRequestPort(HANDLE port, PPORT_MESSAGE message);
NTSTATUS NTAPI NtRequestWaitReplyPort(HANDLE port, PPORT_MESSAGE request, PPORT_MESSAGE reply);
NTSTATUS NTAPI NtReplyPort(HANDLE port, PPORT_MESSAGE reply);
NTSTATUS NTAPI NtReplyWaitReplyPort(HANDLE port, PPORT_MESSAGE reply);
NTSTATUS NTAPI NtReplyWaitReceivePort(HANDLE port, PVOID *context, PPORT_MESSAGE reply, PPORT_MESSAGE message);
NTSTATUS NTAPI NtReplyWaitReceivePortEx(HANDLE port, PVOID *context, PPORT_MESSAGE reply, PPORT_MESSAGE message, PLARGE_INTEGER timeout);
NTSTATUS NTAPI NtReadRequestData(HANDLE port, PPORT_MESSAGE request, ULONG index, PVOID buffer, SIZE_T size, PSIZE_T copied);
NTSTATUS NTAPI NtWriteRequestData(HANDLE port, PPORT_MESSAGE request, ULONG index, PVOID buffer, SIZE_T size, PSIZE_T copied);
NTSTATUS NTAPI NtImpersonateClientOfPort(HANDLE port, PPORT_MESSAGE request);
NTSTATUS NTAPI NtRegisterThreadTerminatePort(HANDLE port);

#ifdef __cplusplus
}
#endif

#endif
