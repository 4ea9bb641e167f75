/* Windows' types, constants and functions for console applications that talk to drivers, as far as Ringbridge has them. Written from
 * Microsoft's public documentation. Long is 64 bits here, so LONG is int; L"..." is UTF-16 because of -fshort-wchar; nothing
 * has another calling convention than the system's own. `ringbridge cc` gives the flags.
 *
 * What is not there is not declared: docs/c-applications.md lists what is. */
#ifndef RINGBRIDGE_WINDOWS_H
#define RINGBRIDGE_WINDOWS_H

#ifdef _WIN32
#error "these headers are for Linux; on Windows there are its own"
#endif

#include <stddef.h>
#include <stdint.h>
#include <stdarg.h>
#include <string.h>
#include <wchar.h>
#include <pthread.h>

#if __SIZEOF_WCHAR_T__ != 2
#error "compile with -fshort-wchar, or with `ringbridge cc`: WCHAR is UTF-16"
#endif
#if !defined(__x86_64__)
#error "Ringbridge is for x86-64"
#endif

/* ---- what compilers for Windows know ---------------------------------------------------------------------------------- */

#define WINAPI
#define APIENTRY
#define CALLBACK
#define NTAPI
#define WINBASEAPI
#define NTSYSAPI
#define __stdcall
#define __cdecl
#define __fastcall
#define _cdecl
#define _stdcall
#define __declspec(x)
#define __forceinline inline __attribute__((always_inline))
#define __int8 char
#define __int16 short
#define __int32 int
#define __int64 long long
#define DECLSPEC_NORETURN __attribute__((noreturn))
#define UNALIGNED
#define CONST const
#define VOID void
#define FAR
#define NEAR

/* Annotations, which only Microsoft's tools read. */
#define IN
#define OUT
#define OPTIONAL
#define _In_
#define _In_z_
#define _In_opt_
#define _In_opt_z_
#define _In_reads_(x)
#define _In_reads_opt_(x)
#define _In_reads_bytes_(x)
#define _In_reads_bytes_opt_(x)
#define _Out_
#define _Out_opt_
#define _Out_writes_(x)
#define _Out_writes_opt_(x)
#define _Out_writes_z_(x)
#define _Out_writes_bytes_(x)
#define _Out_writes_bytes_opt_(x)
#define _Out_writes_bytes_to_(x, y)
#define _Out_writes_bytes_to_opt_(x, y)
#define _Inout_
#define _Inout_opt_
#define _Inout_updates_(x)
#define _Inout_updates_bytes_(x)
#define _Outptr_
#define _Outptr_opt_
#define _Ret_maybenull_
#define _Ret_notnull_
#define _Success_(x)
#define _Check_return_
#define _Must_inspect_result_
#define _Use_decl_annotations_
#define _Null_terminated_
#define _Reserved_
#define _Post_invalid_
#define _Frees_ptr_opt_
#define _When_(x, y)
#define _At_(x, y)
#define _Field_size_(x)
#define _Field_size_bytes_(x)
#define __in
#define __in_opt
#define __out
#define __out_opt
#define __inout
#define __inout_opt

/* ---- types ---------------------------------------------------------------------------------------------------------------- */

typedef int BOOL, INT, LONG, INT32, LONG32, *PBOOL, *LPBOOL, *PINT, *LPINT, *PLONG, *LPLONG;
typedef unsigned int DWORD, UINT, ULONG, UINT32, ULONG32, DWORD32, *PDWORD, *LPDWORD, *PUINT, *PULONG;
typedef unsigned char BYTE, UCHAR, BOOLEAN, UINT8, *PBYTE, *LPBYTE, *PUCHAR, *PBOOLEAN;
typedef char CHAR, CCHAR, *PCHAR, *LPSTR, *PSTR, *LPCH;
typedef signed char INT8;
typedef const char *LPCSTR, *PCSTR;
typedef short SHORT, INT16, *PSHORT;
typedef unsigned short WORD, USHORT, UINT16, ATOM, *PWORD, *LPWORD, *PUSHORT;
typedef float FLOAT;
typedef wchar_t WCHAR, *PWCHAR, *LPWSTR, *PWSTR, *LPWCH;
typedef const wchar_t *LPCWSTR, *PCWSTR;
typedef long long LONGLONG, LONG64, INT64, LONG_PTR, INT_PTR, SSIZE_T, *PLONGLONG, *PLONG64, *PINT64, *PLONG_PTR;
typedef unsigned long long ULONGLONG, DWORDLONG, ULONG64, DWORD64, UINT64, ULONG_PTR, DWORD_PTR, UINT_PTR, SIZE_T, KAFFINITY;
typedef ULONGLONG *PULONGLONG, *PDWORDLONG, *PULONG64, *PDWORD64, *PUINT64, *PULONG_PTR, *PDWORD_PTR, *PUINT_PTR, *PSIZE_T;
typedef void *PVOID, *LPVOID, *HANDLE, **PHANDLE, **LPHANDLE;
typedef const void *LPCVOID;
typedef HANDLE HLOCAL, HGLOBAL, HMODULE, HINSTANCE, HWND;
typedef LONG HRESULT, NTSTATUS, *PNTSTATUS;
typedef DWORD ACCESS_MASK, *PACCESS_MASK, LCID;

