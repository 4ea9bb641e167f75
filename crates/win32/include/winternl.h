/* NT's own calls. Written from Microsoft's public documentation. */
#ifndef RINGBRIDGE_WINTERNL_H
#define RINGBRIDGE_WINTERNL_H

#include "windows.h"

#define NT_SUCCESS(status) ((NTSTATUS)(status) >= 0)
#define NT_INFORMATION(status) ((((ULONG)(status)) >> 30) == 1)
#define NT_WARNING(status) ((((ULONG)(status)) >> 30) == 2)
#define NT_ERROR(status) ((((ULONG)(status)) >> 30) == 3)

typedef struct _UNICODE_STRING {
    USHORT Length;
    USHORT MaximumLength;
    PWSTR Buffer;
} UNICODE_STRING, *PUNICODE_STRING;
typedef const UNICODE_STRING *PCUNICODE_STRING;

typedef struct _OBJECT_ATTRIBUTES {
    ULONG Length;
    HANDLE RootDirectory;
    PUNICODE_STRING ObjectName;
    ULONG Attributes;
    PVOID SecurityDescriptor;
    PVOID SecurityQualityOfService;
} OBJECT_ATTRIBUTES, *POBJECT_ATTRIBUTES;

typedef struct _IO_STATUS_BLOCK {
    __extension__ union {
        NTSTATUS Status;
        PVOID Pointer;
    };
    ULONG_PTR Information;
} IO_STATUS_BLOCK, *PIO_STATUS_BLOCK;

typedef struct _CLIENT_ID {
    HANDLE UniqueProcess;
    HANDLE UniqueThread;
} CLIENT_ID, *PCLIENT_ID;

typedef void (*PIO_APC_ROUTINE)(PVOID context, PIO_STATUS_BLOCK block, ULONG reserved);

#define OBJ_INHERIT 0x2
#define OBJ_PERMANENT 0x10
#define OBJ_EXCLUSIVE 0x20
#define OBJ_CASE_INSENSITIVE 0x40
#define OBJ_OPENIF 0x80
#define OBJ_OPENLINK 0x100
#define OBJ_KERNEL_HANDLE 0x200

#define InitializeObjectAttributes(attributes, name, flags, root, descriptor) \
    do { \
        (attributes)->Length = sizeof(OBJECT_ATTRIBUTES); \
        (attributes)->RootDirectory = (root); \
        (attributes)->Attributes = (flags); \
        (attributes)->ObjectName = (name); \
        (attributes)->SecurityDescriptor = (descriptor); \
        (attributes)->SecurityQualityOfService = NULL; \
    } while (0)

#define FILE_SUPERSEDE 0
#define FILE_OPEN 1
#define FILE_CREATE 2
#define FILE_OPEN_IF 3
#define FILE_OVERWRITE 4
#define FILE_OVERWRITE_IF 5

#define FILE_DIRECTORY_FILE 0x1
#define FILE_WRITE_THROUGH 0x2
#define FILE_SEQUENTIAL_ONLY 0x4
#define FILE_NO_INTERMEDIATE_BUFFERING 0x8
#define FILE_SYNCHRONOUS_IO_ALERT 0x10
#define FILE_SYNCHRONOUS_IO_NONALERT 0x20
#define FILE_NON_DIRECTORY_FILE 0x40
#define FILE_RANDOM_ACCESS 0x800
#define FILE_DELETE_ON_CLOSE 0x1000

#ifdef __cplusplus
extern "C" {
#endif

NTSTATUS NtCreateFile(PHANDLE file, ACCESS_MASK access, POBJECT_ATTRIBUTES attributes, PIO_STATUS_BLOCK block, PLARGE_INTEGER allocation, ULONG file_attributes, ULONG share, ULONG disposition, ULONG options, PVOID extended, ULONG extended_length);
NTSTATUS NtOpenFile(PHANDLE file, ACCESS_MASK access, POBJECT_ATTRIBUTES attributes, PIO_STATUS_BLOCK block, ULONG share, ULONG options);
NTSTATUS NtReadFile(HANDLE file, HANDLE event, PIO_APC_ROUTINE routine, PVOID context, PIO_STATUS_BLOCK block, PVOID buffer, ULONG length, PLARGE_INTEGER offset, PULONG key);
NTSTATUS NtWriteFile(HANDLE file, HANDLE event, PIO_APC_ROUTINE routine, PVOID context, PIO_STATUS_BLOCK block, PVOID buffer, ULONG length, PLARGE_INTEGER offset, PULONG key);
NTSTATUS NtDeviceIoControlFile(HANDLE file, HANDLE event, PIO_APC_ROUTINE routine, PVOID context, PIO_STATUS_BLOCK block, ULONG code, PVOID input, ULONG input_length, PVOID output, ULONG output_length);
NTSTATUS NtClose(HANDLE handle);
ULONG RtlNtStatusToDosError(NTSTATUS status);

#ifdef __cplusplus
}
#endif

static inline void RtlInitUnicodeString(PUNICODE_STRING target, PCWSTR source) {
    SIZE_T length = source ? ringbridge_wcslen(source) * sizeof(WCHAR) : 0;
    if (length > 0xFFFC) {
        length = 0xFFFC;
    }
    target->Length = (USHORT)length;
    target->MaximumLength = (USHORT)(source ? length + sizeof(WCHAR) : 0);
    target->Buffer = (PWSTR)source;
}

#endif
