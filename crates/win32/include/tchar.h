/* Names that are one thing with UNICODE and another without. */
#ifndef RINGBRIDGE_TCHAR_H
#define RINGBRIDGE_TCHAR_H

#if defined(_UNICODE) && !defined(UNICODE)
#define UNICODE
#endif
#include "windows.h"

typedef TCHAR _TCHAR, _TSCHAR;

#ifdef UNICODE
#define _T(text) L##text
#define _TEXT(text) L##text
#define _tmain wmain
#define _tprintf wprintf
#define _ftprintf fwprintf
#define _stprintf_s swprintf_s
#define _sntprintf _snwprintf
#define _putts _putws
#define _tcslen wcslen
#define _tcscpy wcscpy
#define _tcsncpy wcsncpy
#define _tcscat wcscat
#define _tcscmp wcscmp
#define _tcsncmp wcsncmp
#define _tcsicmp _wcsicmp
#define _tcschr wcschr
#define _tcsrchr wcsrchr
#define _tcsstr wcsstr
#define _tcscpy_s wcscpy_s
#define _tcscat_s wcscat_s
#define _tcstoul wcstoul
#define _ttoi _wtoi
#else
#define _T(text) text
#define _TEXT(text) text
#define _tmain main
#define _tprintf printf
#define _ftprintf fprintf
#define _stprintf_s sprintf_s
#define _sntprintf _snprintf
#define _putts puts
#define _tcslen strlen
#define _tcscpy strcpy
#define _tcsncpy strncpy
#define _tcscat strcat
#define _tcscmp strcmp
#define _tcsncmp strncmp
#define _tcsicmp _stricmp
#define _tcschr strchr
#define _tcsrchr strrchr
#define _tcsstr strstr
#define _tcscpy_s strcpy_s
#define _tcscat_s strcat_s
#define _tcstoul strtoul
#define _ttoi atoi
#endif

#endif