#ifdef UNICODE
typedef WCHAR TCHAR, *PTCHAR, *LPTSTR, *PTSTR;
typedef const WCHAR *LPCTSTR, *PCTSTR;
#define __TEXT(text) L##text
#else
typedef CHAR TCHAR, *PTCHAR, *LPTSTR, *PTSTR;
typedef const CHAR *LPCTSTR, *PCTSTR;
#define __TEXT(text) text
#endif
#define TEXT(text) __TEXT(text)

#define TRUE 1
#define FALSE 0
#define MAX_PATH 260
#define INFINITE 0xFFFFFFFFu
#define MAXDWORD 0xFFFFFFFFu
#define INVALID_HANDLE_VALUE ((HANDLE)(LONG_PTR)-1)

typedef union _LARGE_INTEGER {
    __extension__ struct {
        DWORD LowPart;
        LONG HighPart;
    };
    struct {
        DWORD LowPart;
        LONG HighPart;
    } u;
    LONGLONG QuadPart;
} LARGE_INTEGER, *PLARGE_INTEGER;

typedef union _ULARGE_INTEGER {
    __extension__ struct {
        DWORD LowPart;
        DWORD HighPart;
    };
    struct {
        DWORD LowPart;
        DWORD HighPart;
    } u;
    ULONGLONG QuadPart;
} ULARGE_INTEGER, *PULARGE_INTEGER;

typedef struct _GUID {
    DWORD Data1;
    WORD Data2;
    WORD Data3;
    BYTE Data4[8];
} GUID;

typedef struct _SECURITY_ATTRIBUTES {
    DWORD nLength;
    LPVOID lpSecurityDescriptor;
    BOOL bInheritHandle;
} SECURITY_ATTRIBUTES, *PSECURITY_ATTRIBUTES, *LPSECURITY_ATTRIBUTES;

typedef enum _SECURITY_IMPERSONATION_LEVEL {
    SecurityAnonymous,
    SecurityIdentification,
    SecurityImpersonation,
    SecurityDelegation
} SECURITY_IMPERSONATION_LEVEL, *PSECURITY_IMPERSONATION_LEVEL;

typedef BOOLEAN SECURITY_CONTEXT_TRACKING_MODE, *PSECURITY_CONTEXT_TRACKING_MODE;
#define SECURITY_STATIC_TRACKING FALSE
#define SECURITY_DYNAMIC_TRACKING TRUE

typedef struct _SECURITY_QUALITY_OF_SERVICE {
    DWORD Length;
    SECURITY_IMPERSONATION_LEVEL ImpersonationLevel;
    SECURITY_CONTEXT_TRACKING_MODE ContextTrackingMode;
    BOOLEAN EffectiveOnly;
} SECURITY_QUALITY_OF_SERVICE, *PSECURITY_QUALITY_OF_SERVICE;

typedef PVOID PSID;

typedef struct _OVERLAPPED {
    ULONG_PTR Internal;
    ULONG_PTR InternalHigh;
    __extension__ union {
        __extension__ struct {
            DWORD Offset;
            DWORD OffsetHigh;
        };
        PVOID Pointer;
    };
    HANDLE hEvent;
} OVERLAPPED, *LPOVERLAPPED;

typedef struct _OVERLAPPED_ENTRY {
    ULONG_PTR lpCompletionKey;
    LPOVERLAPPED lpOverlapped;
    ULONG_PTR Internal;
    DWORD dwNumberOfBytesTransferred;
} OVERLAPPED_ENTRY, *LPOVERLAPPED_ENTRY;

