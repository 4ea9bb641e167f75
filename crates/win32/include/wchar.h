/* The system's own, and the functions of wide characters for characters of 16 bits. C++ has its own way to it, and its std::wstring is
 * for the system's characters. */
#include_next <wchar.h>
#ifndef RINGBRIDGE_WCHAR_H
#define RINGBRIDGE_WCHAR_H
#include "ringbridge_crt.h"
#endif
