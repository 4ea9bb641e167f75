/* What the C runtime of Windows has and Linux's has not, or has otherwise: wide characters of 16 bits, printf's %ls, %ws, %S, %I64d and
 * its 32-bit %ld, the functions with sizes, wmain. Everything is static, so that a program needs nothing but the library.
 *
 * Text that is printed is UTF-8, and so are the strings of main and of the functions in A. */
#ifndef RINGBRIDGE_CRT_H
#define RINGBRIDGE_CRT_H

#include_next <stdio.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#if __SIZEOF_WCHAR_T__ != 2
#error "compile with -fshort-wchar, or with `ringbridge cc`"
#endif

#define RINGBRIDGE_STATIC static __attribute__((unused))

typedef int errno_t;

/* ---- UTF-16 and UTF-8 --------------------------------------------------------------------------------------------------- */

RINGBRIDGE_STATIC size_t ringbridge_wcslen(const wchar_t *text) {
    size_t length = 0;
    while (text[length]) {
        length++;
    }
    return length;
}

/* Writes the character at *text as UTF-8 and moves on; how many bytes, at most 4. A surrogate without its other half is U+FFFD. */
RINGBRIDGE_STATIC int ringbridge_narrow(const wchar_t **text, const wchar_t *end, char *to) {
    uint32_t point = (uint16_t) * (*text)++;
    if (point >= 0xD800 && point < 0xE000) {
        uint32_t next = *text < end ? (uint16_t) * *text : 0;
        if (point < 0xDC00 && next >= 0xDC00 && next < 0xE000) {
            point = 0x10000 + ((point - 0xD800) << 10) + (next - 0xDC00);
            (*text)++;
        } else {
            point = 0xFFFD;
        }
    }
    if (point < 0x80) {
        to[0] = (char)point;
        return 1;
    }
    if (point < 0x800) {
        to[0] = (char)(0xC0 | point >> 6);
        to[1] = (char)(0x80 | (point & 0x3F));
        return 2;
    }
    if (point < 0x10000) {
        to[0] = (char)(0xE0 | point >> 12);
        to[1] = (char)(0x80 | (point >> 6 & 0x3F));
        to[2] = (char)(0x80 | (point & 0x3F));
        return 3;
    }
    to[0] = (char)(0xF0 | point >> 18);
    to[1] = (char)(0x80 | (point >> 12 & 0x3F));
    to[2] = (char)(0x80 | (point >> 6 & 0x3F));
    to[3] = (char)(0x80 | (point & 0x3F));
    return 4;
}

/* A copy in UTF-8, to be freed; NULL without memory. */
RINGBRIDGE_STATIC char *ringbridge_narrow_copy(const wchar_t *text, size_t length) {
    char *copy = (char *)malloc(length * 3 + 1), *to = copy;
    const wchar_t *end = text + length;
    while (copy && text < end) {
        to += ringbridge_narrow(&text, end, to);
    }
    if (copy) {
        *to = 0;
    }
    return copy;
}

/* A copy in UTF-16, to be freed; NULL without memory. Bytes that are no UTF-8 become U+FFFD. */
RINGBRIDGE_STATIC wchar_t *ringbridge_wide_copy(const char *text) {
    const unsigned char *from = (const unsigned char *)text;
    wchar_t *copy = (wchar_t *)malloc((strlen(text) + 1) * sizeof(wchar_t)), *to = copy;
    while (copy && *from) {
        uint32_t point = *from++;
        int more = point >= 0xF0 && point < 0xF8 ? 3 : point >= 0xE0 ? 2 : point >= 0xC2 ? 1 : 0;
        if (point >= 0x80) {
            point = more == 0 || point >= 0xF8 ? 0xFFFD : point & (0x3Fu >> more);
        }
        while (more-- > 0 && point != 0xFFFD) {
            point = (*from & 0xC0) == 0x80 ? point << 6 | (*from++ & 0x3F) : 0xFFFD;
        }
        if (point >= 0x10000 && point < 0x110000) {
            *to++ = (wchar_t)(0xD800 + ((point - 0x10000) >> 10));
            *to++ = (wchar_t)(0xDC00 + (point & 0x3FF));
        } else {
            *to++ = (wchar_t)(point < 0x10000 ? point : 0xFFFD);
        }
    }
    if (copy) {
        *to = 0;
    }
    return copy;
}