typedef struct _FILETIME {
    DWORD dwLowDateTime;
    DWORD dwHighDateTime;
} FILETIME, *PFILETIME, *LPFILETIME;

typedef DWORD (*LPTHREAD_START_ROUTINE)(LPVOID);
typedef LPTHREAD_START_ROUTINE PTHREAD_START_ROUTINE;
typedef void (*LPOVERLAPPED_COMPLETION_ROUTINE)(DWORD, DWORD, LPOVERLAPPED);

/* ---- constants ------------------------------------------------------------------------------------------------------------ */

#define DELETE 0x00010000
#define READ_CONTROL 0x00020000
#define WRITE_DAC 0x00040000
#define WRITE_OWNER 0x00080000
#define SYNCHRONIZE 0x00100000
#define STANDARD_RIGHTS_REQUIRED 0x000F0000
#define STANDARD_RIGHTS_ALL 0x001F0000
#define MAXIMUM_ALLOWED 0x02000000
#define GENERIC_READ 0x80000000u
#define GENERIC_WRITE 0x40000000
#define GENERIC_EXECUTE 0x20000000
#define GENERIC_ALL 0x10000000

#define FILE_READ_DATA 0x0001
#define FILE_WRITE_DATA 0x0002
#define FILE_APPEND_DATA 0x0004
#define FILE_READ_EA 0x0008
#define FILE_WRITE_EA 0x0010
#define FILE_EXECUTE 0x0020
#define FILE_READ_ATTRIBUTES 0x0080
#define FILE_WRITE_ATTRIBUTES 0x0100
#define FILE_ALL_ACCESS (STANDARD_RIGHTS_REQUIRED | SYNCHRONIZE | 0x1FF)
#define FILE_GENERIC_READ 0x00120089
#define FILE_GENERIC_WRITE 0x00120116
#define FILE_GENERIC_EXECUTE 0x001200A0

#define FILE_BEGIN 0
#define FILE_CURRENT 1
#define FILE_END 2
#define INVALID_FILE_SIZE 0xFFFFFFFFu
#define INVALID_SET_FILE_POINTER 0xFFFFFFFFu

#define FILE_SHARE_READ 1
#define FILE_SHARE_WRITE 2
#define FILE_SHARE_DELETE 4

#define CREATE_NEW 1
#define CREATE_ALWAYS 2
#define OPEN_EXISTING 3
#define OPEN_ALWAYS 4
#define TRUNCATE_EXISTING 5

#define FILE_ATTRIBUTE_READONLY 0x1
#define FILE_ATTRIBUTE_HIDDEN 0x2
#define FILE_ATTRIBUTE_SYSTEM 0x4
#define FILE_ATTRIBUTE_DIRECTORY 0x10
#define FILE_ATTRIBUTE_ARCHIVE 0x20
#define FILE_ATTRIBUTE_DEVICE 0x40
#define FILE_ATTRIBUTE_NORMAL 0x80
#define FILE_ATTRIBUTE_TEMPORARY 0x100
#define FILE_FLAG_WRITE_THROUGH 0x80000000u
#define FILE_FLAG_OVERLAPPED 0x40000000
#define FILE_FLAG_NO_BUFFERING 0x20000000
#define FILE_FLAG_RANDOM_ACCESS 0x10000000
#define FILE_FLAG_SEQUENTIAL_SCAN 0x08000000
#define FILE_FLAG_DELETE_ON_CLOSE 0x04000000
#define FILE_FLAG_BACKUP_SEMANTICS 0x02000000

#define SECURITY_ANONYMOUS 0x00000000
#define SECURITY_IDENTIFICATION 0x00010000
#define SECURITY_IMPERSONATION 0x00020000
#define SECURITY_DELEGATION 0x00030000
#define SECURITY_CONTEXT_TRACKING 0x00040000
#define SECURITY_EFFECTIVE_ONLY 0x00080000
#define SECURITY_SQOS_PRESENT 0x00100000

#define FILE_SKIP_COMPLETION_PORT_ON_SUCCESS 1
#define FILE_SKIP_SET_EVENT_ON_HANDLE 2

#define DUPLICATE_CLOSE_SOURCE 1
#define DUPLICATE_SAME_ACCESS 2

