/* Text as Windows' C runtime prints it, and arguments in UTF-16. For any driver. */
#define UNICODE
#define _UNICODE
#include <windows.h>
#include <tchar.h>
#include "check.h"

static void prints(const char *format, const char *expected, ...) {
    char text[256];
    va_list arguments;
    va_start(arguments, expected);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (strcmp(text, expected) != 0) {
        printf("%s prints %s instead of %s\n", format, text, expected);
        exit(1);
    }
}

int _tmain(int argc, _TCHAR *argv[]) {
    WCHAR wide[64];
    char narrow[8];
    prints("%ls|%ws|%S|%s|%hs", "w|w|w|n|n", L"w", L"w", L"w", "n", "n");
    prints("%ld %lu %lx", "-1 4294967295 ffffffff", (LONG)-1, (DWORD)0xFFFFFFFF, (DWORD)0xFFFFFFFF);
    prints("%I64d %I64u %lld %zu", "-5 5 -6 7", (LONGLONG)-5, (ULONGLONG)5, (LONGLONG)-6, (size_t)7);
    prints("[%5d][%-5d][%05d][%.3d][%*d][%+d][%#x]", "[   42][42   ][00042][042][  7][+1][0x1f]", 42, 42, 42, 42, 3, 7, 1, 31);
    prints("[%8.3s][%-8ls][%.2ls]", "[     abc][wide    ][wi]", "abcdef", L"wide", L"wide");
    prints("%hd %hhu %c %lc %5.2f %e", "-1 255 x y  3.14 1.000000e+00", 0xFFFF, 0xFFF, 'x', L'y', 3.14159, 1.0);
    prints("%p 100%%", "00000000000000FF 100%", (void *)(ULONG_PTR)0xFF);
    prints("%d %d %d %d %d %d %d %d %ls", "1 2 3 4 5 6 7 8 nine", 1, 2, 3, 4, 5, 6, 7, 8, L"nine");
    prints("%ls %s", "\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80 (null)", L"\u00e4\u20ac\U0001F600", (char *)NULL);
    CHECK(swprintf_s(wide, 64, L"%s %S %d %c", L"wide", "narrow", 5, L'\u20ac') == 15);
    CHECK(wcscmp(wide, L"wide narrow 5 \u20ac") == 0);
    CHECK(wcslen(L"ab\U0001F600") == 4 && sizeof(L"ab") == 6);
    CHECK(wcsstr(wide, L"row") == wide + 8 && wcschr(wide, L'n') == wide + 5 && wcsrchr(wide, L'w') == wide + 10);
    CHECK(_wcsicmp(L"HELLO", L"hello") == 0 && _wcsicmp(L"a", L"b") < 0 && wcsncmp(L"abc", L"abd", 2) == 0);
    CHECK(wcstoul(L"0x1F rest", NULL, 16) == 31 && _wtoi(L"-12") == -12);
    CHECK(strcpy_s(narrow, 8, "1234567") == 0 && strcat_s(narrow, 8, "8") != 0);
    CHECK(argc == 2 && wcscmp(argv[1], L"\u00e4\u20ac") == 0);
    CHECK(lstrlen(_T("abc")) == 3 && sizeof(TCHAR) == 2);
    wprintf(L"content\n");
    return 0;
}