/* ---- printf --------------------------------------------------------------------------------------------------------------- */

/* Where text goes: a file, or a buffer that may be too small. */
struct ringbridge_sink {
    FILE *file;
    char *buffer;
    size_t room;
    size_t length;
};

RINGBRIDGE_STATIC void ringbridge_put(struct ringbridge_sink *sink, const char *text, size_t length) {
    if (sink->file) {
        fwrite(text, 1, length, sink->file);
    } else if (sink->length < sink->room) {
        size_t left = sink->room - sink->length;
        memcpy(sink->buffer + sink->length, text, length < left ? length : left);
    }
    sink->length += length;
}

RINGBRIDGE_STATIC void ringbridge_pad(struct ringbridge_sink *sink, long count) {
    while (count-- > 0) {
        ringbridge_put(sink, " ", 1);
    }
}

RINGBRIDGE_STATIC void ringbridge_put_string(struct ringbridge_sink *sink, const char *text, size_t length, int left, int width) {
    if (!left) {
        ringbridge_pad(sink, width - (long)length);
    }
    ringbridge_put(sink, text, length);
    if (left) {
        ringbridge_pad(sink, width - (long)length);
    }
}

/* Text of one number; `specification` ends where the length modifier goes. */
#define RINGBRIDGE_NUMBER(sink, specification, modifier, conversion, width, precision, value) \
    do { \
        char ringbridge_text[512]; \
        int ringbridge_length; \
        strcat(specification, modifier); \
        strncat(specification, &(conversion), 1); \
        ringbridge_length = precision < 0 \
            ? snprintf(ringbridge_text, sizeof ringbridge_text, specification, width, value) \
            : snprintf(ringbridge_text, sizeof ringbridge_text, specification, width, precision, value); \
        if (ringbridge_length > (int)sizeof ringbridge_text - 1) { \
            ringbridge_length = (int)sizeof ringbridge_text - 1; \
        } \
        ringbridge_put(sink, ringbridge_text, (size_t)(ringbridge_length > 0 ? ringbridge_length : 0)); \
    } while (0)

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"