#define EVENT_MODIFY_STATE 2
#define EVENT_ALL_ACCESS (STANDARD_RIGHTS_REQUIRED | SYNCHRONIZE | 3)

#define WAIT_OBJECT_0 0u
#define WAIT_ABANDONED 0x80u
#define WAIT_ABANDONED_0 0x80u
#define WAIT_IO_COMPLETION 0xC0u
#define WAIT_FAILED 0xFFFFFFFFu
#define MAXIMUM_WAIT_OBJECTS 64
#define STATUS_WAIT_0 0
#ifndef STATUS_PENDING
#define STATUS_PENDING 0x00000103
#endif
#define STILL_ACTIVE 259

#define CREATE_SUSPENDED 4

#define PAGE_NOACCESS 0x01
#define PAGE_READONLY 0x02
#define PAGE_READWRITE 0x04
#define PAGE_WRITECOPY 0x08
#define PAGE_EXECUTE 0x10
#define PAGE_EXECUTE_READ 0x20
#define PAGE_EXECUTE_READWRITE 0x40
#define MEM_COMMIT 0x1000
#define MEM_RESERVE 0x2000
#define MEM_DECOMMIT 0x4000
#define MEM_RELEASE 0x8000
#define SEC_RESERVE 0x4000000
#define SEC_COMMIT 0x8000000
#define FILE_MAP_COPY 1
#define FILE_MAP_WRITE 2
#define FILE_MAP_READ 4
#define FILE_MAP_ALL_ACCESS 0xF001F

#define LMEM_FIXED 0
#define LMEM_ZEROINIT 0x40
#define LPTR 0x40
#define GMEM_FIXED 0
#define GMEM_ZEROINIT 0x40
#define GPTR 0x40
#define HEAP_ZERO_MEMORY 8

#define FORMAT_MESSAGE_ALLOCATE_BUFFER 0x100
#define FORMAT_MESSAGE_IGNORE_INSERTS 0x200
#define FORMAT_MESSAGE_FROM_STRING 0x400
#define FORMAT_MESSAGE_FROM_HMODULE 0x800
#define FORMAT_MESSAGE_FROM_SYSTEM 0x1000
#define FORMAT_MESSAGE_ARGUMENT_ARRAY 0x2000
#define FORMAT_MESSAGE_MAX_WIDTH_MASK 0xFF
#define LANG_NEUTRAL 0
#define LANG_ENGLISH 9
#define SUBLANG_ENGLISH_US 1
#define SUBLANG_DEFAULT 1
#define MAKELANGID(primary, sub) ((((WORD)(sub)) << 10) | (WORD)(primary))

/* ---- functions ------------------------------------------------------------------------------------------------------------ */

