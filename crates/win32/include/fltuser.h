/* Ports of minifilters. Written from Microsoft's public documentation. */
#ifndef RINGBRIDGE_FLTUSER_H
#define RINGBRIDGE_FLTUSER_H

#include "fltuserstructures.h"

#ifdef __cplusplus
extern "C" {
#endif

HRESULT FilterConnectCommunicationPort(LPCWSTR name, DWORD options, LPCVOID context, WORD context_size, LPSECURITY_ATTRIBUTES attributes, HANDLE *port);
HRESULT FilterGetMessage(HANDLE port, PFILTER_MESSAGE_HEADER message, DWORD size, LPOVERLAPPED overlapped);
HRESULT FilterReplyMessage(HANDLE port, PFILTER_REPLY_HEADER reply, DWORD size);
HRESULT FilterSendMessage(HANDLE port, LPVOID input, DWORD input_size, LPVOID output, DWORD output_size, LPDWORD returned);
HRESULT FilterLoad(LPCWSTR filter);
HRESULT FilterUnload(LPCWSTR filter);

#ifdef __cplusplus
}
#endif

#endif