/* printf as Windows has it; `wide` as its wprintf: %s and %c are wide there, and %S and %C narrow. */
RINGBRIDGE_STATIC int ringbridge_format(struct ringbridge_sink *sink, const char *format, int wide, va_list given) {
    va_list arguments;
    va_copy(arguments, given);
    while (*format) {
        char specification[32] = "%";
        size_t flags = 1;
        int left = 0, width = 0, precision = -1, size = 4, is_wide = 0, is_narrow = 0, is_long_double = 0;
        const char *start = format;
        while (*format && *format != '%') {
            format++;
        }
        ringbridge_put(sink, start, (size_t)(format - start));
        if (!*format++) {
            break;
        }
        for (; *format && strchr("-+ #0", *format); format++) {
            left |= *format == '-';
            if (flags < 8) {
                specification[flags++] = *format;
            }
        }
        if (*format == '*') {
            width = va_arg(arguments, int);
            format++;
        } else {
            for (; *format >= '0' && *format <= '9' && width < 100000; format++) {
                width = width * 10 + (*format - '0');
            }
        }
        if (width < 0) {
            left = 1;
            width = -width;
            specification[flags++] = '-';
        }
        if (*format == '.') {
            precision = 0;
            if (*++format == '*') {
                precision = va_arg(arguments, int);
                format++;
            }
            for (; *format >= '0' && *format <= '9' && precision < 100000; format++) {
                precision = precision * 10 + (*format - '0');
            }
        }
        strcpy(specification + flags, precision < 0 ? "*" : "*.*");
        for (;; format++) {
            if (*format == 'h') {
                size = size == 2 ? 1 : 2;
                is_narrow = 1;
            } else if (*format == 'l') {
                size = is_wide ? 8 : 4;
                is_wide = 1;
            } else if (*format == 'w') {
                is_wide = 1;
            } else if (*format == 'L') {
                is_long_double = 1;
            } else if (*format == 'z' || *format == 'j' || *format == 't') {
                size = 8;
            } else if (*format == 'I') {
                size = strncmp(format + 1, "32", 2) == 0 ? 4 : 8;
                format += strncmp(format + 1, "32", 2) == 0 || strncmp(format + 1, "64", 2) == 0 ? 2 : 0;
            } else {
                break;
            }
        }
        switch (*format) {
        case 'd':
        case 'i': {
            long long value = size == 8 ? va_arg(arguments, long long) : va_arg(arguments, int);
            value = size == 2 ? (short)value : size == 1 ? (signed char)value : value;
            RINGBRIDGE_NUMBER(sink, specification, "ll", *format, width, precision, value);
            break;
        }
        case 'u':
        case 'o':
        case 'x':
        case 'X': {
            unsigned long long value = size == 8 ? va_arg(arguments, unsigned long long) : va_arg(arguments, unsigned);
            value = size == 2 ? (unsigned short)value : size == 1 ? (unsigned char)value : value;
            RINGBRIDGE_NUMBER(sink, specification, "ll", *format, width, precision, value);
            break;
        }
        case 'p': {
            char text[20];
            int length = snprintf(text, sizeof text, "%016llX", (unsigned long long)(uintptr_t)va_arg(arguments, void *));
            ringbridge_put_string(sink, text, (size_t)length, left, width);
            break;
        }
        case 'a':
        case 'A':
        case 'e':
        case 'E':
        case 'f':
        case 'F':
        case 'g':
        case 'G':
            if (is_long_double) {
                long double value = va_arg(arguments, long double);
                RINGBRIDGE_NUMBER(sink, specification, "L", *format, width, precision, value);
            } else {
                double value = va_arg(arguments, double);
                RINGBRIDGE_NUMBER(sink, specification, "", *format, width, precision, value);
            }
            break;
        case 'c':
        case 'C': {
            int other = *format == 'C';
            wchar_t unit[2] = {(wchar_t)va_arg(arguments, int), 0};
            const wchar_t *text = unit;
            char bytes[5] = {(char)unit[0]};
            int length = 1;
            if (is_wide || (!is_narrow && other != wide)) {
                length = ringbridge_narrow(&text, unit + 1, bytes);
            }
            ringbridge_put_string(sink, bytes, (size_t)length, left, width);
            break;
        }
        case 's':
        case 'S': {
            int other = *format == 'S';
            if (is_wide || (!is_narrow && other != wide)) {
                const wchar_t *text = va_arg(arguments, const wchar_t *);
                size_t length = 0;
                char *copy;
                text = text ? text : L"(null)";
                while ((precision < 0 || length < (size_t)precision) && text[length]) {
                    length++;
                }
                copy = ringbridge_narrow_copy(text, length);
                ringbridge_put_string(sink, copy ? copy : "", copy ? strlen(copy) : 0, left, width);
                free(copy);
            } else {
                const char *text = va_arg(arguments, const char *);
                text = text ? text : "(null)";
                ringbridge_put_string(sink, text, precision < 0 ? strlen(text) : strnlen(text, (size_t)precision), left, width);
            }
            break;
        }
        case '%':
            ringbridge_put(sink, "%", 1);
            break;
        default:
            /* As it stands: what it would take from the arguments is not known. */
            va_end(arguments);
            ringbridge_put(sink, format - 1, strlen(format - 1));
            return (int)sink->length;
        }
        format++;
    }
    va_end(arguments);
    return (int)sink->length;
}

#pragma GCC diagnostic pop

RINGBRIDGE_STATIC int ringbridge_vfprintf(FILE *file, const char *format, va_list arguments) {
    struct ringbridge_sink sink = {file, NULL, 0, 0};
    return ringbridge_format(&sink, format, 0, arguments);
}

