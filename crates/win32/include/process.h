/* Threads of the C runtime. */
#ifndef RINGBRIDGE_PROCESS_H
#define RINGBRIDGE_PROCESS_H

#include "windows.h"

typedef unsigned (*ringbridge_begin_routine)(void *);

static inline uintptr_t _beginthreadex(void *security, unsigned stack, ringbridge_begin_routine routine, void *argument, unsigned flags, unsigned *identifier) {
    return (uintptr_t)CreateThread((LPSECURITY_ATTRIBUTES)security, stack, (LPTHREAD_START_ROUTINE)routine, argument, flags, identifier);
}
#define _endthreadex(code) ExitThread(code)

#endif
