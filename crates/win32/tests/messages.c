/* FormatMessage, in both widths. For any driver. */
#include <windows.h>
#include <string.h>
#include "check.h"

static DWORD listed(DWORD flags, LPSTR buffer, DWORD size, LPCSTR format, ...) {
    va_list list;
    DWORD length;
    va_start(list, format);
    length = FormatMessageA(flags | FORMAT_MESSAGE_FROM_STRING, format, 0, 0, buffer, size, &list);
    va_end(list);
    return length;
}

int main(void) {
    char text[200], *made;
    WCHAR wide[200], *wide_made;
    DWORD_PTR words[] = {(DWORD_PTR)"one", 2, (DWORD_PTR)L"three"};
    DWORD_PTR wide_words[] = {(DWORD_PTR)L"one", 2, (DWORD_PTR)"three"};
    DWORD system = FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS, length;
    CHECK(FormatMessageA(system, NULL, ERROR_ACCESS_DENIED, MAKELANGID(LANG_NEUTRAL, SUBLANG_DEFAULT), text, 200, NULL) == 19);
    CHECK(strcmp(text, "Access is denied.\r\n") == 0);
    CHECK(FormatMessageW(system, NULL, (DWORD)HRESULT_FROM_WIN32(ERROR_PIPE_BUSY), 0, wide, 200, NULL) > 0);
    CHECK(wcscmp(wide, L"All pipe instances are busy.\r\n") == 0);
    CHECK(FormatMessageA(system | FORMAT_MESSAGE_MAX_WIDTH_MASK, NULL, ERROR_ACCESS_DENIED, 0, text, 200, NULL) == 18);
    CHECK(strcmp(text, "Access is denied. ") == 0);
    CHECK(FormatMessageA(system, NULL, ERROR_BAD_EXE_FORMAT, 0, text, 200, NULL) > 0);
    CHECK(strcmp(text, "%1 is not a valid Win32 application.\r\n") == 0);
    FAILS(FormatMessageA(FORMAT_MESSAGE_FROM_SYSTEM, NULL, ERROR_BAD_EXE_FORMAT, 0, text, 200, NULL), ERROR_INVALID_PARAMETER);
    CHECK(FormatMessageA(FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_ARGUMENT_ARRAY, NULL, ERROR_BAD_EXE_FORMAT, 0, text, 200, (va_list *)words) > 0);
    CHECK(strcmp(text, "one is not a valid Win32 application.\r\n") == 0);
    FAILS(FormatMessageA(system, NULL, 0xABCDEF, 0, text, 200, NULL), ERROR_MR_MID_NOT_FOUND);
    FAILS(FormatMessageA(system, NULL, 5, 0x407, text, 200, NULL), ERROR_RESOURCE_LANG_NOT_FOUND);
    FAILS(FormatMessageA(system, NULL, 5, 0, text, 19, NULL), ERROR_INSUFFICIENT_BUFFER);
    FAILS(FormatMessageA(system, NULL, 5, 0, NULL, 19, NULL), ERROR_INVALID_PARAMETER);
    FAILS(FormatMessageA(0, NULL, 5, 0, text, 200, NULL), ERROR_INVALID_PARAMETER);
    FAILS(FormatMessageA(FORMAT_MESSAGE_FROM_STRING, NULL, 5, 0, text, 200, NULL), ERROR_INVALID_PARAMETER);
    FAILS(FormatMessageA(FORMAT_MESSAGE_FROM_STRING, "", 0, 0, text, 200, NULL), 235 /* ERROR_NO_WORK_DONE */);

    length = FormatMessageA(FORMAT_MESSAGE_FROM_STRING | FORMAT_MESSAGE_ARGUMENT_ARRAY | FORMAT_MESSAGE_ALLOCATE_BUFFER,
                            "%1 and %2!03d! and %3!S!%n", 0, 0, (LPSTR)&made, 0, (va_list *)words);
    CHECK(length == 23 && strcmp(made, "one and 002 and three\r\n") == 0 && LocalFree(made) == NULL);
    length = FormatMessageW(FORMAT_MESSAGE_FROM_STRING | FORMAT_MESSAGE_ARGUMENT_ARRAY | FORMAT_MESSAGE_ALLOCATE_BUFFER,
                            L"%1 and %2!03d! and %3!hs!", 0, 0, (LPWSTR)&wide_made, 0, (va_list *)wide_words);
    CHECK(length == 21 && wcscmp(wide_made, L"one and 002 and three") == 0 && LocalFree(wide_made) == NULL);

    /* More than the registers hold. */
    CHECK(listed(0, text, 200, "%8!d! %7!d! %6!d! %5!d! %4!d! %3!I64d! %2 %1", "a", "b", -3LL, 4, 5, 6, 7, 8) > 0);
    CHECK(strcmp(text, "8 7 6 5 4 -3 b a") == 0);
    printf("content\n");
    return 0;
}
