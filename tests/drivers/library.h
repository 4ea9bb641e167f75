// What library.sys exports, and outer.sys, which imports from it.
#pragma once

#ifndef LIBRARY
#define LIBRARY __declspec(dllimport)
#endif
#ifndef OUTER
#define OUTER __declspec(dllimport)
#endif

// Calls so far of DllInitialize, as a variable.
LIBRARY extern ULONG LibraryInitialized;
// first + second, and counts.
LIBRARY ULONG NTAPI LibraryAdd(ULONG first, ULONG second);
// Calls of LibraryAdd since it was loaded.
LIBRARY ULONG NTAPI LibraryCalls(void);
// The value of a name in the library's service key; 0 if it is not there.
LIBRARY ULONG NTAPI LibraryRemembered(const WCHAR *name);
// What no library.sys exports.
LIBRARY ULONG NTAPI LibraryAbsent(void);
// As LibraryAdd, twice, by way of it.
OUTER ULONG NTAPI OuterAddTwice(ULONG first, ULONG second);
// Whether LibraryInitialized was 1 when outer's own DllInitialize ran.
OUTER ULONG NTAPI OuterCameSecond(void);