RINGBRIDGE_STATIC int ringbridge_fprintf(FILE *file, const char *format, ...) {
    va_list arguments;
    int length;
    va_start(arguments, format);
    length = ringbridge_vfprintf(file, format, arguments);
    va_end(arguments);
    return length;
}

RINGBRIDGE_STATIC int ringbridge_printf(const char *format, ...) {
    va_list arguments;
    int length;
    va_start(arguments, format);
    length = ringbridge_vfprintf(stdout, format, arguments);
    va_end(arguments);
    return length;
}

/* As snprintf: always ended with a zero if there is room for one; how long the whole is. */
RINGBRIDGE_STATIC int ringbridge_vsnprintf(char *buffer, size_t room, const char *format, va_list arguments) {
    struct ringbridge_sink sink = {NULL, buffer, room, 0};
    int length = ringbridge_format(&sink, format, 0, arguments);
    if (room > 0) {
        buffer[sink.length < room ? sink.length : room - 1] = 0;
    }
    return length;
}

RINGBRIDGE_STATIC int ringbridge_snprintf(char *buffer, size_t room, const char *format, ...) {
    va_list arguments;
    int length;
    va_start(arguments, format);
    length = ringbridge_vsnprintf(buffer, room, format, arguments);
    va_end(arguments);
    return length;
}

RINGBRIDGE_STATIC int ringbridge_sprintf(char *buffer, const char *format, ...) {
    va_list arguments;
    int length;
    va_start(arguments, format);
    length = ringbridge_vsnprintf(buffer, SIZE_MAX >> 1, format, arguments);
    va_end(arguments);
    return length;
}

RINGBRIDGE_STATIC int ringbridge_vfwprintf(FILE *file, const wchar_t *format, va_list arguments) {
    struct ringbridge_sink sink = {file, NULL, 0, 0};
    char *narrow = ringbridge_narrow_copy(format, ringbridge_wcslen(format));
    int length = narrow ? ringbridge_format(&sink, narrow, 1, arguments) : -1;
    free(narrow);
    return length;
}

RINGBRIDGE_STATIC int ringbridge_fwprintf(FILE *file, const wchar_t *format, ...) {
    va_list arguments;
    int length;
    va_start(arguments, format);
    length = ringbridge_vfwprintf(file, format, arguments);
    va_end(arguments);
    return length;
}

RINGBRIDGE_STATIC int ringbridge_wprintf(const wchar_t *format, ...) {
    va_list arguments;
    int length;
    va_start(arguments, format);
    length = ringbridge_vfwprintf(stdout, format, arguments);
    va_end(arguments);
    return length;
}

/* Units written without the zero; -1, and what fits, when there is no room for all. */
RINGBRIDGE_STATIC int ringbridge_vswprintf(wchar_t *buffer, size_t room, const wchar_t *format, va_list arguments) {
    struct ringbridge_sink sink = {NULL, NULL, 0, 0};
    char *narrow = ringbridge_narrow_copy(format, ringbridge_wcslen(format)), *text = NULL;
    wchar_t *whole = NULL;
    int length = -1;
    if (narrow) {
        ringbridge_format(&sink, narrow, 1, arguments);
        text = (char *)malloc(sink.length + 1);
    }
    if (text) {
        struct ringbridge_sink again = {NULL, text, sink.length, 0};
        ringbridge_format(&again, narrow, 1, arguments);
        text[again.length < sink.length ? again.length : sink.length] = 0;
        whole = ringbridge_wide_copy(text);
    }
    if (whole && room > 0) {
        size_t units = ringbridge_wcslen(whole), fits = units < room ? units : room - 1;
        memcpy(buffer, whole, fits * sizeof(wchar_t));
        buffer[fits] = 0;
        length = units < room ? (int)units : -1;
    }
    free(whole);
    free(text);
    free(narrow);
    return length;
}

RINGBRIDGE_STATIC int ringbridge_swprintf(wchar_t *buffer, size_t room, const wchar_t *format, ...) {
    va_list arguments;
    int length;
    va_start(arguments, format);
    length = ringbridge_vswprintf(buffer, room, format, arguments);
    va_end(arguments);
    return length;
}

