/* The program itself: command line, modules, end, console. Included by windows.h. Written from Microsoft's public documentation. */
#ifndef RINGBRIDGE_PROCESS_ITSELF_H
#define RINGBRIDGE_PROCESS_ITSELF_H

#include "windows.h"

#define CTRL_C_EVENT 0
#define CTRL_BREAK_EVENT 1
#define CTRL_CLOSE_EVENT 2
#define CTRL_LOGOFF_EVENT 5
#define CTRL_SHUTDOWN_EVENT 6

typedef BOOL (*PHANDLER_ROUTINE)(DWORD);
typedef INT_PTR (*FARPROC)(void);

#ifdef __cplusplus
extern "C" {
#endif

HMODULE GetModuleHandleA(LPCSTR name);
HMODULE GetModuleHandleW(LPCWSTR name);
HMODULE LoadLibraryA(LPCSTR name);
HMODULE LoadLibraryW(LPCWSTR name);
BOOL FreeLibrary(HMODULE module);
FARPROC GetProcAddress(HMODULE module, LPCSTR name);
DWORD GetModuleFileNameA(HMODULE module, LPSTR target, DWORD size);
DWORD GetModuleFileNameW(HMODULE module, LPWSTR target, DWORD size);
LPSTR GetCommandLineA(void);
LPWSTR GetCommandLineW(void);
DECLSPEC_NORETURN void ExitProcess(UINT code);
BOOL TerminateProcess(HANDLE process, UINT code);
BOOL SetConsoleCtrlHandler(PHANDLER_ROUTINE handler, BOOL add);

#ifdef __cplusplus
}
#endif

#ifdef UNICODE
#define GetModuleHandle GetModuleHandleW
#define LoadLibrary LoadLibraryW
#define GetModuleFileName GetModuleFileNameW
#define GetCommandLine GetCommandLineW
#else
#define GetModuleHandle GetModuleHandleA
#define LoadLibrary LoadLibraryA
#define GetModuleFileName GetModuleFileNameA
#define GetCommandLine GetCommandLineA
#endif

#endif