#ifdef __cplusplus
extern "C" {
#endif

DWORD GetLastError(void);
void SetLastError(DWORD code);

HANDLE CreateFileA(LPCSTR name, DWORD access, DWORD share, LPSECURITY_ATTRIBUTES attributes, DWORD disposition, DWORD flags, HANDLE template_file);
HANDLE CreateFileW(LPCWSTR name, DWORD access, DWORD share, LPSECURITY_ATTRIBUTES attributes, DWORD disposition, DWORD flags, HANDLE template_file);
BOOL ReadFile(HANDLE file, LPVOID buffer, DWORD length, LPDWORD read, LPOVERLAPPED overlapped);
BOOL WriteFile(HANDLE file, LPCVOID buffer, DWORD length, LPDWORD written, LPOVERLAPPED overlapped);
BOOL ReadFileEx(HANDLE file, LPVOID buffer, DWORD length, LPOVERLAPPED overlapped, LPOVERLAPPED_COMPLETION_ROUTINE routine);
BOOL WriteFileEx(HANDLE file, LPCVOID buffer, DWORD length, LPOVERLAPPED overlapped, LPOVERLAPPED_COMPLETION_ROUTINE routine);
BOOL DeviceIoControl(HANDLE device, DWORD code, LPVOID input, DWORD input_length, LPVOID output, DWORD output_length, LPDWORD returned, LPOVERLAPPED overlapped);
BOOL CloseHandle(HANDLE handle);
BOOL FlushFileBuffers(HANDLE file);
DWORD GetFileSize(HANDLE file, LPDWORD high);
BOOL GetFileSizeEx(HANDLE file, PLARGE_INTEGER size);
DWORD SetFilePointer(HANDLE file, LONG low, PLONG high, DWORD from);
BOOL SetFilePointerEx(HANDLE file, LARGE_INTEGER distance, PLARGE_INTEGER position, DWORD from);
BOOL SetEndOfFile(HANDLE file);
BOOL DuplicateHandle(HANDLE source_process, HANDLE source, HANDLE target_process, LPHANDLE target, DWORD access, BOOL inherit, DWORD options);

BOOL GetOverlappedResult(HANDLE file, LPOVERLAPPED overlapped, LPDWORD transferred, BOOL wait);
BOOL GetOverlappedResultEx(HANDLE file, LPOVERLAPPED overlapped, LPDWORD transferred, DWORD milliseconds, BOOL alertable);
BOOL CancelIo(HANDLE file);
BOOL CancelIoEx(HANDLE file, LPOVERLAPPED overlapped);
BOOL CancelSynchronousIo(HANDLE thread);
/* Brings the request's data home if it has ended. Looking at Internal itself works too, a little later. */
BOOL RingbridgeHasOverlappedIoCompleted(LPOVERLAPPED overlapped);
#define HasOverlappedIoCompleted(overlapped) RingbridgeHasOverlappedIoCompleted(overlapped)

HANDLE CreateEventA(LPSECURITY_ATTRIBUTES attributes, BOOL manual_reset, BOOL initial_state, LPCSTR name);
HANDLE CreateEventW(LPSECURITY_ATTRIBUTES attributes, BOOL manual_reset, BOOL initial_state, LPCWSTR name);
HANDLE OpenEventA(DWORD access, BOOL inherit, LPCSTR name);
HANDLE OpenEventW(DWORD access, BOOL inherit, LPCWSTR name);
BOOL SetEvent(HANDLE event);
BOOL ResetEvent(HANDLE event);
BOOL PulseEvent(HANDLE event);

DWORD WaitForSingleObject(HANDLE object, DWORD milliseconds);
DWORD WaitForSingleObjectEx(HANDLE object, DWORD milliseconds, BOOL alertable);
DWORD WaitForMultipleObjects(DWORD count, const HANDLE *objects, BOOL all, DWORD milliseconds);
DWORD WaitForMultipleObjectsEx(DWORD count, const HANDLE *objects, BOOL all, DWORD milliseconds, BOOL alertable);
void Sleep(DWORD milliseconds);
DWORD SleepEx(DWORD milliseconds, BOOL alertable);

HANDLE CreateIoCompletionPort(HANDLE file, HANDLE port, ULONG_PTR key, DWORD threads);
BOOL GetQueuedCompletionStatus(HANDLE port, LPDWORD transferred, PULONG_PTR key, LPOVERLAPPED *overlapped, DWORD milliseconds);
BOOL GetQueuedCompletionStatusEx(HANDLE port, LPOVERLAPPED_ENTRY entries, ULONG count, PULONG removed, DWORD milliseconds, BOOL alertable);
BOOL PostQueuedCompletionStatus(HANDLE port, DWORD transferred, ULONG_PTR key, LPOVERLAPPED overlapped);
BOOL SetFileCompletionNotificationModes(HANDLE file, UCHAR flags);

HANDLE CreateFileMappingA(HANDLE file, LPSECURITY_ATTRIBUTES attributes, DWORD protection, DWORD size_high, DWORD size_low, LPCSTR name);
HANDLE CreateFileMappingW(HANDLE file, LPSECURITY_ATTRIBUTES attributes, DWORD protection, DWORD size_high, DWORD size_low, LPCWSTR name);
HANDLE OpenFileMappingA(DWORD access, BOOL inherit, LPCSTR name);
HANDLE OpenFileMappingW(DWORD access, BOOL inherit, LPCWSTR name);
LPVOID MapViewOfFile(HANDLE mapping, DWORD access, DWORD offset_high, DWORD offset_low, SIZE_T size);
BOOL UnmapViewOfFile(LPCVOID address);
BOOL FlushViewOfFile(LPCVOID address, SIZE_T size);

LPVOID VirtualAlloc(LPVOID address, SIZE_T size, DWORD type, DWORD protection);
BOOL VirtualFree(LPVOID address, SIZE_T size, DWORD type);
HLOCAL LocalAlloc(UINT flags, SIZE_T size);
HLOCAL LocalFree(HLOCAL memory);
HGLOBAL GlobalAlloc(UINT flags, SIZE_T size);
HGLOBAL GlobalFree(HGLOBAL memory);
HANDLE GetProcessHeap(void);
LPVOID HeapAlloc(HANDLE heap, DWORD flags, SIZE_T size);
BOOL HeapFree(HANDLE heap, DWORD flags, LPVOID memory);

HANDLE CreateThread(LPSECURITY_ATTRIBUTES attributes, SIZE_T stack, LPTHREAD_START_ROUTINE routine, LPVOID argument, DWORD flags, LPDWORD identifier);
DECLSPEC_NORETURN void ExitThread(DWORD code);
DWORD ResumeThread(HANDLE thread);
BOOL GetExitCodeThread(HANDLE thread, LPDWORD code);
DWORD GetThreadId(HANDLE thread);
DWORD GetCurrentThreadId(void);
DWORD GetCurrentProcessId(void);
HANDLE GetCurrentThread(void);
HANDLE GetCurrentProcess(void);

DWORD FormatMessageA(DWORD flags, LPCVOID source, DWORD code, DWORD language, LPSTR buffer, DWORD size, va_list *arguments);
DWORD FormatMessageW(DWORD flags, LPCVOID source, DWORD code, DWORD language, LPWSTR buffer, DWORD size, va_list *arguments);
DWORD QueryDosDeviceA(LPCSTR name, LPSTR target, DWORD size);
DWORD QueryDosDeviceW(LPCWSTR name, LPWSTR target, DWORD size);

DWORD GetTickCount(void);
ULONGLONG GetTickCount64(void);
BOOL QueryPerformanceCounter(LARGE_INTEGER *count);
BOOL QueryPerformanceFrequency(LARGE_INTEGER *frequency);

#ifdef __cplusplus
}
#endif