RINGBRIDGE_STATIC int ringbridge_putws(const wchar_t *text) {
    return ringbridge_wprintf(L"%s\n", text) < 0 ? -1 : 0;
}

RINGBRIDGE_STATIC int ringbridge_fputws(const wchar_t *text, FILE *file) {
    return ringbridge_fwprintf(file, L"%s", text) < 0 ? -1 : 0;
}

/* ---- wide strings --------------------------------------------------------------------------------------------------------- */

RINGBRIDGE_STATIC wchar_t *ringbridge_wcsncpy(wchar_t *to, const wchar_t *from, size_t count) {
    size_t index = 0;
    for (; index < count && from[index]; index++) {
        to[index] = from[index];
    }
    for (; index < count; index++) {
        to[index] = 0;
    }
    return to;
}

RINGBRIDGE_STATIC wchar_t *ringbridge_wcscpy(wchar_t *to, const wchar_t *from) {
    memcpy(to, from, (ringbridge_wcslen(from) + 1) * sizeof(wchar_t));
    return to;
}

RINGBRIDGE_STATIC wchar_t *ringbridge_wcscat(wchar_t *to, const wchar_t *from) {
    ringbridge_wcscpy(to + ringbridge_wcslen(to), from);
    return to;
}

/* Only ASCII letters have two cases here. */
RINGBRIDGE_STATIC int ringbridge_wcscompare(const wchar_t *first, const wchar_t *second, size_t count, int fold) {
    for (; count > 0; count--, first++, second++) {
        unsigned one = (uint16_t)*first, other = (uint16_t)*second;
        one += fold && one >= 'A' && one <= 'Z' ? 32 : 0;
        other += fold && other >= 'A' && other <= 'Z' ? 32 : 0;
        if (one != other || one == 0) {
            return one < other ? -1 : one > other;
        }
    }
    return 0;
}

RINGBRIDGE_STATIC wchar_t *ringbridge_wcschr(const wchar_t *text, wchar_t unit) {
    for (; *text != unit; text++) {
        if (!*text) {
            return NULL;
        }
    }
    return (wchar_t *)text;
}

RINGBRIDGE_STATIC wchar_t *ringbridge_wcsrchr(const wchar_t *text, wchar_t unit) {
    const wchar_t *found = NULL;
    do {
        found = *text == unit ? text : found;
    } while (*text++);
    return (wchar_t *)found;
}

RINGBRIDGE_STATIC wchar_t *ringbridge_wcsstr(const wchar_t *text, const wchar_t *part) {
    size_t length = ringbridge_wcslen(part);
    do {
        if (ringbridge_wcscompare(text, part, length, 0) == 0) {
            return (wchar_t *)text;
        }
    } while (*text++);
    return NULL;
}

RINGBRIDGE_STATIC unsigned long ringbridge_wcstoul(const wchar_t *text, wchar_t **end, int base) {
    char *copy = ringbridge_narrow_copy(text, ringbridge_wcslen(text)), *stop = copy;
    unsigned long value = copy ? strtoul(copy, &stop, base) : 0;
    if (end) {
        /* What a number is made of is ASCII, and what comes before it blank. */
        *end = (wchar_t *)text + (stop - copy);
    }
    free(copy);
    return value;
}

/* With sizes: 0, or 34 (ERANGE) and an empty string when there is no room. */
RINGBRIDGE_STATIC errno_t ringbridge_strcpy_s(char *to, size_t room, const char *from) {
    if (strlen(from) >= room) {
        if (room > 0) {
            *to = 0;
        }
        return 34;
    }
    strcpy(to, from);
    return 0;
}

RINGBRIDGE_STATIC errno_t ringbridge_wcscpy_s(wchar_t *to, size_t room, const wchar_t *from) {
    if (ringbridge_wcslen(from) >= room) {
        if (room > 0) {
            *to = 0;
        }
        return 34;
    }
    ringbridge_wcscpy(to, from);
    return 0;
}

RINGBRIDGE_STATIC errno_t ringbridge_strcat_s(char *to, size_t room, const char *from) {
    size_t length = strnlen(to, room);
    return ringbridge_strcpy_s(to + length, room - length, from);
}

