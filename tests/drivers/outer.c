// outer.sys: an export driver that imports from another.
#include <ntddk.h>

#define OUTER __declspec(dllexport)
#include "library.h"

static ULONG second;

OUTER ULONG NTAPI OuterAddTwice(ULONG first, ULONG other) { return LibraryAdd(LibraryAdd(first, other), other); }

OUTER ULONG NTAPI OuterCameSecond(void) { return second; }

__declspec(dllexport) NTSTATUS NTAPI DllInitialize(UNICODE_STRING *registry_path) {
    UNREFERENCED_PARAMETER(registry_path);
    second = LibraryInitialized == 1;
    return STATUS_SUCCESS;
}

// Calls what it imports from, which is still there.
__declspec(dllexport) NTSTATUS NTAPI DllUnload(void) { return LibraryAdd(1, 1) == 2 ? STATUS_SUCCESS : STATUS_UNSUCCESSFUL; }

NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *driver, UNICODE_STRING *registry_path) {
    UNREFERENCED_PARAMETER(driver);
    UNREFERENCED_PARAMETER(registry_path);
    return STATUS_NOT_SUPPORTED;
}
