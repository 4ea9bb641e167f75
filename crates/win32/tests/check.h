/* What the programs of these tests say when they are not content. */
#include <stdio.h>
#include <stdlib.h>

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            printf("%s:%d: %s (last error %u)\n", __FILE__, __LINE__, #condition, (unsigned)GetLastError()); \
            exit(1); \
        } \
    } while (0)
/* The call fails, with this last error. */
#define FAILS(call, code) \
    do { \
        SetLastError(12345); \
        CHECK(!(call)); \
        CHECK(GetLastError() == (code)); \
    } while (0)