RINGBRIDGE_STATIC errno_t ringbridge_wcscat_s(wchar_t *to, size_t room, const wchar_t *from) {
    size_t length = ringbridge_wcslen(to);
    return length > room ? 34 : ringbridge_wcscpy_s(to + length, room - length, from);
}

/* C++ takes these names back when it includes its own headers, and has std:: names for the system's. */
#undef wcslen
#define wcslen ringbridge_wcslen
#undef wcscpy
#define wcscpy ringbridge_wcscpy
#undef wcsncpy
#define wcsncpy ringbridge_wcsncpy
#undef wcscat
#define wcscat ringbridge_wcscat
#undef wcscmp
#define wcscmp(first, second) ringbridge_wcscompare(first, second, SIZE_MAX, 0)
#undef wcsncmp
#define wcsncmp(first, second, count) ringbridge_wcscompare(first, second, count, 0)
#define _wcsicmp(first, second) ringbridge_wcscompare(first, second, SIZE_MAX, 1)
#define _wcsnicmp(first, second, count) ringbridge_wcscompare(first, second, count, 1)
#undef wcschr
#define wcschr ringbridge_wcschr
#undef wcsrchr
#define wcsrchr ringbridge_wcsrchr
#undef wcsstr
#define wcsstr ringbridge_wcsstr
#undef wcstoul
#define wcstoul ringbridge_wcstoul
#undef wcstol
#define wcstol(text, end, base) ((long)ringbridge_wcstoul(text, end, base))
#define _wtoi(text) ((int)ringbridge_wcstoul(text, NULL, 10))
#undef printf
#define printf ringbridge_printf
#undef fprintf
#define fprintf ringbridge_fprintf
#undef vprintf
#define vprintf(format, arguments) ringbridge_vfprintf(stdout, format, arguments)
#undef vfprintf
#define vfprintf ringbridge_vfprintf
#undef sprintf
#define sprintf ringbridge_sprintf
#undef snprintf
#define snprintf ringbridge_snprintf
#define _snprintf ringbridge_snprintf
#undef vsnprintf
#define vsnprintf ringbridge_vsnprintf
#define sprintf_s ringbridge_snprintf
#undef wprintf
#define wprintf ringbridge_wprintf
#undef fwprintf
#define fwprintf ringbridge_fwprintf
#undef swprintf
#define swprintf ringbridge_swprintf
#define swprintf_s ringbridge_swprintf
#define _snwprintf ringbridge_swprintf
#undef fputws
#define fputws ringbridge_fputws
#define _putws ringbridge_putws
#define strcpy_s ringbridge_strcpy_s
#define strcat_s ringbridge_strcat_s
#define wcscpy_s ringbridge_wcscpy_s
#define wcscat_s ringbridge_wcscat_s
#define _stricmp strcasecmp
#define _strnicmp strncasecmp
#define _strdup strdup
#define _countof(array) (sizeof(array) / sizeof((array)[0]))

/* ---- wmain ---------------------------------------------------------------------------------------------------------------- */

typedef int (*ringbridge_wide_main)(int, wchar_t **, wchar_t **);

RINGBRIDGE_STATIC int ringbridge_run_wide(int count, char **given, ringbridge_wide_main run) {
    wchar_t *none = NULL, **arguments = (wchar_t **)calloc((size_t)count + 1, sizeof(wchar_t *));
    int index;
    for (index = 0; arguments && index < count; index++) {
        arguments[index] = ringbridge_wide_copy(given[index]);
    }
    return arguments ? run(count, arguments, &none) : 1;
}

/* The definition of wmain becomes one of main, which runs it. */
#define wmain(...) \
    ringbridge_wmain(__VA_ARGS__); \
    int main(int ringbridge_count, char **ringbridge_given) { \
        return ringbridge_run_wide(ringbridge_count, ringbridge_given, (ringbridge_wide_main)(void (*)(void))ringbridge_wmain); \
    } \
    int ringbridge_wmain(__VA_ARGS__)

#endif
