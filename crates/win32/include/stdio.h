/* The system's own, and printf as Windows has it. */
#ifndef RINGBRIDGE_STDIO_H
#define RINGBRIDGE_STDIO_H
#include_next <stdio.h>
#include "ringbridge_crt.h"
#endif
