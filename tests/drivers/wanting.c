// wanting.sys: a driver that imports what library.sys does not export.
#include <ntddk.h>

#include "library.h"

NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *driver, UNICODE_STRING *registry_path) {
    UNREFERENCED_PARAMETER(driver);
    UNREFERENCED_PARAMETER(registry_path);
    return (NTSTATUS)(LibraryAbsent() + LibraryAdd(1, 1));
}
