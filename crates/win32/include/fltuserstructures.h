/* Messages of minifilters' ports. Written from Microsoft's public documentation. */
#ifndef RINGBRIDGE_FLTUSERSTRUCTURES_H
#define RINGBRIDGE_FLTUSERSTRUCTURES_H

#include "windows.h"

#define FLT_PORT_FLAG_SYNC_HANDLE 0x00000001

typedef struct _FILTER_MESSAGE_HEADER {
    ULONG ReplyLength;
    ULONGLONG MessageId;
} FILTER_MESSAGE_HEADER, *PFILTER_MESSAGE_HEADER;

typedef struct _FILTER_REPLY_HEADER {
    NTSTATUS Status;
    ULONGLONG MessageId;
} FILTER_REPLY_HEADER, *PFILTER_REPLY_HEADER;

#endif
