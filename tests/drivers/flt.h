// What the filter manager's interface is, as far as communication ports need it: mingw has no fltKernel.h.
#pragma once
#include <ntifs.h>

typedef struct flt_filter *PFLT_FILTER;
typedef struct flt_port *PFLT_PORT;

#define FLT_PORT_CONNECT 0x0001
#define FLT_PORT_ALL_ACCESS (FLT_PORT_CONNECT | STANDARD_RIGHTS_ALL)
#define FLT_REGISTRATION_VERSION 0x0203
#define FLTFL_REGISTRATION_DO_NOT_SUPPORT_SERVICE_STOP 1
#define FLTFL_FILTER_UNLOAD_MANDATORY 1
#define IRP_MJ_OPERATION_END ((UCHAR)0x80)
#ifndef STATUS_FLT_DO_NOT_DETACH
#define STATUS_FLT_DO_NOT_DETACH ((NTSTATUS)0xC01C0010)
#endif

typedef NTSTATUS(NTAPI *PFLT_FILTER_UNLOAD_CALLBACK)(ULONG flags);
typedef NTSTATUS(NTAPI *PFLT_CONNECT_NOTIFY)(PFLT_PORT client, PVOID server_cookie, PVOID context, ULONG length,
                                             PVOID *cookie);
typedef VOID(NTAPI *PFLT_DISCONNECT_NOTIFY)(PVOID cookie);
typedef NTSTATUS(NTAPI *PFLT_MESSAGE_NOTIFY)(PVOID cookie, PVOID input, ULONG input_length, PVOID output,
                                             ULONG output_length, ULONG *returned);

typedef struct {
    UCHAR MajorFunction;
    ULONG Flags;
    PVOID PreOperation;
    PVOID PostOperation;
    PVOID Reserved1;
} FLT_OPERATION_REGISTRATION;

typedef struct {
    USHORT Size;
    USHORT Version;
    ULONG Flags;
    const void *ContextRegistration;
    const FLT_OPERATION_REGISTRATION *OperationRegistration;
    PFLT_FILTER_UNLOAD_CALLBACK FilterUnloadCallback;
    PVOID others[10];
} FLT_REGISTRATION;

NTSTATUS NTAPI FltRegisterFilter(DRIVER_OBJECT *driver, const FLT_REGISTRATION *registration, PFLT_FILTER *filter);
NTSTATUS NTAPI FltStartFiltering(PFLT_FILTER filter);
VOID NTAPI FltUnregisterFilter(PFLT_FILTER filter);
NTSTATUS NTAPI FltObjectReference(PVOID object);
VOID NTAPI FltObjectDereference(PVOID object);
NTSTATUS NTAPI FltBuildDefaultSecurityDescriptor(PSECURITY_DESCRIPTOR *descriptor, ACCESS_MASK access);
VOID NTAPI FltFreeSecurityDescriptor(PSECURITY_DESCRIPTOR descriptor);
NTSTATUS NTAPI FltCreateCommunicationPort(PFLT_FILTER filter, PFLT_PORT *port, OBJECT_ATTRIBUTES *attributes,
                                          PVOID cookie, PFLT_CONNECT_NOTIFY connect,
                                          PFLT_DISCONNECT_NOTIFY disconnect, PFLT_MESSAGE_NOTIFY message,
                                          LONG connections);
VOID NTAPI FltCloseCommunicationPort(PFLT_PORT port);
VOID NTAPI FltCloseClientPort(PFLT_FILTER filter, PFLT_PORT *client);
NTSTATUS NTAPI FltSendMessage(PFLT_FILTER filter, PFLT_PORT *client, PVOID message, ULONG length, PVOID reply,
                              ULONG *reply_length, LARGE_INTEGER *timeout);
NTSTATUS NTAPI FltLoadFilter(const UNICODE_STRING *name);
NTSTATUS NTAPI FltUnloadFilter(const UNICODE_STRING *name);
PVOID NTAPI FltGetRoutineAddress(const char *name);