#ifdef UNICODE
#define CreateFile CreateFileW
#define CreateEvent CreateEventW
#define OpenEvent OpenEventW
#define CreateFileMapping CreateFileMappingW
#define OpenFileMapping OpenFileMappingW
#define FormatMessage FormatMessageW
#define QueryDosDevice QueryDosDeviceW
#define lstrlen lstrlenW
#else
#define CreateFile CreateFileA
#define CreateEvent CreateEventA
#define OpenEvent OpenEventA
#define CreateFileMapping CreateFileMappingA
#define OpenFileMapping OpenFileMappingA
#define FormatMessage FormatMessageA
#define QueryDosDevice QueryDosDeviceA
#define lstrlen lstrlenA
#endif

#define ZeroMemory(target, length) memset((target), 0, (length))
#define FillMemory(target, length, byte) memset((target), (byte), (length))
#define CopyMemory(target, source, length) memcpy((target), (source), (length))
#define MoveMemory(target, source, length) memmove((target), (source), (length))
#define RtlZeroMemory ZeroMemory
#define RtlFillMemory FillMemory
#define RtlCopyMemory CopyMemory
#define RtlMoveMemory MoveMemory
#define SecureZeroMemory(target, length) explicit_bzero((target), (length))
#define UNREFERENCED_PARAMETER(parameter) ((void)(parameter))
#define ARRAYSIZE(array) (sizeof(array) / sizeof((array)[0]))
#define FIELD_OFFSET(type, field) ((LONG)offsetof(type, field))
#define CONTAINING_RECORD(address, type, field) ((type *)((char *)(address) - offsetof(type, field)))
#define LOWORD(value) ((WORD)((DWORD_PTR)(value) & 0xFFFF))
#define HIWORD(value) ((WORD)(((DWORD_PTR)(value) >> 16) & 0xFFFF))
#define LOBYTE(value) ((BYTE)((DWORD_PTR)(value) & 0xFF))
#define HIBYTE(value) ((BYTE)(((DWORD_PTR)(value) >> 8) & 0xFF))
#define MAKEWORD(low, high) ((WORD)(((BYTE)(low)) | ((WORD)((BYTE)(high))) << 8))
#define MAKELONG(low, high) ((LONG)(((WORD)(low)) | ((DWORD)((WORD)(high))) << 16))
#define SUCCEEDED(result) ((HRESULT)(result) >= 0)
#define FAILED(result) ((HRESULT)(result) < 0)
#define S_OK ((HRESULT)0)
#define S_FALSE ((HRESULT)1)
#define HRESULT_FROM_WIN32(code) \
    ((HRESULT)(code) <= 0 ? (HRESULT)(code) : (HRESULT)(((code) & 0xFFFF) | 0x80070000u))
