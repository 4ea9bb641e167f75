/* Named pipes. Written from Microsoft's public documentation. */
#ifndef RINGBRIDGE_NAMEDPIPEAPI_H
#define RINGBRIDGE_NAMEDPIPEAPI_H

#include "windows.h"

#define PIPE_ACCESS_INBOUND 0x00000001
#define PIPE_ACCESS_OUTBOUND 0x00000002
#define PIPE_ACCESS_DUPLEX 0x00000003
#define FILE_FLAG_FIRST_PIPE_INSTANCE 0x00080000
#define PIPE_WAIT 0x00000000
#define PIPE_NOWAIT 0x00000001
#define PIPE_READMODE_BYTE 0x00000000
#define PIPE_READMODE_MESSAGE 0x00000002
#define PIPE_TYPE_BYTE 0x00000000
#define PIPE_TYPE_MESSAGE 0x00000004
#define PIPE_ACCEPT_REMOTE_CLIENTS 0x00000000
#define PIPE_REJECT_REMOTE_CLIENTS 0x00000008
#define PIPE_CLIENT_END 0x00000000
#define PIPE_SERVER_END 0x00000001
#define PIPE_UNLIMITED_INSTANCES 255
#define NMPWAIT_USE_DEFAULT_WAIT 0x00000000
#define NMPWAIT_NOWAIT 0x00000001
#define NMPWAIT_WAIT_FOREVER 0xffffffffu

#ifdef __cplusplus
extern "C" {
#endif

HANDLE CreateNamedPipeA(LPCSTR name, DWORD open_mode, DWORD pipe_mode, DWORD instances, DWORD out_size, DWORD in_size, DWORD milliseconds, LPSECURITY_ATTRIBUTES attributes);
HANDLE CreateNamedPipeW(LPCWSTR name, DWORD open_mode, DWORD pipe_mode, DWORD instances, DWORD out_size, DWORD in_size, DWORD milliseconds, LPSECURITY_ATTRIBUTES attributes);
BOOL ConnectNamedPipe(HANDLE pipe, LPOVERLAPPED overlapped);
BOOL DisconnectNamedPipe(HANDLE pipe);
BOOL WaitNamedPipeA(LPCSTR name, DWORD milliseconds);
BOOL WaitNamedPipeW(LPCWSTR name, DWORD milliseconds);
BOOL PeekNamedPipe(HANDLE pipe, LPVOID buffer, DWORD size, LPDWORD read, LPDWORD available, LPDWORD left);
BOOL TransactNamedPipe(HANDLE pipe, LPVOID input, DWORD input_size, LPVOID output, DWORD output_size, LPDWORD read, LPOVERLAPPED overlapped);
BOOL CallNamedPipeA(LPCSTR name, LPVOID input, DWORD input_size, LPVOID output, DWORD output_size, LPDWORD read, DWORD milliseconds);
BOOL CallNamedPipeW(LPCWSTR name, LPVOID input, DWORD input_size, LPVOID output, DWORD output_size, LPDWORD read, DWORD milliseconds);
BOOL GetNamedPipeInfo(HANDLE pipe, LPDWORD flags, LPDWORD out_size, LPDWORD in_size, LPDWORD instances);
BOOL GetNamedPipeHandleStateA(HANDLE pipe, LPDWORD state, LPDWORD instances, LPDWORD collection, LPDWORD timeout, LPSTR user, DWORD user_size);
BOOL GetNamedPipeHandleStateW(HANDLE pipe, LPDWORD state, LPDWORD instances, LPDWORD collection, LPDWORD timeout, LPWSTR user, DWORD user_size);
BOOL SetNamedPipeHandleState(HANDLE pipe, LPDWORD mode, LPDWORD collection, LPDWORD timeout);
BOOL GetNamedPipeClientProcessId(HANDLE pipe, PULONG identifier);
BOOL GetNamedPipeServerProcessId(HANDLE pipe, PULONG identifier);
BOOL ImpersonateNamedPipeClient(HANDLE pipe);
BOOL RevertToSelf(void);
BOOL CreatePipe(LPHANDLE read, LPHANDLE write, LPSECURITY_ATTRIBUTES attributes, DWORD size);

#ifdef __cplusplus
}
#endif

#ifdef UNICODE
#define CreateNamedPipe CreateNamedPipeW
#define WaitNamedPipe WaitNamedPipeW
#define CallNamedPipe CallNamedPipeW
#define GetNamedPipeHandleState GetNamedPipeHandleStateW
#else
#define CreateNamedPipe CreateNamedPipeA
#define WaitNamedPipe WaitNamedPipeA
#define CallNamedPipe CallNamedPipeA
#define GetNamedPipeHandleState GetNamedPipeHandleStateA
#endif

#endif