#define YieldProcessor() __builtin_ia32_pause()
#define MemoryBarrier() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#if !defined(__cplusplus) && !defined(NOMINMAX)
#define max(a, b) ((a) > (b) ? (a) : (b))
#define min(a, b) ((a) < (b) ? (a) : (b))
#endif

/* Arithmetic that other threads see whole. What each answers is what its page says: the new value, or (…Exchange…) the old. */
static inline LONG InterlockedIncrement(LONG volatile *value) { return __atomic_add_fetch(value, 1, __ATOMIC_SEQ_CST); }
static inline LONG InterlockedDecrement(LONG volatile *value) { return __atomic_sub_fetch(value, 1, __ATOMIC_SEQ_CST); }
static inline LONG InterlockedExchange(LONG volatile *value, LONG to) { return __atomic_exchange_n(value, to, __ATOMIC_SEQ_CST); }
static inline LONG InterlockedExchangeAdd(LONG volatile *value, LONG by) { return __atomic_fetch_add(value, by, __ATOMIC_SEQ_CST); }
static inline LONG InterlockedOr(LONG volatile *value, LONG bits) { return __atomic_fetch_or(value, bits, __ATOMIC_SEQ_CST); }
static inline LONG InterlockedAnd(LONG volatile *value, LONG bits) { return __atomic_fetch_and(value, bits, __ATOMIC_SEQ_CST); }
static inline LONG InterlockedCompareExchange(LONG volatile *value, LONG to, LONG from) {
    __atomic_compare_exchange_n(value, &from, to, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    return from;
}
static inline LONG64 InterlockedIncrement64(LONG64 volatile *value) { return __atomic_add_fetch(value, 1, __ATOMIC_SEQ_CST); }
static inline LONG64 InterlockedDecrement64(LONG64 volatile *value) { return __atomic_sub_fetch(value, 1, __ATOMIC_SEQ_CST); }
static inline LONG64 InterlockedExchange64(LONG64 volatile *value, LONG64 to) { return __atomic_exchange_n(value, to, __ATOMIC_SEQ_CST); }
static inline LONG64 InterlockedExchangeAdd64(LONG64 volatile *value, LONG64 by) { return __atomic_fetch_add(value, by, __ATOMIC_SEQ_CST); }
static inline PVOID InterlockedExchangePointer(PVOID volatile *value, PVOID to) { return __atomic_exchange_n(value, to, __ATOMIC_SEQ_CST); }

/* Critical sections are of one process: pthreads' mutexes. */
typedef struct _CRITICAL_SECTION {
    pthread_mutex_t mutex;
} CRITICAL_SECTION, *PCRITICAL_SECTION, *LPCRITICAL_SECTION;

static inline void InitializeCriticalSection(LPCRITICAL_SECTION section) {
    pthread_mutexattr_t kind;
    pthread_mutexattr_init(&kind);
    pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&section->mutex, &kind);
    pthread_mutexattr_destroy(&kind);
}
static inline BOOL InitializeCriticalSectionAndSpinCount(LPCRITICAL_SECTION section, DWORD spins) {
    (void)spins;
    InitializeCriticalSection(section);
    return TRUE;
}
static inline void EnterCriticalSection(LPCRITICAL_SECTION section) { pthread_mutex_lock(&section->mutex); }
static inline BOOL TryEnterCriticalSection(LPCRITICAL_SECTION section) { return pthread_mutex_trylock(&section->mutex) == 0; }
static inline void LeaveCriticalSection(LPCRITICAL_SECTION section) { pthread_mutex_unlock(&section->mutex); }
static inline void DeleteCriticalSection(LPCRITICAL_SECTION section) { pthread_mutex_destroy(&section->mutex); }

#include "winerror.h"
#include "ringbridge_crt.h"

#include "namedpipeapi.h"
#include "ringbridge_files.h"
#include "ringbridge_process.h"
#include "ringbridge_sync.h"
#include "winsvc.h"

static inline int lstrlenA(LPCSTR text) { return text ? (int)strlen(text) : 0; }
static inline int lstrlenW(LPCWSTR text) { return text ? (int)ringbridge_wcslen(text) : 0; }

#endif
